use std::time::Duration;

use sea_orm::DbErr;
use tenantry_migration::MigrationError;
use tenantry_rpc::{Error, Reason};
use tenantry_store::{driver, is_conflict, is_locked_out, is_no_such_database, is_unavailable};

use crate::ident::IdentError;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// It cannot be reached, or has no room.
    #[error("the database server cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Somebody else is making the same database.
    #[error("the same database is being worked on")]
    Busy,
    /// It refused a statement.
    #[error("the database server refused {doing}")]
    Refused {
        doing: &'static str,
        #[source]
        source: sqlx::Error,
    },
    /// A migration did not succeed.
    #[error(transparent)]
    Migration(MigrationError),
    /// Its address or a name cannot be used.
    #[error("{0}")]
    Config(String),
    /// It was not wanted any more when its turn came.
    #[error("it is not wanted any more")]
    Withdrawn(#[source] Box<Error>),
    /// A file, on SQLite.
    #[error("the database file cannot be made")]
    File(#[source] std::io::Error),
}

impl ServerError {
    /// What was asked for is not wanted any more, or nobody can say so.
    pub(crate) fn withdrawn(error: Error) -> Self {
        Self::Withdrawn(Box::new(error))
    }

    /// For the errors of one kind of statement.
    pub(crate) fn refused(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| {
            if is_unavailable(&source) { Self::Unavailable(source.into()) } else { Self::Refused { doing, source } }
        }
    }
}

impl ServerError {
    /// Whether the server is there and the database is not.
    pub(crate) fn is_no_such_database(&self) -> bool {
        matches!(self, Self::Migration(MigrationError::Database { source, .. })
            if driver(source).is_some_and(is_no_such_database))
    }
}

impl From<IdentError> for ServerError {
    fn from(error: IdentError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<DbErr> for ServerError {
    fn from(error: DbErr) -> Self {
        if unavailable(&error) {
            return Self::Unavailable(error.into());
        }
        Self::Migration(MigrationError::Database { doing: "connecting", source: error })
    }
}

fn unavailable(error: &DbErr) -> bool {
    matches!(error, DbErr::ConnectionAcquire(_)) || driver(error).is_some_and(is_unavailable)
}

impl From<MigrationError> for ServerError {
    fn from(error: MigrationError) -> Self {
        if let MigrationError::Failed { source, .. } | MigrationError::Database { source, .. } = &error
            && (is_conflict(source) || driver(source).is_some_and(is_locked_out))
        {
            return Self::Busy;
        }
        let lost = match &error {
            MigrationError::Failed { source, .. } | MigrationError::Database { source, .. } => unavailable(source),
            _ => matches!(error, MigrationError::LockLost),
        };
        if lost { Self::Unavailable(error.into()) } else { Self::Migration(error) }
    }
}

impl From<ServerError> for Error {
    fn from(error: ServerError) -> Self {
        let soon = Duration::from_secs(2);
        match error {
            ServerError::Unavailable(source) => {
                Error::new(Reason::DatabaseServerUnavailable, "the database server cannot be reached; try again")
                    .retry_after(soon)
                    .caused_by(source)
            }
            ServerError::Busy => {
                Error::new(Reason::MigrationInProgress, "somebody else works on this database; try again")
                    .retry_after(soon)
            }
            ServerError::Migration(error) => of_migration(error, soon),
            ServerError::Withdrawn(error) => *error,
            ServerError::Refused { .. } | ServerError::Config(_) | ServerError::File(_) => Error::internal(error),
        }
    }
}

fn of_migration(error: MigrationError, soon: Duration) -> Error {
    let message = error.to_string();
    let (reason, retry) = match &error {
        MigrationError::Locked { .. } => (Reason::MigrationInProgress, true),
        MigrationError::ChecksumMismatch { .. } => (Reason::ChecksumMismatch, false),
        MigrationError::UnknownVersion { .. } => (Reason::SchemaTooNew, false),
        MigrationError::Failed { .. } => (Reason::MigrationFailed, false),
        _ => return Error::internal(error),
    };
    let error = Error::new(reason, message).caused_by(error);
    if retry { error.retry_after(soon) } else { error }
}
