//! Rollouts and their targets.

mod claim;
mod entities;
mod settle;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};
use tenantry_ids::{DatabaseId, RolloutId};
use uuid::Uuid;

pub(crate) use claim::{Known, Lease, abandoned, claim, renew};
pub(crate) use entities::rollout::{Model as Rollout, State};
pub(crate) use entities::target::{Model as Target, State as TargetState};
use entities::{rollout, target};
pub(crate) use settle::{End, Settlement, settle};

use super::StoreError;

/// Rows per statement: 22 columns each, and SQLite takes 32,766 values.
const ROWS_PER_INSERT: usize = 1_000;
/// Failures that a look at a rollout shows.
const FAILURES_SHOWN: u64 = 10;

pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    rollout: Rollout,
    targets: Vec<Target>,
) -> Result<(), StoreError> {
    rollout::Entity::insert(rollout.into_active_model()).exec_without_returning(db).await?;
    let mut left = targets.into_iter().peekable();
    while left.peek().is_some() {
        let rows = left.by_ref().take(ROWS_PER_INSERT).map(IntoActiveModel::into_active_model);
        target::Entity::insert_many(rows).exec_without_returning(db).await?;
    }
    Ok(())
}

pub(crate) async fn find(db: &impl ConnectionTrait, id: RolloutId) -> Result<Option<Rollout>, StoreError> {
    Ok(rollout::Entity::find_by_id(id).one(db).await?)
}

/// With its row locked until the transaction ends, so that one replica at a time decides what comes next.
pub(crate) async fn lock(tx: &impl ConnectionTrait, id: RolloutId) -> Result<Option<Rollout>, StoreError> {
    Ok(rollout::Entity::find_by_id(id).lock_exclusive().one(tx).await?)
}

/// The rollout that is not finished; there is at most one.
pub(crate) async fn active(db: &impl ConnectionTrait) -> Result<Option<Rollout>, StoreError> {
    let query =
        rollout::Entity::find().filter(rollout::Column::State.is_in([State::Running, State::Paused, State::Halted]));
    Ok(query.one(db).await?)
}

/// Rollouts that have something to do for whoever looks.
pub(crate) async fn running(db: &impl ConnectionTrait) -> Result<Vec<RolloutId>, StoreError> {
    let query = rollout::Entity::find().select_only().column(rollout::Column::Id);
    Ok(query.filter(rollout::Column::State.eq(State::Running)).into_tuple().all(db).await?)
}

/// Newest first: at most `limit` before this id.
pub(crate) async fn list(
    db: &impl ConnectionTrait,
    before: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Rollout>, StoreError> {
    let mut query = rollout::Entity::find().order_by_desc(rollout::Column::Id).limit(limit);
    if let Some(before) = before {
        query = query.filter(rollout::Column::Id.lt(RolloutId(before)));
    }
    Ok(query.all(db).await?)
}

/// Writes what has changed of it, as somebody who has it locked.
pub(crate) async fn save(
    tx: &impl ConnectionTrait,
    mut changed: Rollout,
    now: DateTime<Utc>,
) -> Result<Rollout, StoreError> {
    changed.revision += 1;
    changed.updated_at = now;
    Ok(changed.into_active_model().reset_all().update(tx).await?)
}

/// Targets in their order: at most `limit` after this position, in one state or in any.
pub(crate) async fn targets(
    db: &impl ConnectionTrait,
    id: RolloutId,
    state: Option<TargetState>,
    after: i32,
    limit: u64,
) -> Result<Vec<Target>, StoreError> {
    let mut query = of(id).filter(target::Column::Position.gt(after)).order_by_asc(target::Column::Position);
    if let Some(state) = state {
        query = query.filter(target::Column::State.eq(state));
    }
    Ok(query.limit(limit).all(db).await?)
}

/// The newest failures.
pub(crate) async fn failures(db: &impl ConnectionTrait, id: RolloutId) -> Result<Vec<Target>, StoreError> {
    let query = of(id).filter(target::Column::State.eq(TargetState::Failed));
    Ok(query.order_by_desc(target::Column::FinishedAt).limit(FAILURES_SHOWN).all(db).await?)
}

/// The targets of a rollout that some attempt may have changed.
pub(crate) async fn touched(db: &impl ConnectionTrait, id: RolloutId) -> Result<Vec<Target>, StoreError> {
    let query = of(id)
        .filter(target::Column::Attempts.gt(0))
        .filter(target::Column::State.ne(TargetState::Skipped))
        .order_by_asc(target::Column::Position);
    Ok(query.all(db).await?)
}

/// How many targets somebody works on. One whose lease has run out waits for whoever comes next.
pub(crate) async fn count_running(
    db: &impl ConnectionTrait,
    id: RolloutId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let query =
        of(id).filter(target::Column::State.eq(TargetState::Running)).filter(target::Column::LeaseUntil.gte(now));
    Ok(query.count(db).await?)
}

/// Whether anything up to this wave has not come to its end.
pub(crate) async fn is_open(db: &impl ConnectionTrait, id: RolloutId, wave: i32) -> Result<bool, StoreError> {
    let query = of(id)
        .filter(target::Column::State.is_in([TargetState::Pending, TargetState::Running]))
        .filter(target::Column::Wave.lte(wave));
    Ok(query.one(db).await?.is_some())
}

/// Moves every target of one state to another; how many there were.
pub(crate) async fn turn_all(
    tx: &impl ConnectionTrait,
    id: RolloutId,
    from: TargetState,
    to: TargetState,
    now: DateTime<Utc>,
) -> Result<i32, StoreError> {
    let turned = target::Entity::update_many()
        .col_expr(target::Column::State, Expr::value(to))
        .col_expr(
            target::Column::Attempts,
            match to {
                TargetState::Pending => Expr::value(0),
                _ => Expr::col(target::Column::Attempts),
            },
        )
        .col_expr(target::Column::NotBefore, Expr::value(now))
        .filter(target::Column::RolloutId.eq(id))
        .filter(target::Column::State.eq(from))
        .exec(tx)
        .await?;
    Ok(i32::try_from(turned.rows_affected).unwrap_or(i32::MAX))
}

fn of(id: RolloutId) -> sea_orm::Select<target::Entity> {
    target::Entity::find().filter(target::Column::RolloutId.eq(id))
}

/// The servers that a rollout goes to.
pub(crate) async fn servers(db: &impl ConnectionTrait, id: RolloutId) -> Result<Vec<String>, StoreError> {
    let query = of(id).select_only().column(target::Column::Server).distinct();
    Ok(query.filter(target::Column::State.ne(TargetState::Skipped)).into_tuple().all(db).await?)
}

/// A database's place in a rollout.
pub(crate) async fn target_of(
    db: &impl ConnectionTrait,
    id: RolloutId,
    database: DatabaseId,
) -> Result<Option<Target>, StoreError> {
    Ok(of(id).filter(target::Column::DatabaseId.eq(database)).one(db).await?)
}
