//! The tables of the plugin notes, in the databases of companies that have it.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20261101_000100_notes;

/// The set, for a migrator to be built with.
///
/// # Errors
/// A mistake in the list, the same on every call.
pub fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("plugin_notes")
        .about("Notes that a company's people write.")
        .add(m20261101_000100_notes::Migration)
        .build()
}
