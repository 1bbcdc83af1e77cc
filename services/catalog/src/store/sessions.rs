//! Sign-ins that go on. Whoever changes one holds its user's lock ([`lock_user`](super::people::lock_user)).

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, SessionId, UserId};

use super::entities::session::{Column, Entity, Model};
use super::{CentralConnection, StoreError};

/// Rows that are swept at once.
const SWEPT_AT_ONCE: u64 = 500;

pub(crate) async fn find(db: &impl CentralConnection, id: SessionId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(id).one(db.raw()).await?)
}

/// Begins a session; of those that its user has, the `most - 1` last used stay beside it.
pub(crate) async fn insert(db: &impl CentralConnection, row: Model, most: u64) -> Result<(), StoreError> {
    let older: Vec<SessionId> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::UserId.eq(row.user_id))
        .order_by_desc(Column::IdleEndsAt)
        .into_tuple()
        .all(db.raw())
        .await?;
    let kept = usize::try_from(most.max(1) - 1).unwrap_or(usize::MAX);
    if let Some(too_many) = older.get(kept..).filter(|too_many| !too_many.is_empty()) {
        Entity::delete_many().filter(Column::Id.is_in(too_many.iter().copied())).exec(db.raw()).await?;
    }
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// The session goes on with another token.
pub(crate) async fn rotate(db: &impl CentralConnection, row: &Model) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::CurrentHash, Expr::value(row.current_hash.clone()))
        .col_expr(Column::PreviousHash, Expr::value(row.previous_hash.clone()))
        .col_expr(Column::RotatedAt, Expr::value(row.rotated_at))
        .col_expr(Column::IdleEndsAt, Expr::value(row.idle_ends_at))
        .filter(Column::Id.eq(row.id))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn end(db: &impl CentralConnection, id: SessionId) -> Result<(), StoreError> {
    Entity::delete_by_id(id).exec(db.raw()).await?;
    Ok(())
}

/// Ends everything that a user is signed in to.
pub(crate) async fn end_of_user(db: &impl CentralConnection, user: UserId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::UserId.eq(user)).exec(db.raw()).await?;
    Ok(())
}

pub(crate) async fn end_of_member(
    db: &impl CentralConnection,
    company: CompanyId,
    user: UserId,
) -> Result<(), StoreError> {
    let both = Condition::all().add(Column::UserId.eq(user)).add(Column::CompanyId.eq(company));
    Entity::delete_many().filter(both).exec(db.raw()).await?;
    Ok(())
}

/// Removes sessions that are over, by their ids: a range would lock out those who sign in on MariaDB.
pub(crate) async fn sweep(db: &impl CentralConnection, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let over = Condition::any().add(Column::IdleEndsAt.lt(now)).add(Column::EndsAt.lt(now));
    let ids: Vec<SessionId> = Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(over)
        .limit(SWEPT_AT_ONCE)
        .into_tuple()
        .all(db.raw())
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    Ok(Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db.raw()).await?.rows_affected)
}
