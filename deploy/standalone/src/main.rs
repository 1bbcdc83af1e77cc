//! `tenantry`: everything in one process, on SQLite; the tour; and the operator's commands.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use migrator::CentralUrls;
use tenantry::demo::{Demo, Services};
use tenantry::operator::{self, Connection, Exit, Format, OperatorCommand};
use tenantry::{Addresses, Beside, DataFolder, Databases, Instance, InstanceConfig, Tuning, service_config};
use tenantry_rpc::probe::Patience;
use tenantry_rpc::{StopSignals, command};
use tenantry_telemetry::TelemetryConfig;

/// A database for every company: catalog, migrator and crm in one process.
///
/// Without a command it serves.
#[derive(Parser)]
#[command(name = "tenantry", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    format: Format,
    #[command(flatten)]
    telemetry: TelemetryConfig,
}

#[derive(Subcommand)]
enum Command {
    /// Takes the tour: two companies, their people, and what keeps them apart. With --companies and --people: fills
    /// companies with made-up data.
    Demo(Demo),
    /// Makes the central and the migrator's own databases where absent, and migrates both: locally, without a token.
    MigrateCentral {
        #[command(flatten)]
        urls: CentralUrls,
    },
    /// Asks the instance at --address and --port whether it is healthy: 0 if all of it is, 1 if not.
    Health(Patience),
    /// Prints gRPC's service config of all services: load balancing, health checks, and retries of what only reads.
    ServiceConfig,
    #[command(flatten)]
    Operator(Box<OperatorCommand>),
}

#[derive(Args)]
struct Serve {
    /// The folder for databases, keys and credentials.
    #[arg(long, env = "TENANTRY_DATA", default_value = "data", global = true)]
    data: PathBuf,

    /// The address to listen on.
    #[arg(long, env = "TENANTRY_ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), global = true)]
    address: IpAddr,

    /// The catalog's port; the migrator has the next one, and the crm the one after. 0 takes free ones.
    #[arg(long, env = "TENANTRY_PORT", default_value_t = 50051, global = true)]
    port: u16,

    /// How long calls under way may go on after a stop signal, in milliseconds.
    #[arg(long, env = "TENANTRY_DRAIN_GRACE_MS", default_value_t = 10_000)]
    drain_grace_ms: u64,
}

fn main() -> ExitCode {
    match command::parse::<Arguments>(std::env::args_os()) {
        Ok(arguments) => command::run_to_code(arguments.run()),
        Err(error) => error.exit(),
    }
}

impl Arguments {
    async fn run(self) -> anyhow::Result<ExitCode> {
        let mut telemetry = self.telemetry;
        if self.command.is_some() {
            // The tour tells what happens; the log would tell it twice.
            telemetry.log_filter = "error".to_owned();
            // They are about an instance that serves, and its port may be taken by one.
            (telemetry.metrics_listen, telemetry.metrics_interval_ms) = (None, 0);
        }
        let telemetry = tenantry_telemetry::start("tenantry", &telemetry)?;
        let done = match self.command {
            Some(Command::Demo(demo)) => self.serve.demo(demo, &self.connection, self.format).await.map(ExitCode::from),
            Some(Command::MigrateCentral { urls }) => migrate_central(&urls).await,
            Some(Command::Health(patience)) => self.serve.health(&patience).await,
            Some(Command::ServiceConfig) => print_service_config(),
            Some(Command::Operator(command)) => {
                let connection = self.serve.complete(self.connection)?;
                operate(*command, connection, self.format).await
            }
            None => self.serve.run(telemetry.metrics_address()).await.map(|()| ExitCode::SUCCESS),
        };
        telemetry.shut_down().await;
        done
    }
}

async fn migrate_central(urls: &CentralUrls) -> anyhow::Result<ExitCode> {
    for report in migrator::migrate_central(urls).await? {
        println!("{report}");
    }
    Ok(ExitCode::SUCCESS)
}

fn print_service_config() -> anyhow::Result<ExitCode> {
    println!("{:#}", service_config()?);
    Ok(ExitCode::SUCCESS)
}

/// An operator's command, which says itself how it failed.
async fn operate(command: OperatorCommand, connection: Connection, format: Format) -> anyhow::Result<ExitCode> {
    match operator::run::<Arguments>(command, connection, format).await {
        Ok(exit) => Ok(exit.into()),
        Err(error) => {
            let (text, exit) = operator::failure_of(&error);
            eprintln!("error: {text}");
            Ok(exit.into())
        }
    }
}

impl Serve {
    /// Where nothing else is said, the instance is that of --data, --address and --port.
    fn complete(&self, mut connection: Connection) -> anyhow::Result<Connection> {
        let running = self.addresses()?;
        let or = |given: Option<String>, address: SocketAddr| given.unwrap_or_else(|| format!("http://{address}"));
        connection.catalog_address = Some(or(connection.catalog_address, running.catalog));
        connection.migrator_address = Some(or(connection.migrator_address, running.migrator));
        connection.credential_file.get_or_insert_with(|| self.data.join("operator-credential"));
        Ok(connection)
    }

    async fn run(self, metrics: Option<SocketAddr>) -> anyhow::Result<()> {
        let signals = StopSignals::catch()?;
        let instance = self.start(&self.data, self.addresses()?).await?;
        println!("{}", welcome(&instance, metrics));
        let grace = Duration::from_millis(self.drain_grace_ms);
        let signals = tokio::spawn(signals.stop(instance.shutdown().clone(), grace));
        let ended = instance.wait().await;
        signals.abort();
        println!("stopped");
        ended
    }

    async fn health(&self, patience: &Patience) -> anyhow::Result<ExitCode> {
        let Addresses { catalog, migrator, crm } = self.addresses()?;
        for (name, address) in [(catalog::NAME, catalog), (migrator::NAME, migrator), (crm::NAME, crm)] {
            patience.ask_whole(name, &address.to_string()).await?;
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn demo(self, demo: Demo, connection: &Connection, format: Format) -> anyhow::Result<Exit> {
        let running = self.addresses()?;
        if let Some(services) = demo.named(connection, running)? {
            return demo.run(services, format, true).await;
        }
        let goes = if demo.fills() { "the companies go there" } else { "the tour goes there" };
        let services = Services::of(running)?;
        if services.are_running().await {
            tell(format, &format!("An instance runs on {}; {goes}.", running.catalog));
            return demo.run(services, format, true).await;
        }
        let own = match demo.fills() {
            true => "the companies have one of their own, in a temporary folder. Start `tenantry` first to keep them.",
            false => "the tour has one of its own, in a temporary folder.",
        };
        tell(format, &format!("No instance runs on {}; {own}", running.catalog));
        let folder = tempfile::tempdir()?;
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let instance = self.start(folder.path(), Addresses { catalog: free, migrator: free, crm: free }).await?;
        let shown = demo.run(Services::of(instance.addresses())?, format, false).await;
        instance.stop(Duration::from_millis(self.drain_grace_ms)).await?;
        shown
    }

    async fn start(&self, folder: &Path, listen: Addresses) -> anyhow::Result<Instance> {
        Instance::start(
            DataFolder::open(folder)?,
            InstanceConfig {
                listen,
                databases: Databases::Embedded,
                tuning: Tuning::default(),
                beside: Beside::default(),
            },
        )
        .await
    }

    fn addresses(&self) -> anyhow::Result<Addresses> {
        let at = |offset: u16| {
            let port = if self.port == 0 { Some(0) } else { self.port.checked_add(offset) };
            port.map(|port| SocketAddr::new(self.address, port))
                .ok_or_else(|| anyhow::anyhow!("--port leaves no room for three"))
        };
        Ok(Addresses { catalog: at(0)?, migrator: at(1)?, crm: at(2)? })
    }
}

/// Says something beside an answer, which JSON has no room for.
fn tell(format: Format, text: &str) {
    if !format.json {
        println!("{text}");
    }
}

/// What a newcomer needs: where things are, and three commands to paste.
fn welcome(instance: &Instance, metrics: Option<SocketAddr>) -> String {
    let Addresses { catalog, migrator, crm } = instance.addresses();
    let (data, credential) = (instance.folder().path().display(), instance.credential_file().display());
    let metrics = metrics.map(|at| format!("  metrics    http://{at}/metrics\n")).unwrap_or_default();
    let curl = "buf curl --protocol grpc --http2-prior-knowledge";
    format!(
        "Tenantry is up.\n\
         \x20 catalog    http://{catalog}\n\
         \x20 migrator   http://{migrator}\n\
         \x20 crm        http://{crm}\n\
         \x20 data       {data}\n\
         \x20 operator   {credential}\n\
         {metrics}\
         \n\
         Try it:\n\
         \x20 {curl} -d '{{\"name\":\"Sunrise Energy\",\"owner_email\":\"ada@example.com\",\"owner_password\":\"correct horse battery\"}}' http://{catalog}/tenantry.catalog.v1.CompanyService/RegisterCompany\n\
         \x20 TOKEN=$({curl} -d '{{\"email\":\"ada@example.com\",\"password\":\"correct horse battery\"}}' http://{catalog}/tenantry.catalog.v1.TokenService/Login | sed -n 's/.*\"accessToken\": *\"\\([^\"]*\\)\".*/\\1/p')\n\
         \x20 {curl} -H \"authorization: Bearer $TOKEN\" -d '{{\"person\":{{\"name\":\"Grace\",\"surname\":\"Hopper\"}}}}' http://{crm}/tenantry.crm.v1.PersonService/CreatePerson\n\
         \n\
         Ctrl-C stops it."
    )
}
