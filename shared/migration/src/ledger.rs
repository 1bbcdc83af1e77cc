//! `tenantry_migrations`: which migrations a database has seen, of every set.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use uuid::Uuid;

use crate::{
    apply::Run,
    engine::Engine,
    error::{MigrationError, code, driver},
    literal,
    set::MigrationSet,
};

/// The ledger's table.
pub const LEDGER: &str = "tenantry_migrations";

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub version: String,
    /// SHA-256 of what was applied, lower-case hex.
    pub checksum: String,
    /// Zero when it came with a squash or an adoption.
    pub duration_ms: i64,
    pub applied_at: DateTime<Utc>,
    /// The run that applied it.
    pub run: Uuid,
}

/// `CREATE TABLE IF NOT EXISTS`, safe to repeat under the lock.
pub(crate) fn create(engine: Engine) -> String {
    let (time, uuid, options) = match engine {
        Engine::Postgres => ("timestamp with time zone", "uuid", ""),
        Engine::MariaDb => ("datetime(6)", "binary(16)", " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"),
        Engine::Sqlite => ("timestamp_with_timezone_text", "uuid_text", ""),
    };
    let set = engine.quote("set");
    format!(
        "CREATE TABLE IF NOT EXISTS {LEDGER} ({set} varchar(63) NOT NULL, version varchar(100) NOT NULL, \
         checksum char(64) NOT NULL, duration_ms bigint NOT NULL, applied_at {time} NOT NULL, run {uuid} NOT NULL, \
         CONSTRAINT pk_{LEDGER} PRIMARY KEY ({set}, version)){options}"
    )
}

/// Reads the set's rows in version order; `None` when there is no ledger yet.
///
/// The absence shows as an error of the engine, so on PostgreSQL this needs a connection, not an open transaction.
pub(crate) async fn read<C: ConnectionTrait>(
    conn: &C,
    set: &MigrationSet,
) -> Result<Option<Vec<Entry>>, MigrationError> {
    let backend = conn.get_database_backend();
    // Text without parameters: both parts are ours, and the statement stays one entry of the driver's cache.
    let sql = format!(
        "SELECT version, checksum, duration_ms, applied_at, run FROM {LEDGER} WHERE {} = '{}'",
        Engine::of(backend).quote("set"),
        set.name()
    );
    match conn.query_all_raw(Statement::from_string(backend, sql)).await {
        Ok(rows) => {
            let entries = rows.iter().map(entry).collect::<Result<Vec<_>, _>>();
            let mut entries = entries.map_err(MigrationError::database("reading a row of the ledger"))?;
            // Not by the database: its collation may order `_` and digits in its own way.
            entries.sort_by(|a, b| a.version.cmp(&b.version));
            Ok(Some(entries))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(MigrationError::Database { doing: "reading the ledger", source }),
    }
}

fn entry(row: &QueryResult) -> Result<Entry, DbErr> {
    Ok(Entry {
        version: row.try_get("", "version")?,
        checksum: row.try_get("", "checksum")?,
        duration_ms: row.try_get("", "duration_ms")?,
        applied_at: row.try_get("", "applied_at")?,
        run: row.try_get("", "run")?,
    })
}

pub(crate) fn is_missing(error: &DbErr) -> bool {
    match code(error).as_deref() {
        Some("42P01" | "42S02") => true,
        _ => driver(error).is_some_and(|e| e.message().starts_with("no such table")),
    }
}

/// `duration` is SQL: a number, or an expression where the engine can measure inside a batch.
pub(crate) fn insert(
    engine: Engine,
    set: &MigrationSet,
    version: &str,
    checksum: &str,
    duration: &str,
    run: &Run,
) -> String {
    format!(
        "INSERT INTO {LEDGER} ({}, version, checksum, duration_ms, applied_at, run) \
         VALUES ('{}', '{version}', '{checksum}', {duration}, {}, {})",
        engine.quote("set"),
        set.name(),
        literal::time(engine, run.now),
        literal::uuid(engine, run.id),
    )
}

pub(crate) fn delete(engine: Engine, set: &MigrationSet, version: &str) -> String {
    format!("DELETE FROM {LEDGER} WHERE {} = '{}' AND version = '{version}'", engine.quote("set"), set.name())
}
