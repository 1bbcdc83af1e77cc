//! The migrator's command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use migrator::{CentralUrls, Migrator, MigratorConfig, NAME};
use tenantry_rpc::command::{self, GenerateKey};
use tenantry_telemetry::TelemetryConfig;

/// Makes, migrates and seeds tenants' databases.
///
/// What `serve` takes has an environment name too; --env-file FILE fills in what
/// the environment does not set.
#[derive(Parser)]
#[command(name = "migrator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        config: Box<MigratorConfig>,
        #[command(flatten)]
        telemetry: TelemetryConfig,
    },
    /// Makes the central and the migrator's own databases where absent, and migrates both.
    MigrateCentral {
        #[command(flatten)]
        urls: CentralUrls,
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
                command::serve(NAME, &telemetry, &server, async |port| {
                    Ok(Box::pin(Migrator::start(*config, port)).await?)
                })
                .await
            }
            Command::MigrateCentral { urls } => migrate_central(&urls).await,
            Command::GenerateKey(key) => key.run(NAME),
        }
    }
}

async fn migrate_central(urls: &CentralUrls) -> anyhow::Result<()> {
    for report in migrator::migrate_central(urls).await? {
        println!("{report}");
    }
    Ok(())
}
