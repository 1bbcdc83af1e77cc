//! Keys of companies' machines.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tenantry_ids::{ApiKeyId, CompanyId};
use uuid::Uuid;

use super::entities::api_key::{Column, Entity, Model};
use super::{CentralConnection, CentralTx, StoreError};

pub(crate) async fn insert(db: &impl CentralConnection, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn count(db: &impl CentralConnection, company: CompanyId) -> Result<u64, StoreError> {
    Ok(Entity::find().filter(Column::CompanyId.eq(company)).count(db.raw()).await?)
}

/// At most `limit` keys of a company after this one, oldest first.
pub(crate) async fn list(
    db: &impl CentralConnection,
    company: CompanyId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, StoreError> {
    let mut query = Entity::find().filter(Column::CompanyId.eq(company)).order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(ApiKeyId(after)));
    }
    Ok(query.all(db.raw()).await?)
}

/// The key with this secret, locked until the transaction ends: whoever revokes it comes before or after. The first
/// statement of its transaction.
pub(crate) async fn lock_by_secret(tx: &CentralTx, secret_hash: &str) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find().filter(Column::SecretHash.eq(secret_hash)).lock_exclusive().one(tx.raw()).await?)
}

pub(crate) async fn note_use(db: &impl CentralConnection, id: ApiKeyId, now: DateTime<Utc>) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// False when the company has no such key.
pub(crate) async fn remove(db: &impl CentralConnection, company: CompanyId, id: ApiKeyId) -> Result<bool, StoreError> {
    let removed = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::CompanyId.eq(company));
    Ok(removed.exec(db.raw()).await?.rows_affected == 1)
}

pub(crate) async fn remove_all(db: &impl CentralConnection, company: CompanyId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::CompanyId.eq(company)).exec(db.raw()).await?;
    Ok(())
}
