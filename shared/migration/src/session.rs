//! Outside a transaction, under a lock of the session: MariaDB always, PostgreSQL where a migration asks for it.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::{
    apply::{Applied, Done, Run},
    engine::Engine,
    error::MigrationError,
    ledger,
    lock::SessionLock,
    set::MigrationSet,
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
    let steps = goal.remaining(set, backend, &status)?;
    if !present && !steps.is_empty() {
        let created = db.execute_unprepared(&ledger::create(engine)).await;
        created.map_err(MigrationError::database("creating the ledger"))?;
    }
    let mut done = Vec::new();
    for step in steps.into_iter().take_while(|step| wanted(step)) {
        lock.check(db).await?;
        let since = Instant::now();
        step.run(db).await?;
        let row = step.ledger(engine, set, &since.elapsed().as_millis().to_string(), run);
        db.execute_unprepared(&row).await.map_err(MigrationError::database("writing the ledger"))?;
        done.push(Done { version: step.version().to_owned() });
    }
    Ok(done)
}
