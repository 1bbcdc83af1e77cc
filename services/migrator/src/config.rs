//! The migrator's configuration.

use std::net::SocketAddr;

use clap::Args;
use secrecy::SecretString;
use tenantry_rpc::auth::{KeyCacheConfig, ServiceKeyFiles};
use tenantry_rpc::server::{Mode, ServerConfig};

use crate::app::rollouts::EngineSettings;
use crate::app::spares::SpareSettings;
use crate::ident::Prefix;
use crate::servers::ServerAddress;
use crate::store::OwnDatabaseConfig;

/// Everything `migrator serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct MigratorConfig {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub token_keys: KeyCacheConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub own_database: OwnDatabaseConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub identity: ServiceKeyFiles,

    /// The address of the catalog, whose keys verify operators' tokens; of several replicas with commas between them, and
    /// each that its name has takes its turn.
    #[arg(long, env = "TENANTRY_CATALOG_ADDRESS", default_value = "http://127.0.0.1:50051")]
    pub catalog_address: String,

    /// The issuer that tokens name, as the catalog is configured.
    #[arg(long, env = "TENANTRY_ISSUER", default_value = "https://tenantry.invalid")]
    pub issuer: String,

    /// A database server with its administrative credential: name=postgres://admin:password@host:port/postgres,
    /// name=mysql://… or name=sqlite:/folder. May be repeated. With ?charset=…&collation=… new databases there get
    /// those: UTF8 and C on PostgreSQL, utf8mb4 and utf8mb4_bin on MySQL and MariaDB unless said otherwise.
    #[arg(long = "database-server", env = "MIGRATOR_DATABASE_SERVERS", value_delimiter = ',', hide_env_values = true)]
    pub database_servers: Vec<ServerAddress>,

    /// The central database, for the commands that migrate it by RPC. Without it there is "migrate-central".
    #[arg(long, env = "CATALOG_DATABASE_URL", hide_env_values = true)]
    pub central_database_url: Option<SecretString>,

    /// How long a statement of a migration waits for a table before it lets everybody else pass and tries again, in
    /// milliseconds.
    #[arg(long, env = "MIGRATOR_LOCK_TIMEOUT_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub lock_timeout_ms: u64,

    /// How long a statement of a migration may run, in milliseconds, unless the migration says otherwise.
    #[arg(long, env = "MIGRATOR_STATEMENT_TIMEOUT_MS", default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub statement_timeout_ms: u64,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub rollouts: EngineSettings,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub spares: SpareSettings,

    /// What the names of databases and roles begin with: at most 6 characters.
    #[arg(long, env = "MIGRATOR_DATABASE_PREFIX", default_value = "tnt_")]
    pub database_prefix: Prefix,

    /// Databases that are compared with a scratch database at the same time, at most.
    #[arg(long, env = "MIGRATOR_DRIFT_CHECKS_AT_ONCE", default_value_t = DRIFT_CHECKS_AT_ONCE)]
    pub drift_checks_at_once: usize,
}

/// Each makes a database and drops it again, which is much for a server that has other things to do.
const DRIFT_CHECKS_AT_ONCE: usize = 2;

impl MigratorConfig {
    /// The defaults, whatever the environment says, with what has none.
    pub fn at(
        listen: SocketAddr,
        mode: Mode,
        own_database_url: String,
        identity: ServiceKeyFiles,
        database_prefix: Prefix,
    ) -> Self {
        Self {
            server: ServerConfig::at(listen, mode),
            token_keys: KeyCacheConfig::default(),
            own_database: OwnDatabaseConfig {
                database_url: own_database_url,
                database_connections: 5,
                database_connect_timeout_ms: 5_000,
            },
            identity,
            catalog_address: "http://127.0.0.1:50051".to_owned(),
            issuer: "https://tenantry.invalid".to_owned(),
            database_servers: Vec::new(),
            central_database_url: None,
            lock_timeout_ms: 2_000,
            statement_timeout_ms: 600_000,
            rollouts: EngineSettings::default(),
            spares: SpareSettings::default(),
            database_prefix,
            drift_checks_at_once: DRIFT_CHECKS_AT_ONCE,
        }
    }
}
