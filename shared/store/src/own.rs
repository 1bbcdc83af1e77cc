//! A service's own database, as opposed to a tenant's.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, SqlErr};
use tenantry_rpc::{Error, Reason};

use crate::{driver, is_conflict, is_disk_full, is_unavailable};

/// How long a caller waits before another try.
const SOON: Duration = Duration::from_secs(1);
/// The same, where somebody has to do something first.
const LATER: Duration = Duration::from_secs(60);

/// What a service's own database refused, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique key is taken; somebody was faster.
    #[error("a unique key is taken")]
    Taken(#[source] DbErr),
    /// The transaction collided with another; run again, it may succeed.
    #[error("the transaction collided with another")]
    Collided(#[source] DbErr),
    /// The database cannot be reached at the moment.
    #[error("the service's own database cannot be reached")]
    Unavailable(#[source] DbErr),
    /// The database has no room for it.
    #[error("the service's own database has no room")]
    Full(#[source] DbErr),
    /// Anything else: ours.
    #[error("the service's own database failed")]
    Database(#[source] DbErr),
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
            return Self::Taken(error);
        }
        if is_conflict(&error) {
            return Self::Collided(error);
        }
        match (&error, driver(&error)) {
            (DbErr::ConnectionAcquire(_), _) => Self::Unavailable(error),
            (_, Some(cause)) if is_unavailable(cause) => Self::Unavailable(error),
            (_, Some(cause)) if is_disk_full(cause) => Self::Full(error),
            _ => Self::Database(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                Error::new(Reason::DatabaseUnavailable, "the service's own database cannot be reached; try again")
                    .retry_after(SOON)
                    .caused_by(error)
            }
            StoreError::Full(_) => {
                let message = "the service's own database has no room for more; whoever operates it has to make some";
                Error::new(Reason::DatabaseServerFull, message).retry_after(LATER).caused_by(error)
            }
            StoreError::Collided(_) => {
                Error::new(Reason::Overloaded, "others change the same at this moment; try again").retry_after(SOON)
            }
            StoreError::Taken(_) | StoreError::Database(_) => Error::internal(error),
        }
    }
}

/// Opens a service's own database. SQLite has one connection, since it has one
/// writer; `connections` is for the others.
#[allow(clippy::disallowed_methods)] // The one place that opens services' own databases.
pub async fn open(
    url: &str,
    connections: u32,
    connect_timeout_ms: u64,
    application: &'static str,
) -> Result<DatabaseConnection, StoreError> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(if url.starts_with("sqlite:") { 1 } else { connections })
        .min_connections(1)
        .acquire_timeout(Duration::from_millis(connect_timeout_ms))
        .test_before_acquire(false)
        .set_application_name(application)
        .sqlx_logging(false)
        // Values are bound apart from the text.
        .record_stmt_in_spans(true);
    Database::connect(options).await.map_err(StoreError::Unavailable)
}
