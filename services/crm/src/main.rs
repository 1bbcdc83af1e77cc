//! The crm's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crm::{Crm, CrmConfig, NAME};
use tenantry_rpc::command::{self, GenerateKey};
use tenantry_telemetry::TelemetryConfig;

/// Each company's people, in its own database.
///
/// What `serve` takes has an environment name too; --env-file FILE fills in what
/// the environment does not set.
#[derive(Parser)]
#[command(name = "crm", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        config: Box<CrmConfig>,
        #[command(flatten)]
        telemetry: TelemetryConfig,
    },
    /// Makes this service's key.
    GenerateKey(GenerateKey),
}

fn main() -> ExitCode {
    match command::parse::<Arguments>(std::env::args_os()) {
        Ok(arguments) => command::run(arguments.command.run()),
        Err(error) => error.exit(),
    }
}

impl Command {
    async fn run(self) -> anyhow::Result<()> {
        match self {
            Command::Serve { config, telemetry } => {
                let server = config.server.clone();
                command::serve(NAME, &telemetry, &server, async |port| Ok(Crm::start(*config, port).await?)).await
            }
            Command::GenerateKey(key) => key.run(NAME),
        }
    }
}
