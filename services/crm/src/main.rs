//! The crm's command line.

use std::process::ExitCode;

use clap::Parser;
use tenantry_rpc::command::{self, ServiceCommand};

/// Each company's people, in its own database.
///
/// What `serve` takes has an environment name too; --env-file FILE fills in what
/// the environment does not set.
#[derive(Parser)]
#[command(name = "crm", version)]
struct Arguments {
    #[command(subcommand)]
    command: ServiceCommand<crm::CrmConfig>,
}

fn main() -> ExitCode {
    match command::parse::<Arguments>(std::env::args_os()) {
        Ok(arguments) => {
            command::run(arguments.command.run(crm::NAME, async |config, port| Ok(crm::start(config, port).await?)))
        }
        Err(error) => error.exit(),
    }
}
