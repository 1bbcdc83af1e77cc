//! The command line of notes.

use std::process::ExitCode;

use clap::Parser;
use tenantry_rpc::command::{self, ServiceCommand};
use tenantry_tenancy::TenantServiceConfig;

/// Each company's notes, in its own database.
#[derive(Parser)]
#[command(name = "notes", version)]
struct Arguments {
    #[command(subcommand)]
    command: ServiceCommand<TenantServiceConfig>,
}

fn main() -> ExitCode {
    match command::parse::<Arguments>(std::env::args_os()) {
        Ok(arguments) => {
            command::run(arguments.command.run(notes::NAME, async |config, port| Ok(notes::start(config, port).await?)))
        }
        Err(error) => error.exit(),
    }
}
