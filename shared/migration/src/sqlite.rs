//! Everything under `BEGIN IMMEDIATE`.

use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection};

use crate::{
    apply::{Applied, Done, Run},
    engine::Engine,
    error::MigrationError,
    ledger, lock,
    set::MigrationSet,
    status::Status,
    step::{Goal, first_chunk},
};

pub(crate) async fn reach(
    db: &DatabaseConnection,
    set: &MigrationSet,
    mut goal: Goal<'_>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    let backend = db.get_database_backend();
    let mut applied = Applied::default();
    loop {
        // Dropped on every early return, which rolls it back.
        let tx = lock::sqlite(db, run.lock_wait).await?;
        let entries = ledger::read(&tx, set).await?;
        let present = entries.is_some();
        let status = Status::of(set, backend, entries.unwrap_or_default())?;
        let steps = goal.remaining(set, backend, &status)?;
        if steps.is_empty() {
            tx.rollback().await.map_err(MigrationError::database("releasing the write lock"))?;
            return Ok(applied);
        }
        if !present {
            let created = tx.execute_unprepared(&ledger::create(Engine::Sqlite)).await;
            created.map_err(MigrationError::database("creating the ledger"))?;
        }
        let chunk = first_chunk(&steps);
        for step in chunk {
            let since = Instant::now();
            step.run(&tx, run).await?;
            let row = step.ledger(Engine::Sqlite, set, &since.elapsed().as_millis().to_string(), run);
            tx.execute_unprepared(&row).await.map_err(MigrationError::database("writing the ledger"))?;
        }
        tx.commit().await.map_err(MigrationError::database("committing the migrations"))?;
        applied.done.extend(chunk.iter().map(|step| Done { version: step.version().to_owned() }));
        if chunk.len() == steps.len() {
            return Ok(applied);
        }
    }
}
