//! The catalog's command line.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use catalog::{Catalog, CatalogConfig, CentralConfig, ImportKey, NAME};
use clap::{Parser, Subcommand};
use tenantry_rpc::command::{self, GenerateKey};
use tenantry_rpc::probe::Probe;
use tenantry_telemetry::TelemetryConfig;

/// Companies, their people, their tokens, and where their databases are.
///
/// What `serve` takes has an environment name too; --env-file FILE fills in what
/// the environment does not set.
#[derive(Parser)]
#[command(name = "catalog", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or Ctrl-C.
    Serve {
        #[command(flatten)]
        config: Box<CatalogConfig>,
        #[command(flatten)]
        telemetry: TelemetryConfig,
    },
    /// Makes the first operator; refused once there is one.
    BootstrapOperator {
        #[command(flatten)]
        central: CentralConfig,
        /// The operator's name.
        #[arg(long, default_value = "operator")]
        name: String,
        /// A new file for the credential. Without it the credential is shown, on a terminal only.
        #[arg(long)]
        credential_file: Option<PathBuf>,
    },
    /// Takes in a key that signs tokens, such as an RS256 one for a mesh that wants it.
    ImportSigningKey(Box<ImportKey>),
    /// Asks the running service whether it is healthy: 0 if it is, 1 if it is not or does not answer.
    Health(Box<Probe>),
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
                command::serve(NAME, &telemetry, &server, async |port| Ok(Catalog::start(*config, port).await?)).await
            }
            Command::BootstrapOperator { central, name, credential_file } => {
                bootstrap(&central, &name, credential_file).await
            }
            Command::ImportSigningKey(import) => {
                let imported = catalog::import_signing_key(*import).await?;
                println!("The key {} is published now and signs from {} on.", imported.key_id, imported.signs_from);
                Ok(())
            }
            Command::Health(probe) => probe.run(NAME).await,
            Command::GenerateKey(key) => key.run(NAME),
        }
    }
}

async fn bootstrap(central: &CentralConfig, name: &str, file: Option<PathBuf>) -> anyhow::Result<()> {
    if file.is_none() && !std::io::stdout().is_terminal() {
        anyhow::bail!("the credential is shown on a terminal only; name a new file with --credential-file");
    }
    match catalog::bootstrap_operator(central, name, file.as_deref()).await? {
        Some(shown) => println!("The operator's credential, shown this once:\n{}", shown.credential()),
        None => println!("The operator's credential is in {}", file.unwrap_or_default().display()),
    }
    Ok(())
}
