//! The migrator, with the plugin notes beside ours.

use std::process::ExitCode;

use tenantry_migration::{MigrationError, MigrationSet};

fn main() -> ExitCode {
    migrator::command_line(plugins())
}

fn plugins() -> Result<Vec<MigrationSet>, MigrationError> {
    let mut sets = migrator::sets::plugins()?;
    sets.push(notes_migrations::set()?);
    Ok(sets)
}
