//! The migrator, with our own plugins.

use std::process::ExitCode;

fn main() -> ExitCode {
    migrator::command_line(migrator::sets::plugins())
}
