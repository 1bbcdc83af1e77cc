//! The central database. Only this module knows its tables; nothing here can be
//! given a tenant's connection, because it asks for a [`CentralConnection`].

pub(crate) mod companies;
pub(crate) mod entities;
pub(crate) mod events;
pub(crate) mod keys;
pub(crate) mod people;
pub(crate) mod provisioning;
pub(crate) mod schema;
pub(crate) mod servers;

use std::time::Duration;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbErr, RuntimeErr, SqlErr,
    TransactionTrait,
};
use tenantry_idempotency::IdempotencyError;
use tenantry_rpc::{Error, Reason};

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

/// What the central database refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique key is taken; somebody was faster.
    #[error("a unique key is taken")]
    Taken(#[source] DbErr),
    /// The database cannot be reached.
    #[error("the central database cannot be reached")]
    Unavailable(#[source] DbErr),
    /// A row that does not make sense.
    #[error("{table} {row}: {problem}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The row's key.
        row: String,
        /// What is wrong.
        problem: String,
    },
    /// Anything else.
    #[error("the central database failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if let Some(SqlErr::UniqueConstraintViolation(_)) = error.sql_err() {
            return Self::Taken(error);
        }
        match &error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) | DbErr::Query(RuntimeErr::Internal(_)) => {
                Self::Unavailable(error)
            }
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Error::new(Reason::DatabaseUnavailable, "the central database cannot be reached; try again")
                    .retry_after(Duration::from_secs(1))
                    .caused_by(error)
            }
            StoreError::Taken(_) | StoreError::BadRow { .. } | StoreError::Database(_) => Error::internal(error),
        }
    }
}

impl From<IdempotencyError> for StoreError {
    fn from(error: IdempotencyError) -> Self {
        match error {
            IdempotencyError::UnderWay | IdempotencyError::Reused => {
                Self::Taken(DbErr::Custom("the request id is taken".to_owned()))
            }
            IdempotencyError::Database(error) => error.into(),
        }
    }
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
    #[allow(clippy::disallowed_methods)] // The one place that opens the central database.
    pub(crate) async fn open(config: &CentralConfig) -> Result<Self, StoreError> {
        let mut options = ConnectOptions::new(&config.database_url);
        let connections = if config.database_url.starts_with("sqlite:") { 1 } else { config.database_connections };
        options
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(Duration::from_millis(config.database_connect_timeout_ms))
            .test_before_acquire(false)
            .set_application_name("tenantry-catalog")
            .sqlx_logging(false)
            .record_stmt_in_spans(false);
        Database::connect(options).await.map(Self).map_err(StoreError::Unavailable)
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
