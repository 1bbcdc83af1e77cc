use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, TransactionTrait};

use crate::{
    apply::Run,
    engine::Engine,
    error::MigrationError,
    ledger, lock,
    postgres::{Head, Outcome, guard},
    rollback::Rollback,
    set::MigrationSet,
    status::Status,
    step::{Goal, Step},
};

/// What was tried and taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DryRun {
    /// These ran and would have been committed.
    pub tried: Vec<String>,
    /// These were not tried: one of them refuses a transaction, and the others come after it.
    pub not_tried: Vec<String>,
}

/// Runs what [`migrate`](crate::migrate) would run, or [`rollback`](crate::rollback) where `back` is given, under the
/// same lock and limits, and takes everything back.
///
/// # Errors
/// Those of the real run, and [`MigrationError::NoDryRun`] where DDL commits by itself.
pub async fn dry_run(
    db: &DatabaseConnection,
    set: &MigrationSet,
    target: Option<&str>,
    back: Option<Rollback<'_>>,
    run: &Run,
) -> Result<DryRun, MigrationError> {
    set.must_contain(target)?;
    let mut goal = match back {
        Some(to) => Goal::Down { to, chosen: None },
        None => Goal::Up { target },
    };
    let engine = Engine::of(db.get_database_backend());
    if engine == Engine::MariaDb {
        return Err(MigrationError::NoDryRun);
    }
    let entries = ledger::read(db, set).await?;
    let create = entries.is_none();
    let status = Status::of(set, db.get_database_backend(), entries.unwrap_or_default())?;
    let steps = goal.remaining(set, db.get_database_backend(), &status)?;
    let in_transaction = |step: &&Step<'_>| engine == Engine::Sqlite || step.migration.is_transactional();
    let tried = steps.iter().take_while(in_transaction).count();

    // Dropped on every early return, which rolls it back.
    let tx = match engine {
        Engine::Sqlite => lock::sqlite(db, run.lock_wait).await?,
        Engine::Postgres | Engine::MariaDb => {
            let tx = db.begin().await.map_err(MigrationError::database("starting a transaction"))?;
            take_turn(&tx, &Head { set, create, seen: status.applied.len(), run }).await?;
            tx
        }
    };
    for step in steps.iter().take(tried) {
        step.run(&tx, run).await?;
    }
    tx.rollback().await.map_err(MigrationError::database("taking a dry run back"))?;
    let mut versions: Vec<String> = steps.iter().map(|step| step.version().to_owned()).collect();
    let not_tried = versions.split_off(tried);
    Ok(DryRun { tried: versions, not_tried })
}

async fn take_turn(tx: &DatabaseTransaction, head: &Head<'_>) -> Result<(), MigrationError> {
    for statement in head.statements() {
        if let Err(source) = tx.execute_unprepared(&statement).await {
            return Err(match guard(&source) {
                Some(Outcome::Locked | Outcome::Moved) => {
                    MigrationError::Locked { waited: std::time::Duration::ZERO, holder: None }
                }
                _ => MigrationError::Database { doing: "taking the lock", source },
            });
        }
    }
    Ok(())
}
