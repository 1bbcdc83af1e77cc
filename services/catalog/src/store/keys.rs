//! Signing keys, sealed.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder};
use tenantry_ids::KeyId;

use super::entities::{key_ring, signing_key};
use super::{CentralConnection, CentralTx, StoreError};
use crate::domain::KeyState;

/// Every key whose tokens may be about, oldest first.
pub(crate) async fn list(db: &impl CentralConnection) -> Result<Vec<signing_key::Model>, StoreError> {
    Ok(signing_key::Entity::find().order_by_asc(signing_key::Column::Id).all(db.raw()).await?)
}

/// Locks the ring until the transaction ends: replicas change keys one after the other, and each reads afterwards what
/// the one before it has left. The first statement of its transaction.
pub(crate) async fn lock(tx: &CentralTx) -> Result<(), StoreError> {
    let moved = key_ring::Entity::update_many()
        .col_expr(key_ring::Column::Version, Expr::col(key_ring::Column::Version).add(1))
        .exec(tx.raw())
        .await?;
    if moved.rows_affected == 1 {
        return Ok(());
    }
    Err(sea_orm::DbErr::RecordNotFound("the row of key_ring".to_owned()).into())
}

pub(crate) async fn insert(db: &impl CentralConnection, row: signing_key::Model) -> Result<(), StoreError> {
    let row = row.into_active_model().reset_all();
    signing_key::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// The next key signs from this time on, or from now.
pub(crate) async fn set_start(
    db: &impl CentralConnection,
    id: KeyId,
    state: KeyState,
    signs_from: DateTime<Utc>,
) -> Result<(), StoreError> {
    signing_key::Entity::update_many()
        .col_expr(signing_key::Column::State, Expr::value(state))
        .col_expr(signing_key::Column::NotBefore, Expr::value(signs_from))
        .filter(signing_key::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn retire(db: &impl CentralConnection, id: KeyId, goes_at: DateTime<Utc>) -> Result<(), StoreError> {
    signing_key::Entity::update_many()
        .col_expr(signing_key::Column::State, Expr::value(KeyState::Retiring))
        .col_expr(signing_key::Column::NotAfter, Expr::value(goes_at))
        .filter(signing_key::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn remove(db: &impl CentralConnection, id: KeyId) -> Result<bool, StoreError> {
    Ok(signing_key::Entity::delete_by_id(id).exec(db.raw()).await?.rows_affected == 1)
}
