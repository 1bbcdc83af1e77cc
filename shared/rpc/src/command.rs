//! What the command lines of all services share.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tenantry_telemetry::TelemetryConfig;
use tokio::net::TcpListener;

use crate::auth::create_service_key;
use crate::probe::Probe;
use crate::server::{ServerConfig, listen};
use crate::{Shutdown, StopSignals};

/// A command line that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The file named by `--env-file` cannot be used.
    #[error("--env-file {path}: {source}")]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: dotenvy::Error,
    },
    /// clap's own message, help and version among them.
    #[error(transparent)]
    Usage(#[from] clap::Error),
}

/// Reads a command line. `--env-file FILE`, anywhere on it, first fills in what
/// the environment does not set: flags win over the environment, and the
/// environment over the file.
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, CommandError> {
    let mut rest = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if let Some(path) = text.strip_prefix("--env-file=") {
            load(path.into())?;
        } else if text == "--env-file" {
            let path = arguments.next().ok_or_else(|| {
                clap::Error::raw(
                    clap::error::ErrorKind::MissingRequiredArgument,
                    "--env-file needs the name of a file\n",
                )
            })?;
            load(path.into())?;
        } else {
            rest.push(argument);
        }
    }
    Ok(T::try_parse_from(rest)?)
}

fn load(path: PathBuf) -> Result<(), CommandError> {
    dotenvy::from_path(&path).map_err(|source| CommandError::EnvFile { path, source })
}

impl CommandError {
    /// Says what is wrong and ends the process; help and version end it with 0.
    pub fn exit(self) -> ! {
        match self {
            CommandError::Usage(error) => error.exit(),
            CommandError::EnvFile { .. } => {
                eprintln!("error: {self}");
                std::process::exit(2)
            }
        }
    }
}

/// Runs a command to its end: 0, or 1 with the whole chain of causes in one line.
pub fn run(command: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    run_to_code(async { command.await.map(|()| ExitCode::SUCCESS) })
}

/// Runs a command that says by a code how it ended.
pub fn run_to_code(command: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes a service's key.
#[derive(Debug, clap::Args)]
pub struct GenerateKey {
    /// A new file for the private key.
    #[arg(long)]
    key_file: PathBuf,
    /// The file of public keys that the services share; extended.
    #[arg(long)]
    trust_file: PathBuf,
}

impl GenerateKey {
    /// Makes the key of `service`.
    pub fn run(&self, service: &str) -> anyhow::Result<()> {
        Ok(create_service_key(service, &self.key_file, &self.trust_file)?)
    }
}

/// What the command line of a service can do that has no commands of its own.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand<C: Args> {
    /// Serves until SIGTERM or Ctrl-C.
    Serve {
        /// What it takes.
        #[command(flatten)]
        config: Box<C>,
        /// Logs, traces and metrics.
        #[command(flatten)]
        telemetry: TelemetryConfig,
    },
    /// Asks the running service whether it is healthy: 0 if it is, 1 if it is not or does not answer.
    Health(Box<Probe>),
    /// Makes this service's key.
    GenerateKey(GenerateKey),
}

impl<C: Args + AsRef<ServerConfig>> ServiceCommand<C> {
    /// Runs it, as the service `name`.
    pub async fn run<S: Started>(
        self,
        name: &'static str,
        start: impl AsyncFnOnce(C, TcpListener) -> anyhow::Result<S>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Serve { config, telemetry } => {
                let server = (*config).as_ref().clone();
                serve(name, &telemetry, &server, async |port| start(*config, port).await).await
            }
            Self::Health(probe) => probe.run(name).await,
            Self::GenerateKey(key) => key.run(name),
        }
    }
}

/// A service that has its port and its databases, and does not serve yet.
pub trait Started: Sized {
    /// Where it listens.
    fn address(&self) -> io::Result<SocketAddr>;

    /// Serves until the shutdown.
    fn serve(self, shutdown: Shutdown) -> impl Future<Output = ()> + Send;
}

/// Serves until SIGTERM or Ctrl-C: telemetry ► port ► service ► drain ► flush. The
/// last spans are sent whether or not it went well.
pub async fn serve<S: Started>(
    name: &'static str,
    telemetry: &TelemetryConfig,
    config: &ServerConfig,
    start: impl AsyncFnOnce(TcpListener) -> anyhow::Result<S>,
) -> anyhow::Result<()> {
    let telemetry = tenantry_telemetry::start(name, telemetry)?;
    let served = async {
        let signals = StopSignals::catch()?;
        // A start is a long chain of futures within futures: on the heap its layout is no part of ours, or the optimizing
        // compiler reaches its depth limit.
        let started = Box::pin(start(listen(config).await?)).await?;
        if let Some(address) = telemetry.metrics_address() {
            println!("{name} has its metrics on http://{address}/metrics");
        }
        println!("{name} listens on {}", started.address()?);
        let shutdown = Shutdown::new();
        let signals = tokio::spawn(signals.stop(shutdown.clone(), config.drain_grace()));
        started.serve(shutdown).await;
        signals.abort();
        anyhow::Ok(())
    }
    .await;
    telemetry.shut_down().await;
    served
}
