//! A PostgreSQL database whose version is known, brought to another in one connection and one message.

use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnectOptions, PgConnection};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor};
use sea_orm::{DbBackend, DbErr, RuntimeErr};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::{
    apply::{Applied, Done, Run},
    error::MigrationError,
    postgres::{Head, Outcome, Seen, message, outcome_of},
    set::MigrationSet,
    step::{Goal, Step},
};

/// As [`migrate`](crate::migrate) on a PostgreSQL database that is believed to be at `from`. The message looks into the
/// ledger too. `None` where nobody can connect within `connect_timeout`, where the belief is wrong, or where one message
/// cannot do it: nothing was changed then, and [`migrate`](crate::migrate) does it or says why not.
///
/// # Errors
/// Those of [`migrate`](crate::migrate).
pub async fn migrate_at_once(
    options: &PgConnectOptions,
    connect_timeout: Duration,
    set: &MigrationSet,
    (from, target): (&str, Option<&str>),
    run: &Run,
) -> Result<Option<Applied>, MigrationError> {
    set.must_contain(target)?;
    let backend = DbBackend::Postgres;
    let believed: Vec<_> =
        set.versions().zip(set.recordings(backend)?).filter(|(version, _)| *version <= from).collect();
    let Some((newest, _)) = believed.last() else { return Ok(None) };
    let above = |version: &&str| *version > *newest && target.is_none_or(|target| *version <= target);
    let steps = Goal::up_by(set, backend, &set.versions().filter(above).collect::<Vec<_>>())?;
    if steps.is_empty() || !steps.iter().all(Step::is_batchable) {
        return Ok(None);
    }
    let ledger = believed.iter().map(|(version, recording)| (*version, recording.checksum.as_str()));
    let head = Head { set, create: false, seen: Seen::Exactly(ledger.collect()), run };
    let message = message(&head, &steps, run);

    let Ok(mut connection) = connect_postgres(of_run(options, run), connect_timeout).await else { return Ok(None) };
    let sent = connection.execute(AssertSqlSafe(message)).await.map(drop);
    let outcome = outcome_of(sent.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into()))), &steps, run);
    // It has done its work; whether the server hears the farewell changes nothing.
    if let Err(error) = connection.close().await {
        tracing::debug!(%error, "a connection was not closed in good order");
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

/// Its name and limits come with the connection, not with statements of their own.
fn of_run(options: &PgConnectOptions, run: &Run) -> PgConnectOptions {
    options.clone().application_name(&format!("tenantry run {}", run.id)).options([
        ("lock_timeout", run.lock_timeout.as_millis().to_string()),
        ("statement_timeout", run.statement_timeout.as_millis().to_string()),
    ])
}

/// Connects on a thread of its own. The driver gives way to other tasks 819 times while it proves a password (SCRAM with
/// 4,096 iterations), and on a worker each time goes through the runtime's queues and every span around the call: it
/// cost as much as everything else about a connection.
///
/// # Errors
/// The driver's; [`sqlx::Error::PoolTimedOut`] when `timeout` is over.
pub async fn connect_postgres(options: PgConnectOptions, timeout: Duration) -> Result<PgConnection, sqlx::Error> {
    let runtime = Handle::current();
    let connecting = move || {
        runtime.block_on(async {
            let connected = tokio::time::timeout(timeout, PgConnection::connect_with(&options)).await;
            connected.unwrap_or(Err(sqlx::Error::PoolTimedOut))
        })
    };
    spawn_blocking(connecting).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
}
