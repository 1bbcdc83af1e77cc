use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::DatabaseConnection;
use tracing::Instrument;
use uuid::Uuid;

use crate::{engine::Engine, error::MigrationError, postgres, session, set::MigrationSet, sqlite, step::Goal};

/// Who changes the database, when, and how long they wait for their turn.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Written into every row of the ledger.
    pub id: Uuid,
    pub now: DateTime<Utc>,
    /// How long another migration of the same database, or a transaction that holds a table, is waited for before
    /// [`MigrationError::Locked`] or [`MigrationError::Blocked`].
    pub lock_wait: Duration,
    /// How long one statement waits for a table that a transaction holds. Everybody who comes after it queues behind
    /// it, so it is short, and the migration tries again until `lock_wait` is over.
    pub lock_timeout: Duration,
    /// How long one statement may run, unless its migration says otherwise. SQLite has no such limit.
    pub statement_timeout: Duration,
}

impl Run {
    /// Waits 30 seconds for its turn, 2 seconds at a time for a table, and gives each statement 10 minutes.
    pub fn new(id: Uuid, now: DateTime<Utc>) -> Self {
        Self {
            id,
            now,
            lock_wait: Duration::from_secs(30),
            lock_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(600),
        }
    }

    /// What its sessions are called on a server (PostgreSQL's `application_name`): whom others wait for.
    pub fn session_name(&self) -> String {
        format!("tenantry run {}", self.id)
    }

    #[must_use]
    pub fn lock_wait(self, lock_wait: Duration) -> Self {
        Self { lock_wait, ..self }
    }

    #[must_use]
    pub fn lock_timeout(self, lock_timeout: Duration) -> Self {
        Self { lock_timeout, ..self }
    }

    #[must_use]
    pub fn statement_timeout(self, statement_timeout: Duration) -> Self {
        Self { statement_timeout, ..self }
    }
}

/// What a call did, in the order in which it did it; empty when there was nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    pub done: Vec<Done>,
}

impl Applied {
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.done.iter().map(|done| done.version.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub version: String,
}

/// Brings a database to `target`, or to the newest version of the set.
///
/// Under the lock of that database the ledger is read again, so that of many callers at once each migration is
/// applied by one. `db` must be a pool of one connection, see the [crate].
///
/// - PostgreSQL: neighbouring recorded migrations and their ledger rows are **one message and one transaction**.
///   Code runs in a transaction of its own; a migration that refuses a transaction runs under a session lock.
/// - SQLite: the same under `BEGIN IMMEDIATE`, statement by statement: there is no round trip to save.
/// - MariaDB: statement by statement, the ledger row right after each migration.
///
/// # Errors
/// Each variant of [`MigrationError`] says what remains in the database.
pub async fn migrate(
    db: &DatabaseConnection,
    set: &MigrationSet,
    target: Option<&str>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    set.must_contain(target)?;
    reach(db, set, Goal::Up { target }, run).await
}

pub(crate) async fn reach(
    db: &DatabaseConnection,
    set: &MigrationSet,
    goal: Goal<'_>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    let reaching = async {
        match Engine::of(db.get_database_backend()) {
            Engine::Postgres => postgres::reach(db, set, goal, run).await,
            Engine::MariaDb => session::mariadb(db, set, goal, run).await,
            Engine::Sqlite => sqlite::reach(db, set, goal, run).await,
        }
    };
    let applied = reaching.instrument(set.span("migrate")).await?;
    if !applied.done.is_empty() {
        tracing::info!(set = set.name(), run = %run.id, migrations = applied.done.len(), "database migrated");
    }
    Ok(applied)
}
