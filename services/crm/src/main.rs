//! The crm's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crm::{Crm, CrmConfig, NAME};
use tenantry_rpc::auth::create_service_key;
use tenantry_rpc::{Shutdown, command, server};
use tenantry_telemetry::TelemetryConfig;

/// Each company's people, in its own database.
///
/// Every flag has an environment name; --env-file FILE fills in what the
/// environment does not set.
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
    GenerateKey {
        /// A new file for the private key.
        #[arg(long)]
        key_file: PathBuf,
        /// The file of public keys that the services share; extended.
        #[arg(long)]
        trust_file: PathBuf,
    },
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
            Command::Serve { config, telemetry } => serve(*config, &telemetry).await,
            Command::GenerateKey { key_file, trust_file } => Ok(create_service_key(NAME, &key_file, &trust_file)?),
        }
    }
}

async fn serve(config: CrmConfig, telemetry: &TelemetryConfig) -> anyhow::Result<()> {
    let telemetry = tenantry_telemetry::start(NAME, telemetry)?;
    let served = async {
        let grace = config.server.drain_grace();
        let listener = server::listen(&config.server).await?;
        let crm = Crm::start(config, listener).await?;
        println!("crm listens on {}", crm.address()?);
        let shutdown = Shutdown::new();
        let signals = tokio::spawn(shutdown.clone().on_signals(grace));
        crm.serve(shutdown).await;
        signals.abort();
        anyhow::Ok(())
    }
    .await;
    telemetry.shut_down().await;
    served
}
