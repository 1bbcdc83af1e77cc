//! The migrator's own database.

pub(crate) mod claims;
pub(crate) mod drift;
pub(crate) mod plugins;
pub(crate) mod rollouts;
pub(crate) mod runs;
pub(crate) mod spares;

use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use tenantry_migration::{MigrationError, MigrationSet, status};
pub(crate) use tenantry_store::StoreError;

/// The migrator's own database, as configured.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Own database")]
pub struct OwnDatabaseConfig {
    /// The migrator's own database: postgres://…, mysql://…, or sqlite://… for the standalone instance.
    #[arg(long, env = "MIGRATOR_DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    /// Connections to it at most. SQLite always has one.
    #[arg(long, env = "MIGRATOR_DATABASE_CONNECTIONS", default_value_t = 5)]
    pub database_connections: u32,

    /// How long to wait for a connection, in milliseconds.
    #[arg(long, env = "MIGRATOR_DATABASE_CONNECT_TIMEOUT_MS", default_value_t = 5_000)]
    pub database_connect_timeout_ms: u64,
}

/// The migrator's own database, and no other.
#[derive(Clone)]
pub(crate) struct OwnDb(DatabaseConnection);

impl OwnDb {
    pub(crate) async fn open(config: &OwnDatabaseConfig) -> Result<Self, StoreError> {
        let (url, connections, timeout) =
            (&config.database_url, config.database_connections, config.database_connect_timeout_ms);
        tenantry_store::open(url, connections, timeout, "tenantry-migrator").await.map(Self)
    }

    pub(crate) fn raw(&self) -> &DatabaseConnection {
        &self.0
    }

    /// A transaction; rolled back unless committed.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, StoreError> {
        Ok(self.0.begin().await?)
    }

    /// Whether the schema is what this migrator needs.
    pub(crate) async fn is_current(&self, set: &MigrationSet) -> Result<bool, MigrationError> {
        // A ledger from the future is fine: while an upgrade rolls, its schema is there first.
        let status = status(&self.0, set).await?;
        Ok(status.pending.is_empty() && status.mismatched.is_empty())
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }
}
