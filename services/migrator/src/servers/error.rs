use std::time::Duration;

use sea_orm::DbErr;
use tenantry_migration::MigrationError;
use tenantry_rpc::{Error, Reason};
use tenantry_store::{driver, is_conflict, is_disk_full, is_missing_database, is_unavailable};

use crate::ident::IdentError;

/// Why a server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// It cannot be reached, or has no room.
    #[error("the database server cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has no database of that name.
    #[error("the server has no such database")]
    Missing(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its disk is full.
    #[error("the database server's disk is full")]
    Full(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    /// Its databases are files.
    #[error("the engine has no logins")]
    NoLogins,
    /// It cannot become a tenant's, for this reason.
    #[error("the database cannot be adopted: {0}")]
    NotAdoptable(String),
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
        move |source| match source {
            source if is_missing_database(&source) => Self::Missing(source.into()),
            source if is_disk_full(&source) => Self::Full(source.into()),
            source if is_unavailable(&source) => Self::Unavailable(source.into()),
            source => Self::Refused { doing, source },
        }
    }
}

impl From<IdentError> for ServerError {
    fn from(error: IdentError) -> Self {
        Self::Config(error.to_string())
    }
}

impl From<DbErr> for ServerError {
    fn from(error: DbErr) -> Self {
        match Place::of(&error) {
            Some(Place::Away) => Self::Unavailable(error.into()),
            Some(Place::Missing) => Self::Missing(error.into()),
            Some(Place::Full) => Self::Full(error.into()),
            None => Self::Migration(MigrationError::Database { doing: "connecting", source: error }),
        }
    }
}

/// What an error says of the server or the database as a whole.
enum Place {
    Away,
    Missing,
    Full,
}

impl Place {
    fn of(error: &DbErr) -> Option<Self> {
        if matches!(error, DbErr::ConnectionAcquire(_)) {
            return Some(Self::Away);
        }
        let driver = driver(error)?;
        match driver {
            error if is_missing_database(error) => Some(Self::Missing),
            error if is_disk_full(error) => Some(Self::Full),
            error if is_unavailable(error) => Some(Self::Away),
            _ => None,
        }
    }
}

impl From<MigrationError> for ServerError {
    fn from(error: MigrationError) -> Self {
        let source = match &error {
            MigrationError::Failed { source, .. } | MigrationError::Database { source, .. } => source,
            MigrationError::LockLost => return Self::Unavailable(error.into()),
            _ => return Self::Migration(error),
        };
        match Place::of(source) {
            Some(Place::Away) => Self::Unavailable(error.into()),
            Some(Place::Missing) => Self::Missing(error.into()),
            Some(Place::Full) => Self::Full(error.into()),
            None if is_conflict(source) => Self::Busy,
            None => Self::Migration(error),
        }
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
            ServerError::Missing(source) => {
                let message = "the server has no such database; restore it from a backup";
                Error::new(Reason::DatabaseMissing, message).caused_by(source)
            }
            ServerError::Full(source) => {
                let message = "the database server's disk is full; make room and try again";
                Error::new(Reason::DatabaseServerFull, message).retry_after(LATER).caused_by(source)
            }
            ServerError::Busy => {
                Error::new(Reason::MigrationInProgress, "somebody else works on this database; try again")
                    .retry_after(soon)
            }
            ServerError::Migration(error) => of_migration(error, soon),
            ServerError::Withdrawn(error) => *error,
            ServerError::NoLogins => {
                let message = "the company's database is a SQLite file, which has no login and so no credential";
                Error::new(Reason::NoDatabaseCredential, message)
            }
            ServerError::NotAdoptable(_) => Error::new(Reason::DatabaseNotAdoptable, error.to_string()),
            ServerError::Refused { .. } | ServerError::Config(_) | ServerError::File(_) => Error::internal(error),
        }
    }
}

/// When a full disk may have been mended.
const LATER: Duration = Duration::from_secs(60);

fn of_migration(error: MigrationError, soon: Duration) -> Error {
    let message = in_full(&error);
    let (reason, retry) = match &error {
        MigrationError::Locked { .. } => (Reason::MigrationInProgress, true),
        MigrationError::Blocked { .. } => (Reason::MigrationBlocked, true),
        MigrationError::TimedOut { .. } => (Reason::MigrationTimedOut, false),
        MigrationError::ChecksumMismatch { .. } => (Reason::ChecksumMismatch, false),
        MigrationError::UnknownVersion { .. } => (Reason::SchemaTooNew, false),
        MigrationError::Failed { .. } => (Reason::MigrationFailed, false),
        MigrationError::Irreversible { .. } => (Reason::MigrationIrreversible, false),
        MigrationError::NoSuchVersion { .. } => (Reason::MigrationNotFound, false),
        MigrationError::NoBaseline { .. } => (Reason::DatabaseNotAdoptable, false),
        MigrationError::NoDryRun => (Reason::DryRunUnsupported, false),
        _ => return Error::internal(error),
    };
    let error = Error::new(reason, message).caused_by(error);
    if retry { error.retry_after(soon) } else { error }
}

/// With the server's own words about a statement of a migration: the callers are operators and the catalog, and
/// nobody else can mend it.
fn in_full(error: &MigrationError) -> String {
    match error {
        MigrationError::Failed { source, .. } => match driver(source).and_then(sqlx::Error::as_database_error) {
            Some(refusal) => {
                let code = refusal.code().unwrap_or_default();
                format!("{error}: {} ({code})", refusal.message())
            }
            None => error.to_string(),
        },
        _ => error.to_string(),
    }
}
