//! What a failure says about the connection, the server and the caller.

use sea_orm::{DbErr, RuntimeErr};
use sqlx::error::DatabaseError;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;

/// A failure of the connection as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// One statement failed; the connection itself answers.
    Statement,
    /// The connection is gone, and others to the same server may be too.
    Link,
}

impl Failure {
    /// What `error`, from a statement, means for the connection.
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) if ends_connection(error.as_ref()) => Self::Link,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => {
                Self::Link
            }
            _ => Self::Statement,
        }
    }
}

/// Whether a refused connect is about this login or this database, rather than
/// about the server: retrying will not help, and no other tenant is concerned.
pub fn is_refusal(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        // invalid authorization; no such database; no privilege to connect;
        // a database that allows no connections (a template being made).
        return error.code().starts_with("28") || ["3D000", "42501", "55000"].contains(&error.code());
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        // access denied to the database, to the user, without password; an
        // unknown database; a locked account.
        return [1044, 1045, 1698, 1049, 3118, 4151].contains(&error.number());
    }
    // SQLITE_CANTOPEN: no such file. SQLITE_NOTADB: not a database.
    sqlite_code(error).is_some_and(|code| [14, 26].contains(&(code & 0xff)))
}

/// Whether the server has no room for another connection just now.
pub fn is_crowded(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return error.code() == "53300";
    }
    // too many connections; of this user; too many of this user.
    let mysql = error.try_downcast_ref::<MySqlDatabaseError>();
    mysql.is_some_and(|error| [1040, 1203, 1226].contains(&error.number()))
}

/// Whether a failure to connect is the server's, so that whoever else connects there meets it too: it does not answer,
/// or is full. A limit of one role or one database is that tenant's own.
pub fn is_servers_failure(error: &sqlx::Error) -> bool {
    Failure::of(error) == Failure::Link || is_crowded(error) && !is_own_limit(error)
}

/// Whether a server that has no room has none for this role or this database alone.
fn is_own_limit(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        // One code for all; where a role's limit and a database's are looked at tells them apart, in any language.
        return matches!(error.routine(), Some("InitializeSessionUserId" | "CheckMyDatabase"));
    }
    let mysql = error.try_downcast_ref::<MySqlDatabaseError>();
    mysql.is_some_and(|error| [1203, 1226].contains(&error.number()))
}

/// Whether the server answers, and has no database of this name.
pub fn is_missing_database(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return error.code() == "3D000";
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return error.number() == 1049;
    }
    // SQLITE_CANTOPEN.
    sqlite_code(error).is_some_and(|code| code & 0xff == 14)
}

/// Whether the server's disk, or what it was given of one, is full.
pub fn is_disk_full(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        return error.code() == "53100";
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return match error.number() {
            // disk full, by the server's file layer and by itself; a full table or tablespace.
            20 | 1021 | 1114 => true,
            // The file layer's: cannot make, write or close a file. The server's: cannot make a file, a table or a
            // database; a rename, a write or a storage engine's call that failed. The system's own number (28 is
            // ENOSPC) is in the text alone, in whatever language.
            1 | 3 | 4 | 1004 | 1005 | 1006 | 1025 | 1026 | 1030 => error.message().contains(" 28 "),
            _ => false,
        };
    }
    // SQLITE_FULL; SQLITE_IOERR_SHMSIZE, when a log's index has no room (https://sqlite.org/rescode.html).
    sqlite_code(error).is_some_and(|code| code & 0xff == 13 || code == 4874)
}

/// Whether the server cannot be reached, or has no room, at the moment.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
    let no_pool = matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed);
    no_pool || is_crowded(error) || Failure::of(error) == Failure::Link
}

/// The driver's error in SeaORM's, where there is one.
pub fn driver(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))
        | DbErr::Conn(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether the whole transaction may succeed when run again.
pub fn is_conflict(error: &DbErr) -> bool {
    let Some(error) = driver(error).and_then(sqlx::Error::as_database_error) else { return false };
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        // serialization failure, deadlock.
        return ["40001", "40P01"].contains(&error.code());
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        // deadlock, lock wait timeout, MariaDB's snapshot conflict.
        return [1213, 1205, 1020].contains(&error.number());
    }
    // SQLITE_BUSY and SQLITE_LOCKED, in all their extended forms.
    sqlite_code(error).is_some_and(|code| [5, 6].contains(&(code & 0xff)))
}

/// Errors after which the server hangs up.
fn ends_connection(error: &(dyn DatabaseError + 'static)) -> bool {
    if let Some(error) = error.try_downcast_ref::<PgDatabaseError>() {
        // connection exceptions; the administrator, a crash or a restart.
        return error.code().starts_with("08") || error.code().starts_with("57P");
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        // server shutdown, killed connection, aborted connection.
        return [1053, 1927, 1152, 1184].contains(&error.number());
    }
    false
}

fn sqlite_code(error: &(dyn DatabaseError + 'static)) -> Option<u32> {
    error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?.code()?.parse().ok()
}
