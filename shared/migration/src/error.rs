use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx::error::DatabaseError};

/// Which half of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// What went wrong, by what a caller can do about it. `Display` never prints its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Somebody else migrates this database. Try again later.
    #[error("another migration of this database is running{}; gave up after waiting {waited:?}", by(holder))]
    Locked {
        waited: Duration,
        /// Its run and process, where the engine tells.
        holder: Option<String>,
    },

    /// A transaction holds a table that the migration changes. Nothing was changed; end it, or try again later.
    #[error("migration {version} gave up after waiting {waited:?} for a table that a transaction holds")]
    Blocked { version: String, waited: Duration },

    /// A statement ran longer than it may. What remains is as after [`Failed`](Self::Failed).
    #[error("migration {version} took longer than a statement may: {limit:?}")]
    TimedOut { version: String, limit: Duration },

    /// The engine cannot try DDL and take it back.
    #[error("this engine cannot try a migration without applying it; read its plan")]
    NoDryRun,

    /// The migration was changed after it had been applied here. Restore it and write a new one.
    #[error("migration {version} of set {set} differs from the one this database has applied")]
    ChecksumMismatch { set: &'static str, version: String },

    /// The ledger is from the future: a newer release migrated this database. Use that release.
    #[error("this database has applied {version}, which set {set} does not know; use a newer release")]
    UnknownVersion { set: &'static str, version: String },

    /// The caller named a version that is not in the set.
    #[error("set {set} has no migration {version}")]
    NoSuchVersion { set: &'static str, version: String },

    /// A database that something else has made is to be adopted, and nothing says what it has seen.
    #[error("the database has tables and no record of set {set}; name the version that it is at")]
    NoBaseline { set: &'static str },

    /// A statement failed. Counted from 1; absent when it cannot be told (code, timeouts).
    ///
    /// On PostgreSQL and SQLite nothing of the migration remains. On MariaDB, where DDL commits by itself, the
    /// statements before this one remain, [`Status::partial`](crate::Status::partial) says so, and the next run goes
    /// on with this one.
    #[error("migration {version} failed going {direction}{}", at(*.statement))]
    Failed { version: String, direction: Direction, statement: Option<usize>, source: DbErr },

    /// The migration declares that it has no way back.
    #[error("migration {version} is irreversible: {reason}")]
    Irreversible { version: String, reason: &'static str },

    /// The migration cannot be recorded; the reason says what to change in it.
    #[error("migration {version} cannot be recorded going {direction}: {reason}")]
    Recording { version: String, direction: Direction, reason: String },

    /// A squash needs statements and this migration is code. Migrate step by step instead.
    #[error("set {set} cannot be squashed: {version} is code")]
    NotRecorded { set: &'static str, version: String },

    /// The set is put together wrongly: a programmer's error, found at start.
    #[error("set {set} is invalid: {reason}")]
    InvalidSet { set: &'static str, reason: String },

    /// A session lock needs a pool of exactly one connection.
    #[error("migrations need a pool of one connection, this one has {connections}")]
    NotOneConnection { connections: u32 },

    /// The session that held the lock is gone; the ledger says how far it came.
    #[error("the migration lock was lost with its session")]
    LockLost,

    /// The database failed at something that is not a migration's statement.
    #[error("the database failed while {doing}")]
    Database { doing: &'static str, source: DbErr },
}

impl MigrationError {
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| Self::Database { doing, source }
    }
}

fn at(statement: Option<usize>) -> String {
    statement.map_or_else(String::new, |n| format!(" at its statement {n}"))
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map_or_else(String::new, |holder| format!(" ({holder})"))
}

/// What a failed statement says beyond that it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It waited for a table as long as it may.
    Lock,
    /// It ran as long as it may.
    Time,
}

impl Limit {
    pub(crate) fn of(error: &DbErr) -> Option<Self> {
        let database = driver(error)?;
        if let Some(error) = database.try_downcast_ref::<sea_orm::sqlx::mysql::MySqlDatabaseError>() {
            return match error.number() {
                1205 => Some(Self::Lock),
                1969 | 3024 => Some(Self::Time),
                _ => None,
            };
        }
        match database.code().as_deref() {
            Some("55P03") => Some(Self::Lock),
            Some("57014") => Some(Self::Time),
            _ => None,
        }
    }
}

/// The driver's own error, where there is one.
pub(crate) fn driver(error: &DbErr) -> Option<&dyn DatabaseError> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(e))
        | DbErr::Query(RuntimeErr::SqlxError(e))
        | DbErr::Conn(RuntimeErr::SqlxError(e)) => e.as_database_error(),
        _ => None,
    }
}

/// SQLSTATE, or SQLite's extended result code.
pub(crate) fn code(error: &DbErr) -> Option<String> {
    driver(error)?.code().map(|code| code.into_owned())
}
