//! Outside a transaction, under a lock of the session: MariaDB always, PostgreSQL where a migration asks for it.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use crate::{
    apply::{Applied, Done, Run},
    engine::Engine,
    error::{Limit, MigrationError, driver},
    ledger,
    lock::SessionLock,
    progress,
    set::{Kind, MigrationSet},
    status::Status,
    step::{Goal, Step},
};

pub(crate) async fn mariadb(
    db: &DatabaseConnection,
    set: &MigrationSet,
    mut goal: Goal<'_>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    let done = under(SessionLock::MariaDb, db, set, &mut goal, run, |_| true).await?;
    Ok(Applied { done })
}

/// Runs the leading steps that refuse a transaction; what comes after them is the caller's again.
pub(crate) async fn postgres(
    db: &DatabaseConnection,
    set: &MigrationSet,
    goal: &mut Goal<'_>,
    run: &Run,
) -> Result<Vec<Done>, MigrationError> {
    under(SessionLock::Postgres, db, set, goal, run, |step| !step.migration.is_transactional()).await
}

async fn under(
    lock: SessionLock,
    db: &DatabaseConnection,
    set: &MigrationSet,
    goal: &mut Goal<'_>,
    run: &Run,
    wanted: impl Fn(&Step<'_>) -> bool,
) -> Result<Vec<Done>, MigrationError> {
    lock.take(db, run.lock_wait).await?;
    set_limits(&lock, db, run).await?;
    let result = locked(&lock, db, set, goal, run, wanted).await;
    lock.release(db).await;
    result
}

async fn locked(
    lock: &SessionLock,
    db: &DatabaseConnection,
    set: &MigrationSet,
    goal: &mut Goal<'_>,
    run: &Run,
    wanted: impl Fn(&Step<'_>) -> bool,
) -> Result<Vec<Done>, MigrationError> {
    let backend = db.get_database_backend();
    let engine = Engine::of(backend);
    let entries = ledger::read(db, set).await?;
    let present = entries.is_some();
    let status = Status::of(set, backend, entries.unwrap_or_default())?;
    let mut earlier = progress::read(db, set).await?;
    let steps = goal.remaining(set, backend, &status)?;
    if !present && !steps.is_empty() {
        let created = db.execute_unprepared(&ledger::create(engine)).await;
        created.map_err(MigrationError::database("creating the ledger"))?;
    }
    if engine == Engine::MariaDb && !steps.is_empty() {
        let created = db.execute_unprepared(&progress::create()).await;
        created.map_err(MigrationError::database("creating the table of progress"))?;
    }
    let mut done = Vec::new();
    for step in steps.into_iter().take_while(|step| wanted(step)) {
        lock.check(db).await?;
        let since = Instant::now();
        if engine == Engine::MariaDb && step.migration.kind() == Kind::Recorded {
            let ran = progress::run(db, set, &step, earlier.take().as_ref()).await;
            ran.map_err(|(statement, source)| cut_short(&step, run, statement, source))?;
        } else {
            step.run(db, run).await?;
        }
        let row = step.ledger(engine, set, &since.elapsed().as_millis().to_string(), run);
        db.execute_unprepared(&row).await.map_err(MigrationError::database("writing the ledger"))?;
        if engine == Engine::MariaDb {
            progress::clear(db, set).await.map_err(MigrationError::database("clearing the progress"))?;
        }
        done.push(Done { version: step.version().to_owned() });
    }
    Ok(done)
}

/// On MariaDB a statement that waited for a table in vain has left what the ones before it did; the next run goes on.
fn cut_short(step: &Step<'_>, run: &Run, statement: usize, source: DbErr) -> MigrationError {
    match Limit::of(&source) {
        Some(Limit::Lock) => MigrationError::Blocked { version: step.version().to_owned(), waited: run.lock_timeout },
        Some(Limit::Time) | None => step.failed_within(run, Some(statement))(source),
    }
}

/// Of the session, which is closed after the run.
async fn set_limits(lock: &SessionLock, db: &DatabaseConnection, run: &Run) -> Result<(), MigrationError> {
    let failed = MigrationError::database("setting the session's limits");
    match lock {
        SessionLock::Postgres => {
            // Built outside a transaction and without blocking anybody, so only its waits are limited.
            let sql = format!("SET lock_timeout = {}", run.lock_timeout.as_millis());
            db.execute_unprepared(&sql).await.map(drop).map_err(failed)
        }
        SessionLock::MariaDb => {
            // Whole seconds only.
            let seconds = |limit: std::time::Duration| limit.as_secs() + u64::from(limit.subsec_nanos() > 0);
            let waits = seconds(run.lock_timeout);
            let sql = format!("SET SESSION lock_wait_timeout = {waits}, SESSION innodb_lock_wait_timeout = {waits}");
            db.execute_unprepared(&sql).await.map_err(failed)?;
            let sql = format!("SET SESSION max_statement_time = {}", seconds(run.statement_timeout));
            match db.execute_unprepared(&sql).await {
                Err(error) if !is_unknown_variable(&error) => {
                    Err(MigrationError::Database { doing: "setting the session's limits", source: error })
                }
                // MySQL has a limit for SELECT alone.
                Ok(_) | Err(_) => Ok(()),
            }
        }
    }
}

fn is_unknown_variable(error: &DbErr) -> bool {
    const ER_UNKNOWN_SYSTEM_VARIABLE: u16 = 1193;
    driver(error)
        .and_then(|error| error.try_downcast_ref::<sea_orm::sqlx::mysql::MySqlDatabaseError>())
        .is_some_and(|error| error.number() == ER_UNKNOWN_SYSTEM_VARIABLE)
}
