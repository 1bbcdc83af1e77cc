//! What can go wrong on the way to a tenant's database.
//!
//! No `Display` here prints its source: the sentence is for the caller, the
//! chain of sources is for the log.

use sea_orm::DbErr;

use crate::engine;

/// A configuration that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Why a request got no connection.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The budget was in use until the caller's deadline, or the configured
    /// checkout timeout.
    #[error("every connection was in use")]
    Exhausted,
    /// The caller's deadline had passed before, or passed while connecting.
    #[error("the deadline passed")]
    DeadlinePassed,
    /// The server did not answer, or not in time, or has no room.
    #[error("the database server is unreachable")]
    Connect(#[source] sqlx::Error),
    /// The server could not be reached lately, and is not tried again before then.
    #[error("the database server is unreachable, and not tried again yet")]
    Broken {
        /// How long it is not tried.
        retry_after: std::time::Duration,
    },
    /// The server answered, and refused this login or has no such database.
    #[error("the database server refused the connection")]
    Refused(#[source] sqlx::Error),
    /// The pools are closed: the process is stopping.
    #[error("the process is shutting down")]
    Closed,
}

/// Why work on a tenant's database did not happen.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// No connection could be had.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// The request that the handle came from has ended.
    #[error("the request has ended")]
    RequestEnded,
    /// The database refused a statement, or the connection broke.
    #[error("the tenant's database failed")]
    Database(#[source] DbErr),
    /// The transaction was asked to commit after one of its statements had
    /// failed. It was rolled back.
    #[error("the transaction had failed and was rolled back")]
    Aborted,
    /// The connection broke during the commit: whether it happened is unknown.
    #[error("the outcome of the commit is unknown")]
    OutcomeUnknown(#[source] DbErr),
}

/// Tells whether the same transaction may succeed when run again from its start.
///
/// True for a serialization failure, a deadlock or a busy SQLite file; never
/// when a commit may have happened.
pub trait Retryable {
    /// Whether to run the transaction again.
    fn is_retryable(&self) -> bool;
}

impl Retryable for DbErr {
    fn is_retryable(&self) -> bool {
        engine::is_conflict(self)
    }
}

impl Retryable for TenancyError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Database(error) => error.is_retryable(),
            Self::Checkout(_) | Self::RequestEnded | Self::Aborted | Self::OutcomeUnknown(_) => false,
        }
    }
}

impl From<DbErr> for TenancyError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
