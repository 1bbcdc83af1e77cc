//! Secrets by which users choose new passwords.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter};
use tenantry_ids::UserId;

use super::entities::password_reset::{ActiveModel, Column, Entity, Model};
use super::{CentralConnection, StoreError};

/// In the place of those that the user has and has not used.
pub(crate) async fn replace(db: &impl CentralConnection, row: Model) -> Result<(), StoreError> {
    withdraw(db, row.user_id).await?;
    let row: ActiveModel = row.into();
    Entity::insert(row.reset_all()).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Takes back those that the user has and has not used.
pub(crate) async fn withdraw(db: &impl CentralConnection, user: UserId) -> Result<(), StoreError> {
    let open = Entity::delete_many().filter(Column::UserId.eq(user)).filter(Column::UsedAt.is_null());
    open.exec(db.raw()).await?;
    Ok(())
}

/// The one with this secret that can still be used.
pub(crate) async fn open(
    db: &impl CentralConnection,
    secret_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<Model>, StoreError> {
    let query = Entity::find()
        .filter(Column::SecretHash.eq(secret_hash))
        .filter(Column::UsedAt.is_null())
        .filter(Column::ExpiresAt.gt(now));
    Ok(query.one(db.raw()).await?)
}

/// Uses it up; false when somebody else has, or it was taken back.
pub(crate) async fn consume(db: &impl CentralConnection, row: &Model, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let used = Entity::update_many()
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(row.id))
        .filter(Column::UsedAt.is_null())
        .exec(db.raw())
        .await?;
    Ok(used.rows_affected == 1)
}
