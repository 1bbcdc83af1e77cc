//! One message per database.
//!
//! Several statements in one simple-protocol message are one implicit transaction, so the lock, the check that
//! the ledger is still as it was read, the migrations and their ledger rows go out together, and nothing is left
//! open when the call is cancelled. The lock and the check are SQL that fails on purpose, with a marker.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait};

use crate::{
    apply::{Applied, Done, Run},
    engine::Engine,
    error::{Limit, MigrationError, code, driver},
    ledger::{self, LEDGER},
    literal,
    lock::{ADVISORY_KEY, Patience, postgres_holder},
    session,
    set::MigrationSet,
    status::Status,
    step::{Goal, Step, first_chunk},
};

const LOCKED: &str = "tenantry: locked";
const MOVED: &str = "tenantry: ledger moved";

pub(crate) async fn reach(
    db: &DatabaseConnection,
    set: &MigrationSet,
    mut goal: Goal<'_>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    let backend = db.get_database_backend();
    let mut applied = Applied::default();
    let mut patience = Patience::new(run.lock_wait);
    // Set once a batch has failed: it is run again statement by statement, so that the error can name one.
    let mut one_by_one = false;
    loop {
        let entries = ledger::read(db, set).await?;
        let present = entries.is_some();
        let status = Status::of(set, backend, entries.unwrap_or_default())?;
        let steps = goal.remaining(set, backend, &status)?;
        let chunk = first_chunk(&steps);
        let Some(first) = chunk.first() else {
            return Ok(applied);
        };
        if !first.migration.is_transactional() {
            applied.done.extend(session::postgres(db, set, &mut goal, run).await?);
            continue;
        }
        let head = Head { set, create: !present, seen: status.applied.len(), run };
        let outcome = if first.is_batchable() && !one_by_one {
            let sent = db.execute_unprepared(&message(&head, chunk, run)).await;
            outcome_of(sent.map(drop), chunk, run)
        } else {
            transaction(db, &head, chunk, run).await
        };
        match outcome {
            Outcome::Done => {
                applied.done.extend(chunk.iter().map(|step| Done { version: step.version().to_owned() }));
                if chunk.len() == steps.len() {
                    return Ok(applied);
                }
                (one_by_one, patience) = (false, Patience::new(run.lock_wait));
            }
            Outcome::Locked => {
                if let Err(waited) = patience.pause().await {
                    return Err(MigrationError::Locked { waited, holder: postgres_holder(db).await });
                }
            }
            Outcome::Blocked => {
                let version = || first.version().to_owned();
                patience.pause().await.map_err(|waited| MigrationError::Blocked { version: version(), waited })?;
            }
            Outcome::Moved => {}
            Outcome::BatchFailed => one_by_one = true,
            Outcome::Failed(error) => return Err(error),
        }
    }
}

pub(crate) enum Outcome {
    Done,
    Locked,
    /// A table was held by somebody's transaction for as long as a statement waits.
    Blocked,
    Moved,
    BatchFailed,
    Failed(MigrationError),
}

/// What every transaction starts with.
pub(crate) struct Head<'s> {
    pub(crate) set: &'s MigrationSet,
    pub(crate) create: bool,
    /// Rows in the ledger, which was read before the lock: since then nothing may have come or gone.
    pub(crate) seen: usize,
    pub(crate) run: &'s Run,
}

impl Head<'_> {
    pub(crate) fn statements(&self) -> impl Iterator<Item = String> {
        // The cast fails only when its branch is taken: the backend's number keeps it from being folded.
        let fail_unless = |condition: String, marker: &str| {
            format!("SELECT CASE WHEN {condition} THEN 0 ELSE CAST('{marker} ' || pg_backend_pid() AS integer) END")
        };
        let Self { set, create, seen, run } = self;
        let as_seen = format!("(SELECT count(*) FROM {LEDGER} WHERE \"set\" = '{}') = {seen}", set.name());
        let statements = [
            Some(format!("SET LOCAL application_name = '{}'", run.session_name())),
            Some(format!("SET LOCAL lock_timeout = {}", run.lock_timeout.as_millis())),
            Some(statement_timeout(run.statement_timeout)),
            Some(fail_unless(format!("pg_try_advisory_xact_lock({ADVISORY_KEY})"), LOCKED)),
            create.then(|| ledger::create(Engine::Postgres)),
            Some(fail_unless(as_seen, MOVED)),
        ];
        statements.into_iter().flatten()
    }
}

fn message(head: &Head<'_>, chunk: &[Step<'_>], run: &Run) -> String {
    let first = chunk.first().map_or("", |step| step.version());
    // Of the message so far, less what its earlier migrations have taken.
    let so_far = "(extract(epoch from clock_timestamp() - statement_timestamp()) * 1000)::bigint";
    let since_the_last = format!(
        "greatest(0, {so_far} - \
         (SELECT coalesce(sum(duration_ms), 0) FROM {LEDGER} WHERE \"set\" = '{}' AND run = {} AND version COLLATE \"C\" >= '{first}'))",
        head.set.name(),
        literal::uuid(Engine::Postgres, run.id),
    );
    let steps = chunk.iter().flat_map(|step| {
        let elapsed = if step.version() == first { so_far } else { &since_the_last };
        let row = step.ledger(Engine::Postgres, head.set, elapsed, run);
        own_limited(step, run).chain([row])
    });
    join(head.statements().chain(steps))
}

/// A migration's statements under the limit that it asks for, which goes back to the run's.
pub(crate) fn own_limited(step: &Step<'_>, run: &Run) -> impl Iterator<Item = String> {
    let own = step.migration.own_statement_timeout();
    let (limit, back) = (own.map(statement_timeout), own.map(|_| statement_timeout(run.statement_timeout)));
    limit.into_iter().chain(step.statements.iter().cloned()).chain(back)
}

pub(crate) fn outcome_of(sent: Result<(), DbErr>, chunk: &[Step<'_>], run: &Run) -> Outcome {
    let Err(error) = sent else { return Outcome::Done };
    guard(&error).unwrap_or_else(|| match chunk {
        // Not run again to find the statement: that would hold its locks as long once more.
        [first, rest @ ..] if Limit::of(&error) == Some(Limit::Time) => Outcome::Failed(match rest.last() {
            None => first.timed_out(run),
            Some(last) => {
                let version = format!("{} to {}", first.version(), last.version());
                MigrationError::TimedOut { version, limit: run.statement_timeout }
            }
        }),
        _ if is_statements_fault(&error) => Outcome::BatchFailed,
        [only] => Outcome::Failed(only.failed(None)(error)),
        _ => Outcome::Failed(MigrationError::Database { doing: "running a batch of migrations", source: error }),
    })
}

/// In milliseconds, as PostgreSQL takes it; each statement of a message has its own.
pub(crate) fn statement_timeout(limit: std::time::Duration) -> String {
    format!("SET LOCAL statement_timeout = {}", limit.as_millis())
}

/// A statement may end with a `--` comment; then the semicolon needs a line of its own. Not otherwise: SQLite keeps
/// the text up to the semicolon as the definition.
pub(crate) fn join(statements: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for statement in statements {
        let commented = statement.lines().next_back().is_some_and(|line| line.contains("--"));
        text.push_str(&statement);
        text.push_str(if commented { "\n;\n" } else { ";\n" });
    }
    text
}

async fn transaction(db: &DatabaseConnection, head: &Head<'_>, chunk: &[Step<'_>], run: &Run) -> Outcome {
    let tx = match db.begin().await {
        Ok(tx) => tx,
        Err(source) => {
            return Outcome::Failed(MigrationError::Database { doing: "starting a transaction", source });
        }
    };
    for statement in head.statements() {
        if let Err(source) = tx.execute_unprepared(&statement).await {
            let failed = |source| Outcome::Failed(MigrationError::Database { doing: "taking the lock", source });
            return guard(&source).unwrap_or_else(|| failed(source));
        }
    }
    match each(&tx, head.set, chunk, run).await {
        Ok(()) => {}
        Err(MigrationError::Failed { source, .. }) if Limit::of(&source) == Some(Limit::Lock) => {
            return Outcome::Blocked;
        }
        Err(error) => return Outcome::Failed(error),
    }
    match tx.commit().await {
        Ok(()) => Outcome::Done,
        Err(source) => Outcome::Failed(MigrationError::Database { doing: "committing the migrations", source }),
    }
}

async fn each(
    tx: &DatabaseTransaction,
    set: &MigrationSet,
    chunk: &[Step<'_>],
    run: &Run,
) -> Result<(), MigrationError> {
    for step in chunk {
        let since = Instant::now();
        let limit = step.migration.own_statement_timeout().unwrap_or(run.statement_timeout);
        let set_limit = tx.execute_unprepared(&statement_timeout(limit)).await;
        set_limit.map_err(MigrationError::database("setting the statement's limit"))?;
        step.run(tx, run).await?;
        let row = step.ledger(Engine::Postgres, set, &since.elapsed().as_millis().to_string(), run);
        tx.execute_unprepared(&row).await.map_err(MigrationError::database("writing the ledger"))?;
    }
    Ok(())
}

/// Whether it was one of our own conditions that failed.
pub(crate) fn guard(error: &DbErr) -> Option<Outcome> {
    let message = driver(error)?.message();
    if Limit::of(error) == Some(Limit::Lock) {
        Some(Outcome::Blocked)
    } else if message.contains(LOCKED) {
        Some(Outcome::Locked)
    } else if message.contains(MOVED) {
        Some(Outcome::Moved)
    } else {
        None
    }
}

/// Running it again finds the statement; after a timeout, a deadlock or a lost connection it would only do harm.
fn is_statements_fault(error: &DbErr) -> bool {
    code(error).is_some_and(|code| {
        !matches!(code.as_str(), "55P03" | "40P01" | "40001") && !code.starts_with("57") && !code.starts_with("53")
    })
}
