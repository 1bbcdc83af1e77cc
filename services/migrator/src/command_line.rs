//! The migrator's command line, for whichever plugins it is built with.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tenantry_migration::{MigrationError, MigrationSet};
use tenantry_rpc::command::{self, GenerateKey};
use tenantry_rpc::probe::Probe;
use tenantry_telemetry::TelemetryConfig;

use crate::{CentralUrls, Migrator, MigratorConfig, NAME};

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
    /// Asks the running service whether it is healthy: 0 if it is, 1 if it is not or does not answer.
    Health(Box<Probe>),
    /// Makes this service's key.
    GenerateKey(GenerateKey),
}

/// The whole of the migrator's program, with the sets of these plugins: ours are [`sets::plugins`](crate::sets::plugins),
/// and whoever has another builds a migrator of their own around this.
pub fn command_line(plugins: Result<Vec<MigrationSet>, MigrationError>) -> ExitCode {
    match command::parse::<Arguments>(std::env::args_os()) {
        Ok(arguments) => command::run(arguments.command.run(plugins)),
        Err(error) => error.exit(),
    }
}

impl Command {
    async fn run(self, plugins: Result<Vec<MigrationSet>, MigrationError>) -> anyhow::Result<()> {
        match self {
            Command::Serve { config, telemetry } => {
                let (server, plugins) = (config.server.clone(), plugins?);
                // Boxed: with what is around it, the future's type is deeper than a release build goes.
                let start = async |port| Ok(Box::pin(Migrator::start_with(*config, port, plugins)).await?);
                command::serve(NAME, &telemetry, &server, start).await
            }
            Command::MigrateCentral { urls } => migrate_central(&urls).await,
            Command::Health(probe) => probe.run(NAME).await,
            Command::GenerateKey(key) => key.run(NAME),
        }
    }
}

async fn migrate_central(urls: &CentralUrls) -> anyhow::Result<()> {
    for report in crate::migrate_central(urls).await? {
        println!("{report}");
    }
    Ok(())
}
