//! All three services in the test's process, each on a free port, with databases of the test's own.

mod clients;
mod databases;
mod own;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tenantry::{Addresses, DataFolder, Databases, Instance, InstanceConfig};
pub use tenantry::{Beside, Tuning};
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::membership_service_client::MembershipServiceClient;
use tenantry_api::catalog::v1::operator_service_client::OperatorServiceClient;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::migrator::v1::migration_service_client::MigrationServiceClient;
use tenantry_api::migrator::v1::rollout_service_client::RolloutServiceClient;
use tenantry_api::migrator::v1::tenant_database_service_client::TenantDatabaseServiceClient;
use tenantry_rpc::SystemClock;
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_telemetry::{Telemetry, TelemetryConfig};

pub use clients::Clients;
pub use databases::{Engine, OnServer};
use own::OwnDatabase;

/// How long a sandbox may take to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Three services and their databases, for one test. [`Sandbox::stop`] removes everything and says what it could not.
pub struct Sandbox {
    instance: Instance,
    databases: Option<OnServer>,
    folder: tempfile::TempDir,
    tuning: Tuning,
    beside: Beside,
}

impl Sandbox {
    /// Starts on `engine`: on the suite's server, or embedded.
    pub async fn start(engine: Engine) -> anyhow::Result<Self> {
        Self::start_on(OnServer::of_suite(engine)?).await
    }

    /// Starts on a database server of the test's own; `None` is embedded.
    pub async fn start_on(databases: Option<OnServer>) -> anyhow::Result<Self> {
        Self::start_tuned(databases, Tuning::default()).await
    }

    /// As [`start_on`](Self::start_on), with times that a test can wait for.
    pub async fn start_tuned(databases: Option<OnServer>, tuning: Tuning) -> anyhow::Result<Self> {
        Self::start_whole(databases, tuning, Beside::default()).await
    }

    /// As [`start`](Self::start), with services of somebody else's beside ours.
    pub async fn start_beside(engine: Engine, beside: Beside) -> anyhow::Result<Self> {
        Self::start_whole(OnServer::of_suite(engine)?, Tuning::default(), beside).await
    }

    async fn start_whole(databases: Option<OnServer>, tuning: Tuning, beside: Beside) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let instance = start(folder.path(), databases.as_ref(), tuning.clone(), beside.clone()).await?;
        Ok(Self { instance, databases, folder, tuning, beside })
    }

    /// Starts with central on the suite's PostgreSQL and a server of each engine for companies: `main` is PostgreSQL, the
    /// others are called `mariadb` and `sqlite`.
    pub async fn start_on_all() -> anyhow::Result<Self> {
        Self::start_on(OnServer::of_all()?).await
    }

    /// Stops the services and starts them again on the same data.
    pub async fn restart(self) -> anyhow::Result<Self> {
        let Self { instance, databases, folder, tuning, beside } = self;
        instance.stop(GRACE).await?;
        let instance = start(folder.path(), databases.as_ref(), tuning.clone(), beside.clone()).await;
        Ok(Self { instance: instance.context("the second start")?, databases, folder, tuning, beside })
    }

    /// Stops the services and drops what they made.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.instance.stop(GRACE).await?;
        match self.databases {
            Some(databases) => databases.drop_all().await,
            None => Ok(()),
        }
    }

    /// Where the services listen.
    pub fn addresses(&self) -> Addresses {
        self.instance.addresses()
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The databases, where they are on a server.
    pub fn on_server(&self) -> Option<&OnServer> {
        self.databases.as_ref()
    }

    /// Runs one statement in a company's database behind everybody's back, as an administrator.
    pub async fn run_in(&self, database: &str, sql: &str) -> anyhow::Result<()> {
        self.own(&format!("tenants/{database}.db"), |_| database.to_owned()).run(sql).await
    }

    /// As [`ask_central`](Self::ask_central), of a company's database.
    pub async fn ask_in(&self, database: &str, sql: &str) -> anyhow::Result<Vec<String>> {
        self.own(&format!("tenants/{database}.db"), |_| database.to_owned()).texts(sql).await
    }

    /// Runs one statement in the central database, behind the catalog's back: for states that no call leads to.
    pub async fn run_in_central(&self, sql: &str) -> anyhow::Result<()> {
        self.central().run(sql).await
    }

    /// The first column of what a query of the central database finds, as text.
    pub async fn ask_central(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        self.central().texts(sql).await
    }

    /// Runs one statement in the migrator's own database, for what a crash leaves there.
    pub async fn run_in_migrators(&self, sql: &str) -> anyhow::Result<()> {
        self.migrators().run(sql).await
    }

    /// As [`ask_central`](Self::ask_central), of the migrator's own database.
    pub async fn ask_migrators(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        self.migrators().texts(sql).await
    }

    fn migrators(&self) -> OwnDatabase {
        self.own("migrator.db", OnServer::migrators)
    }

    /// The URL of the central database.
    pub fn central_url(&self) -> String {
        self.central().0
    }

    fn central(&self) -> OwnDatabase {
        self.own("central.db", OnServer::central)
    }

    fn own(&self, file: &str, name: impl Fn(&OnServer) -> String) -> OwnDatabase {
        match &self.databases {
            Some(server) => OwnDatabase(server.url_of(&name(server))),
            None => OwnDatabase(format!("sqlite://{}", self.folder().join("data").join(file).display())),
        }
    }

    /// The first operator's credential.
    pub fn operator_credential(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.instance.credential_file())?.trim().to_owned())
    }

    /// The token that one service signs for its calls to another.
    pub fn service_token(&self, name: &str, server: &str) -> anyhow::Result<String> {
        let file = self.folder().join("data/keys").join(format!("{name}.pem"));
        Ok(ServiceIdentity::load(name, &file, Arc::new(SystemClock))?.token(server)?.to_string())
    }

    /// A channel without an identity, as any client has one.
    pub fn channel(&self, service: &'static str) -> anyhow::Result<ServiceChannel> {
        Ok(client::open(&format!("http://{}", self.address_of(service)?), service, None)?)
    }

    /// Where the service of this name listens.
    pub fn address_of(&self, service: &str) -> anyhow::Result<SocketAddr> {
        let addresses = self.addresses();
        match service {
            "catalog" => Ok(addresses.catalog),
            "migrator" => Ok(addresses.migrator),
            "crm" => Ok(addresses.crm),
            _ => anyhow::bail!("no service {service:?}"),
        }
    }

    /// Clients of all three.
    pub fn clients(&self) -> Clients {
        Clients::of(self.addresses())
    }

    /// A client of the catalog.
    pub fn companies(&self) -> anyhow::Result<CompanyServiceClient<ServiceChannel>> {
        self.clients().companies()
    }

    /// A client of the catalog.
    pub fn tokens(&self) -> anyhow::Result<TokenServiceClient<ServiceChannel>> {
        self.clients().tokens()
    }

    /// A client of the catalog.
    pub fn operators(&self) -> anyhow::Result<OperatorServiceClient<ServiceChannel>> {
        self.clients().operators()
    }

    /// A client of the catalog.
    pub fn memberships(&self) -> anyhow::Result<MembershipServiceClient<ServiceChannel>> {
        self.clients().memberships()
    }

    /// A client of the catalog, for services.
    pub fn directory(&self) -> anyhow::Result<TenantDirectoryServiceClient<ServiceChannel>> {
        self.clients().directory()
    }

    /// A client of the migrator.
    pub fn tenant_databases(&self) -> anyhow::Result<TenantDatabaseServiceClient<ServiceChannel>> {
        self.clients().tenant_databases()
    }

    /// A client of the migrator.
    pub fn migrations(&self) -> anyhow::Result<MigrationServiceClient<ServiceChannel>> {
        self.clients().migrations()
    }

    /// A client of the migrator.
    pub fn rollouts(&self) -> anyhow::Result<RolloutServiceClient<ServiceChannel>> {
        self.clients().rollouts()
    }

    /// A client of the crm.
    pub fn people(&self) -> anyhow::Result<PersonServiceClient<ServiceChannel>> {
        self.clients().people()
    }
}

async fn start(
    folder: &Path,
    databases: Option<&OnServer>,
    tuning: Tuning,
    beside: Beside,
) -> anyhow::Result<Instance> {
    trace();
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listen = Addresses { catalog: free, migrator: free, crm: free };
    let databases = databases.map_or(Databases::Embedded, |servers| servers.plan(folder));
    Instance::start(DataFolder::open(&folder.join("data"))?, InstanceConfig { listen, databases, tuning, beside }).await
}

/// Traces, once per process: errors carry their trace's id only where there is a trace. Logs stay quiet.
fn trace() {
    static TELEMETRY: OnceLock<Option<Telemetry>> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let config = TelemetryConfig { log_filter: "off".to_owned(), ..TelemetryConfig::default() };
        tenantry_telemetry::start("sandbox", &config).ok()
    });
}
