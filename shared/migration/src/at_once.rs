//! A PostgreSQL database whose version is known, brought to another in one message.

use sea_orm::sqlx::{AssertSqlSafe, PgExecutor};
use sea_orm::{DbBackend, DbErr, RuntimeErr};
use tracing::Instrument;

use crate::{
    apply::{Applied, Done, Run},
    error::MigrationError,
    postgres::{Head, Outcome, Seen, message, outcome_of},
    set::MigrationSet,
    step::{Goal, Step},
};

impl Run {
    /// What a session of [`migrate_at_once`] begins with, beside [`Run::session_name`]: settings of PostgreSQL's, as its
    /// start-up message takes them. Statements of their own would cost each database more.
    pub fn session_limits(&self) -> [(&'static str, String); 2] {
        [
            ("lock_timeout", self.lock_timeout.as_millis().to_string()),
            ("statement_timeout", self.statement_timeout.as_millis().to_string()),
        ]
    }
}

/// As [`migrate`](crate::migrate) on a PostgreSQL database that is believed to be at `from`, in a session that began with
/// [`Run::session_limits`]. The message looks into the ledger too. `None` where the belief is wrong or one message
/// cannot do it: nothing was changed then, and [`migrate`](crate::migrate) does it or says why not.
///
/// # Errors
/// Those of [`migrate`](crate::migrate).
pub async fn migrate_at_once(
    session: impl PgExecutor<'_>,
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
    let sending = session.execute(AssertSqlSafe(message(&head, &steps, run)));
    let sent = sending.instrument(set.span("migrate")).await.map(drop);
    match outcome_of(sent.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into()))), &steps, run) {
        Outcome::Done => {
            let done = steps.iter().map(|step| Done { version: step.version().to_owned() }).collect();
            Ok(Some(Applied { done }))
        }
        Outcome::Locked | Outcome::Blocked | Outcome::Moved | Outcome::BatchFailed => Ok(None),
        Outcome::Failed(error) => Err(error),
    }
}
