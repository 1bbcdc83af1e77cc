//! Three services in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use catalog::{BootstrapError, Catalog, CatalogConfig, CentralConfig, IssuerSettings, SealingConfig};
use migrator::{CentralUrls, Migrator, MigratorConfig};
use tenantry_migration::MigrationSet;
use tenantry_rpc::Shutdown;
use tenantry_rpc::command::Started;
use tenantry_rpc::server::{Mode, ServerConfig, listen};
use tenantry_tenancy::TenantServiceConfig;
use tokio::task::JoinHandle;

use crate::DataFolder;

/// The name of the one database server of a standalone instance.
const LOCAL_SERVER: &str = "local";

/// How an instance is put together.
pub struct InstanceConfig {
    /// Where each service listens; port 0 takes a free one.
    pub listen: Addresses,
    /// Where the databases are.
    pub databases: Databases,
    /// What is set apart from the defaults.
    pub tuning: Tuning,
    /// What there is beside our three services.
    pub beside: Beside,
}

/// Services of somebody else's, beside ours.
#[derive(Clone, Default)]
pub struct Beside {
    /// The sets of plugins that the migrator has besides ours.
    pub plugins: Vec<MigrationSet>,
    /// The file that names tenant-aware services, as the catalog takes it.
    pub tenant_services_file: Option<PathBuf>,
    /// The same services' names: each gets a key at the first start.
    pub services: Vec<String>,
}

/// Settings of an instance that are not the services' defaults. Times that nobody waits for in a test.
#[derive(Debug, Clone, Default)]
pub struct Tuning {
    /// For how long a rotated database credential goes on working, in seconds.
    pub credential_drain_s: Option<u64>,
    /// For how long the crm uses a placement without asking again, in milliseconds.
    pub placement_ttl_ms: Option<u64>,
    /// Databases that are made ahead on each server.
    pub spares_per_server: Option<u16>,
    /// For how long events are kept, in days.
    pub events_kept_days: Option<u16>,
    /// How often events that are older are looked for, in milliseconds.
    pub events_sweep_ms: Option<u64>,
    /// How long a signing key signs, and how long it is published before, in seconds.
    pub key_rotation_s: Option<(u32, u32)>,
    /// How the catalog deals with issuers of other tokens.
    pub issuers: Option<IssuerSettings>,
    /// The bounds of the crm's imports and exports.
    pub transfers: Option<crm::TransferConfig>,
}

impl Tuning {
    /// All the services' defaults.
    pub const NONE: Self = Self {
        credential_drain_s: None,
        placement_ttl_ms: None,
        spares_per_server: None,
        events_kept_days: None,
        events_sweep_ms: None,
        key_rotation_s: None,
        issuers: None,
        transfers: None,
    };
}

/// The addresses of the three services.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The catalog's.
    pub catalog: SocketAddr,
    /// The migrator's.
    pub migrator: SocketAddr,
    /// The crm's.
    pub crm: SocketAddr,
}

/// Where the databases of an instance are.
pub enum Databases {
    /// SQLite files in the data folder.
    Embedded,
    /// On servers, for tests: everything else runs as it does embedded.
    Servers {
        /// The central database's URL.
        central_url: String,
        /// The migrator's own database's URL.
        migrator_url: String,
        /// The servers for companies.
        servers: Vec<Server>,
        /// What the names of databases and roles begin with.
        prefix: String,
    },
}

/// A database server for companies.
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its address without credentials, for the catalog.
    pub public_url: String,
    /// Its address with the administrative credential, for the migrator.
    pub admin_url: String,
}

/// Three running services.
pub struct Instance {
    addresses: Addresses,
    credential_file: PathBuf,
    folder: DataFolder,
    shutdown: Shutdown,
    services: JoinHandle<()>,
}

impl Instance {
    /// Starts everything: keys and credentials at the first start, migrations of
    /// the control plane, then the services.
    pub async fn start(folder: DataFolder, config: InstanceConfig) -> anyhow::Result<Self> {
        let (tuning, beside) = (config.tuning, config.beside);
        let plan = Plan::of(&folder, config.databases, tuning.clone())?;
        migrator::migrate_central(&plan.urls).await.context("the control plane's databases are not ready")?;
        let credential_file = folder.join("operator-credential");
        bootstrap(&plan.urls.central_database_url, &credential_file).await?;

        let at = |address| ServerConfig::at(address, Mode::Dev);
        let catalog_port = listen(&at(config.listen.catalog)).await?;
        let migrator_port = listen(&at(config.listen.migrator)).await?;
        let crm_port = listen(&at(config.listen.crm)).await?;
        let addresses = Addresses {
            catalog: catalog_port.local_addr()?,
            migrator: migrator_port.local_addr()?,
            crm: crm_port.local_addr()?,
        };

        for service in &beside.services {
            folder.identity(service)?;
        }
        let mut catalog = plan.catalog(&folder, addresses)?;
        catalog.tenant_services_file = beside.tenant_services_file;
        let catalog = Catalog::start(catalog, catalog_port).await?;
        let plugins = [migrator::sets::plugins()?, beside.plugins].concat();
        let migrator = Migrator::start_with(plan.migrator(&folder, addresses)?, migrator_port, plugins).await?;
        let crm = crm::start(crm_config(&folder, addresses, &tuning)?, crm_port).await?;

        let shutdown = Shutdown::new();
        let (for_catalog, for_migrator, for_crm) = (shutdown.clone(), shutdown.clone(), shutdown.clone());
        let services = tokio::spawn(async move {
            tokio::join!(catalog.serve(for_catalog), migrator.serve(for_migrator), crm.serve(for_crm));
        });
        Ok(Self { addresses, credential_file, folder, shutdown, services })
    }

    /// Where the services listen.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The file with the first operator's credential.
    pub fn credential_file(&self) -> &std::path::Path {
        &self.credential_file
    }

    /// The folder that it lives in.
    pub fn folder(&self) -> &DataFolder {
        &self.folder
    }

    /// Its shutdown.
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Runs until the shutdown has ended every service.
    pub async fn wait(self) -> anyhow::Result<()> {
        Ok(self.services.await?)
    }

    /// Stops within `grace`.
    pub async fn stop(self, grace: Duration) -> anyhow::Result<()> {
        self.shutdown.begin();
        let shutdown = self.shutdown.clone();
        let force = async move {
            tokio::time::sleep(grace).await;
            shutdown.force();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = self.services => Ok(ended?),
            () = force => Ok(()),
        }
    }
}

/// What follows from where the databases are.
struct Plan {
    urls: CentralUrls,
    servers: Vec<Server>,
    prefix: String,
    tuning: Tuning,
}

impl Plan {
    fn of(folder: &DataFolder, databases: Databases, tuning: Tuning) -> anyhow::Result<Self> {
        let file = |name: &str| anyhow::Ok(format!("sqlite://{}", utf8(folder.join(name))?));
        match databases {
            Databases::Embedded => {
                let tenants = format!("sqlite:{}", utf8(folder.join("tenants"))?);
                let server = Server { name: LOCAL_SERVER.to_owned(), public_url: tenants.clone(), admin_url: tenants };
                let urls = CentralUrls {
                    central_database_url: file("central.db")?,
                    migrator_database_url: file("migrator.db")?,
                };
                Ok(Self { urls, servers: vec![server], prefix: "tnt_".to_owned(), tuning })
            }
            Databases::Servers { central_url, migrator_url, servers, prefix } => {
                let urls = CentralUrls { central_database_url: central_url, migrator_database_url: migrator_url };
                Ok(Self { urls, servers, prefix, tuning })
            }
        }
    }

    fn catalog(&self, folder: &DataFolder, addresses: Addresses) -> anyhow::Result<CatalogConfig> {
        let sealing =
            SealingConfig { key_encryption_key: None, key_encryption_key_file: Some(folder.key_encryption_key()?) };
        let central = central(&self.urls.central_database_url);
        let mut config =
            CatalogConfig::at(addresses.catalog, Mode::Dev, central, sealing, folder.identity(catalog::NAME)?);
        config.migrator_address = format!("http://{}", addresses.migrator);
        config.issuer = issuer(addresses);
        config.public_sign_up = true;
        if let Some((period, overlap)) = self.tuning.key_rotation_s {
            (config.keys.key_rotation_period_s, config.keys.key_overlap_s) = (period, overlap);
            (config.keys.key_poll_ms, config.jwks_max_age_s) = (100, overlap);
        }
        config.credential_drain_s = self.tuning.credential_drain_s.unwrap_or(config.credential_drain_s);
        config.events.events_kept_days = self.tuning.events_kept_days.unwrap_or(config.events.events_kept_days);
        config.events.events_sweep_ms = self.tuning.events_sweep_ms.unwrap_or(config.events.events_sweep_ms);
        config.issuers = self.tuning.issuers.clone().unwrap_or_default();
        for server in &self.servers {
            let public = format!("{}={}", server.name, server.public_url);
            config.database_servers.push(public.parse().map_err(anyhow::Error::msg)?);
        }
        // All keys have to be there before the first service reads them.
        folder.identity(migrator::NAME)?;
        folder.identity(crm::NAME)?;
        Ok(config)
    }

    fn migrator(&self, folder: &DataFolder, addresses: Addresses) -> anyhow::Result<MigratorConfig> {
        let url = self.urls.migrator_database_url.clone();
        let prefix = self.prefix.parse().map_err(anyhow::Error::msg)?;
        let mut config =
            MigratorConfig::at(addresses.migrator, Mode::Dev, url, folder.identity(migrator::NAME)?, prefix);
        config.catalog_address = format!("http://{}", addresses.catalog);
        config.issuer = issuer(addresses);
        config.spares.spares_per_server = self.tuning.spares_per_server.unwrap_or(config.spares.spares_per_server);
        config.central_database_url = Some(self.urls.central_database_url.clone().into());
        for server in &self.servers {
            let admin = format!("{}={}", server.name, server.admin_url);
            config.database_servers.push(admin.parse().map_err(anyhow::Error::msg)?);
        }
        Ok(config)
    }
}

fn crm_config(folder: &DataFolder, addresses: Addresses, tuning: &Tuning) -> anyhow::Result<crm::CrmConfig> {
    let mut config = TenantServiceConfig::at(addresses.crm, Mode::Dev, folder.identity(crm::NAME)?);
    config.catalog_address = format!("http://{}", addresses.catalog);
    config.issuer = issuer(addresses);
    config.placements.placement_ttl_ms = tuning.placement_ttl_ms.unwrap_or(config.placements.placement_ttl_ms);
    Ok(crm::CrmConfig { service: config, transfers: tuning.transfers.clone().unwrap_or_default() })
}

fn issuer(addresses: Addresses) -> String {
    format!("http://{}", addresses.catalog)
}

fn central(url: &str) -> CentralConfig {
    CentralConfig { database_url: url.to_owned(), database_connections: 10, database_connect_timeout_ms: 5_000 }
}

async fn bootstrap(central_url: &str, credential_file: &std::path::Path) -> anyhow::Result<()> {
    match catalog::bootstrap_operator(&central(central_url), "operator", Some(credential_file)).await {
        Ok(_) | Err(BootstrapError::Exists) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn utf8(path: PathBuf) -> anyhow::Result<String> {
    path.into_os_string().into_string().map_err(|path| anyhow::anyhow!("the path {path:?} is not Unicode"))
}
