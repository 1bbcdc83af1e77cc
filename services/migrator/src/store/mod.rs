//! The migrator's own database.

pub(crate) mod claims;

use std::time::Duration;

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr, SqlErr};
use tenantry_migration::{MigrationError, MigrationSet, status};
use tenantry_rpc::{Error, Reason};

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

/// What the migrator's own database refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique key is taken; somebody was faster.
    #[error("a unique key is taken")]
    Taken(#[source] DbErr),
    /// The database cannot be reached.
    #[error("the migrator's own database cannot be reached")]
    Unavailable(#[source] DbErr),
    /// Anything else.
    #[error("the migrator's own database failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::Taken(error);
        }
        match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable(error),
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Error::new(Reason::DatabaseUnavailable, "the migrator's own database cannot be reached; try again")
                    .retry_after(Duration::from_secs(1))
                    .caused_by(error)
            }
            StoreError::Taken(_) | StoreError::Database(_) => Error::internal(error),
        }
    }
}

/// The migrator's own database, and no other.
#[derive(Clone)]
pub(crate) struct OwnDb(DatabaseConnection);

impl OwnDb {
    #[allow(clippy::disallowed_methods)] // The one place that opens the migrator's own database.
    pub(crate) async fn open(config: &OwnDatabaseConfig) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new(&config.database_url);
        let connections = if config.database_url.starts_with("sqlite:") { 1 } else { config.database_connections };
        options
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(Duration::from_millis(config.database_connect_timeout_ms))
            .set_application_name("tenantry-migrator")
            .sqlx_logging(false)
            .record_stmt_in_spans(false);
        Database::connect(options).await.map(Self).map_err(StoreError::Unavailable)
    }

    pub(crate) fn raw(&self) -> &impl ConnectionTrait {
        &self.0
    }

    /// Whether the schema is what this migrator needs.
    pub(crate) async fn is_current(&self, set: &MigrationSet) -> Result<bool, MigrationError> {
        Ok(status(&self.0, set).await?.is_current())
    }

    pub(crate) async fn close(self) -> Result<(), StoreError> {
        Ok(self.0.close().await?)
    }
}
