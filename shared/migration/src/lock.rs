//! One migration at a time in one database, in each engine's own way.

use std::time::{Duration, Instant};

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction, DbErr, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};

use crate::{
    engine::Engine,
    error::{MigrationError, code, driver},
};

/// PostgreSQL's advisory locks are per database, so one number does ("tenantry" in ASCII).
pub(crate) const ADVISORY_KEY: i64 = 0x7465_6e61_6e74_7279;

/// `GET_LOCK` is per server and its names end at 64 characters, so the database goes in as a hash.
const MARIADB_NAME: &str = "CONCAT('tenantry/', SHA1(DATABASE()))";

/// A bounded wait with growing pauses; its clock starts at the first of them.
pub(crate) struct Patience {
    since: Option<Instant>,
    limit: Duration,
    pause: Duration,
}

impl Patience {
    pub(crate) fn new(limit: Duration) -> Self {
        Self { since: None, limit, pause: Duration::from_millis(10) }
    }

    /// Pauses, or says how long it was when the wait is over.
    pub(crate) async fn pause(&mut self) -> Result<(), Duration> {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if waited >= self.limit {
            return Err(waited);
        }
        tokio::time::sleep(self.pause.min(self.limit - waited)).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(250));
        Ok(())
    }
}

/// `BEGIN IMMEDIATE`: the write lock is the migration lock.
pub(crate) async fn sqlite(db: &DatabaseConnection, wait: Duration) -> Result<DatabaseTransaction, MigrationError> {
    let options = || TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let mut patience = Patience::new(wait);
    loop {
        match db.begin_with_options(options()).await {
            Ok(tx) => return Ok(tx),
            // Each try already waits for the connection's own busy timeout.
            Err(error) if is_busy(&error) => {
                patience.pause().await.map_err(|waited| MigrationError::Locked { waited, holder: None })?;
            }
            Err(source) => {
                return Err(MigrationError::Database { doing: "taking the write lock", source });
            }
        }
    }
}

/// The primary codes SQLITE_BUSY and SQLITE_LOCKED; extended ones carry them in the low byte.
fn is_busy(error: &DbErr) -> bool {
    let code = code(error).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
        || driver(error).is_some_and(|e| e.message() == "database is locked")
}

/// A lock that belongs to the session: the pool must be that one session.
pub(crate) enum SessionLock {
    MariaDb,
    Postgres,
}

impl SessionLock {
    pub(crate) async fn take(&self, db: &DatabaseConnection, wait: Duration) -> Result<(), MigrationError> {
        let connections = connections(db);
        if connections != 1 {
            return Err(MigrationError::NotOneConnection { connections });
        }
        let mut patience = Patience::new(wait);
        loop {
            let locked = match self {
                // Waits on the server, in turn; whole seconds only.
                Self::MariaDb => {
                    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                    ask(db, format!("SELECT GET_LOCK({MARIADB_NAME}, {seconds}) = 1 AS answer")).await?
                }
                // Polled: a waiter inside `pg_advisory_lock` deadlocks against CREATE INDEX CONCURRENTLY.
                Self::Postgres => ask(db, format!("SELECT pg_try_advisory_lock({ADVISORY_KEY}) AS answer")).await?,
            };
            match (locked, self) {
                (true, _) => return Ok(()),
                (false, Self::MariaDb) => {
                    return Err(MigrationError::Locked { waited: wait, holder: mariadb_holder(db).await });
                }
                (false, Self::Postgres) => {
                    if let Err(waited) = patience.pause().await {
                        return Err(MigrationError::Locked { waited, holder: postgres_holder(db).await });
                    }
                }
            }
        }
    }

    /// A pool may replace its connection, and the lock would be gone without a sound.
    pub(crate) async fn check(&self, db: &DatabaseConnection) -> Result<(), MigrationError> {
        let held = match self {
            Self::MariaDb => {
                ask(db, format!("SELECT COALESCE(IS_USED_LOCK({MARIADB_NAME}) = CONNECTION_ID(), 0) AS answer")).await?
            }
            Self::Postgres => ask(db, advisory_lock_held("pid = pg_backend_pid()")).await?,
        };
        if held { Ok(()) } else { Err(MigrationError::LockLost) }
    }

    /// A failure to release is no failure of the work: closing the pool releases it too.
    pub(crate) async fn release(&self, db: &DatabaseConnection) {
        let sql = match self {
            Self::MariaDb => format!("DO RELEASE_LOCK({MARIADB_NAME})"),
            Self::Postgres => format!("SELECT pg_advisory_unlock({ADVISORY_KEY})"),
        };
        if let Err(error) = db.execute_unprepared(&sql).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "migration lock not released");
        }
    }
}

/// Whether somebody holds a session's migration lock on this database now, which is when others may see a migration in
/// halves. One in a transaction cannot be seen so; SQLite has no other.
///
/// # Errors
/// [`MigrationError::Database`].
pub async fn is_being_migrated(db: &DatabaseConnection) -> Result<bool, MigrationError> {
    match Engine::of(db.get_database_backend()) {
        Engine::Postgres => ask(db, advisory_lock_held("TRUE")).await,
        Engine::MariaDb => ask(db, format!("SELECT IS_USED_LOCK({MARIADB_NAME}) IS NOT NULL AS answer")).await,
        Engine::Sqlite => Ok(false),
    }
}

/// Among the sessions of this database of which `whose` is true.
fn advisory_lock_held(whose: &str) -> String {
    let (high, low) = (ADVISORY_KEY >> 32, ADVISORY_KEY & 0xffff_ffff);
    format!(
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND {whose} \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND classid::bigint = {high} AND objid::bigint = {low}) AS answer"
    )
}

/// Who has PostgreSQL's lock. For people: when it cannot be told, nothing is said.
pub(crate) async fn postgres_holder(db: &DatabaseConnection) -> Option<String> {
    let (high, low) = (ADVISORY_KEY >> 32, ADVISORY_KEY & 0xffff_ffff);
    let sql = format!(
        "SELECT concat(a.application_name, ', process ', a.pid, ', for ', \
         (extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start)))::bigint, ' s') AS holder \
         FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND l.granted \
         AND l.classid::bigint = {high} AND l.objid::bigint = {low} \
         AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"
    );
    holder(db, sql).await
}

async fn mariadb_holder(db: &DatabaseConnection) -> Option<String> {
    let sql = format!(
        "SELECT CONVERT(CONCAT(user, ', connection ', id, ', for ', time, ' s') USING utf8mb4) AS holder \
         FROM information_schema.processlist WHERE id = IS_USED_LOCK({MARIADB_NAME})"
    );
    holder(db, sql).await
}

async fn holder(db: &DatabaseConnection, sql: String) -> Option<String> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.ok()??;
    row.try_get("", "holder").ok()
}

async fn ask(db: &DatabaseConnection, sql: String) -> Result<bool, MigrationError> {
    let doing = MigrationError::database("asking for the lock");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.map_err(doing)?;
    let answer = row.map(|row| row.try_get::<Option<bool>>("", "answer")).transpose();
    Ok(answer.map_err(MigrationError::database("asking for the lock"))?.flatten().unwrap_or(false))
}

fn connections(db: &DatabaseConnection) -> u32 {
    match &db.inner {
        DatabaseConnectionType::SqlxMySqlPoolConnection(_) => {
            db.get_mysql_connection_pool().options().get_max_connections()
        }
        DatabaseConnectionType::SqlxPostgresPoolConnection(_) => {
            db.get_postgres_connection_pool().options().get_max_connections()
        }
        _ => 1,
    }
}
