//! A PostgreSQL database whose version is known, migrated in as little of its server's time as can be.
//!
//! A fresh session pays for every function and operator that it meets for the first time. So what a batch could ask
//! (whether the ledger is as believed, how long a migration took) is asked here instead, at a round trip each: in the
//! batch these two cost a database a fifth of all that migrating it does.

use std::collections::BTreeMap;
use std::time::Instant;

use sea_orm::sqlx::{self, AssertSqlSafe, Executor, PgExecutor, Row};
use sea_orm::{DbBackend, DbErr, RuntimeErr};
use tracing::Instrument;

use crate::{
    apply::{Applied, Done, Run},
    engine::Engine,
    error::MigrationError,
    ledger::LEDGER,
    lock::ADVISORY_KEY,
    postgres::{Outcome, join, outcome_of, own_limited},
    set::MigrationSet,
    step::{Goal, Step},
};

impl Run {
    /// What a session of [`migrate_at_once`] begins with, beside [`Run::session_name`]: settings of PostgreSQL's, as its
    /// start-up message takes them. Statements of their own would cost each database more.
    pub fn session_limits(&self) -> [(&'static str, String); 3] {
        let (lock, statement) = (self.lock_timeout.as_millis(), self.statement_timeout.as_millis());
        [
            ("lock_timeout", lock.to_string()),
            ("statement_timeout", statement.to_string()),
            // Of a caller that is cut off, the server hears nothing: it would keep the lock.
            ("idle_in_transaction_session_timeout", statement.to_string()),
        ]
    }
}

/// As [`migrate`](crate::migrate) on a PostgreSQL database that is believed to be at `from`, in a session that began with
/// [`Run::session_limits`] and has no transaction open. `None` where the belief is wrong or a migration needs more:
/// nothing was changed then, and [`migrate`](crate::migrate) does it or says why not.
///
/// # Errors
/// Those of [`migrate`](crate::migrate).
pub async fn migrate_at_once<S>(
    session: &mut S,
    set: &MigrationSet,
    (from, target): (&str, Option<&str>),
    run: &Run,
) -> Result<Option<Applied>, MigrationError>
where
    for<'s> &'s mut S: PgExecutor<'s>,
{
    set.must_contain(target)?;
    let backend = DbBackend::Postgres;
    let believed: BTreeMap<_, _> = set
        .versions()
        .zip(set.recordings(backend)?.iter().map(|recording| recording.checksum.as_str()))
        .filter(|(version, _)| *version <= from)
        .collect();
    let Some((newest, _)) = believed.last_key_value() else { return Ok(None) };
    let above = |version: &&str| *version > *newest && target.is_none_or(|target| *version <= target);
    let steps = Goal::up_by(set, backend, &set.versions().filter(above).collect::<Vec<_>>())?;
    if steps.is_empty() || !steps.iter().all(Step::is_batchable) {
        return Ok(None);
    }
    let exchange = async {
        let ledger = ledger_under_lock(&mut *session, set).await?;
        if !ledger.iter().map(|(version, checksum)| (version.as_str(), checksum.as_str())).eq(believed) {
            return Ok(false);
        }
        migrate_and_commit(session, set, &steps, run).await.map(|()| true)
    };
    let outcome = match exchange.instrument(set.span("migrate")).await {
        Ok(true) => Outcome::Done,
        Ok(false) => Outcome::Moved,
        Err(error) => outcome_of(Err(DbErr::Exec(RuntimeErr::SqlxError(error.into()))), &steps, run),
    };
    if !matches!(outcome, Outcome::Done)
        && let Err(error) = session.execute("ROLLBACK").await
    {
        tracing::debug!(%error, "the session is gone, and its transaction with it");
    }
    match outcome {
        Outcome::Done => {
            let done = steps.iter().map(|step| Done { version: step.version().to_owned() }).collect();
            Ok(Some(Applied { done }))
        }
        Outcome::Locked | Outcome::Blocked | Outcome::Moved | Outcome::BatchFailed => Ok(None),
        Outcome::Failed(error) => Err(error),
    }
}

/// Checksums by version, in a transaction that it leaves open. The lock is waited for no longer than a table is.
async fn ledger_under_lock(
    session: impl PgExecutor<'_>,
    set: &MigrationSet,
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let name = Engine::Postgres.quote("set");
    // All sets' rows, which are few: to compare a name is an operator, too.
    let opening =
        format!("BEGIN; SELECT pg_advisory_xact_lock({ADVISORY_KEY}); SELECT {name}, version, checksum FROM {LEDGER}");
    let rows = session.fetch_all(AssertSqlSafe(opening)).await?;
    let mut ledger = BTreeMap::new();
    for row in rows.iter().filter(|row| row.len() == 3) {
        if row.try_get::<&str, _>(0)? == set.name() {
            ledger.insert(row.try_get(1)?, row.try_get(2)?);
        }
    }
    Ok(ledger)
}

/// Each migration is one message, which begins with the ledger's row of the one before.
async fn migrate_and_commit<S>(
    session: &mut S,
    set: &MigrationSet,
    steps: &[Step<'_>],
    run: &Run,
) -> Result<(), sqlx::Error>
where
    for<'s> &'s mut S: PgExecutor<'s>,
{
    let mut row = None;
    for step in steps {
        let since = Instant::now();
        let statements = row.into_iter().chain(own_limited(step, run));
        session.execute(AssertSqlSafe(join(statements))).await?;
        row = Some(step.ledger(Engine::Postgres, set, &since.elapsed().as_millis().to_string(), run));
    }
    let commit = "COMMIT".to_owned();
    session.execute(AssertSqlSafe(join(row.into_iter().chain([commit])))).await.map(drop)
}
