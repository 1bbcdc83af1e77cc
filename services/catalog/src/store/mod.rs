//! The central database. Only this module knows its tables; nothing here can be
//! given a tenant's connection, because it asks for a [`CentralConnection`].

pub(crate) mod api_keys;
pub(crate) mod changes;
pub(crate) mod companies;
pub(crate) mod entities;
pub(crate) mod events;
pub(crate) mod figures;
pub(crate) mod fleet;
pub(crate) mod issuers;
pub(crate) mod keys;
pub(crate) mod password_resets;
pub(crate) mod people;
pub(crate) mod plans;
pub(crate) mod plugins;
pub(crate) mod provisioning;
pub(crate) mod rotations;
pub(crate) mod schema;
pub(crate) mod servers;
pub(crate) mod sessions;
pub(crate) mod throttle;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait};
pub(crate) use tenantry_store::StoreError;

/// How long the central database may take to answer, as configured.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Central database")]
pub struct CentralConfig {
    /// The central database: postgres://…, mysql://…, or sqlite://… for the standalone instance.
    #[arg(long, env = "CATALOG_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// Connections to the central database at most. SQLite always has one.
    #[arg(long, env = "CATALOG_DATABASE_CONNECTIONS", default_value_t = 10)]
    pub database_connections: u32,

    /// How long to wait for a connection, in milliseconds.
    #[arg(long, env = "CATALOG_DATABASE_CONNECT_TIMEOUT_MS", default_value_t = 5_000)]
    pub database_connect_timeout_ms: u64,
}

mod sealed {
    pub(crate) trait Sealed {}
}

/// A connection to the central database, and to no other.
pub(crate) trait CentralConnection: sealed::Sealed + Sync {
    /// What SeaORM runs on.
    type Raw: ConnectionTrait;
    fn raw(&self) -> &Self::Raw;
}

/// The central database.
#[derive(Clone)]
pub(crate) struct CentralDb(DatabaseConnection);

/// A transaction on it; rolled back unless committed.
pub(crate) struct CentralTx(DatabaseTransaction);

impl sealed::Sealed for CentralDb {}
impl sealed::Sealed for CentralTx {}

impl CentralConnection for CentralDb {
    type Raw = DatabaseConnection;

    fn raw(&self) -> &DatabaseConnection {
        &self.0
    }
}

impl CentralConnection for CentralTx {
    type Raw = DatabaseTransaction;

    fn raw(&self) -> &DatabaseTransaction {
        &self.0
    }
}

impl CentralDb {
    pub(crate) async fn open(config: &CentralConfig) -> Result<Self, StoreError> {
        let (url, connections, timeout) =
            (&config.database_url, config.database_connections, config.database_connect_timeout_ms);
        tenantry_store::open(url, connections, timeout, "tenantry-catalog").await.map(Self)
    }

    pub(crate) async fn begin(&self) -> Result<CentralTx, StoreError> {
        Ok(CentralTx(self.0.begin().await?))
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }
}

impl CentralTx {
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.0.commit().await?)
    }
}
