//! Database servers, by their public side.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, ColumnTrait, EntityTrait, FromQueryResult, IntoActiveModel,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::entities::company_database;
use super::entities::database_server::{Column, Entity, Model};
use super::{CentralConnection, CentralTx, StoreError};

pub(crate) async fn insert(db: &impl CentralConnection, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn find(db: &impl CentralConnection, name: &str) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(name).one(db.raw()).await?)
}

/// All of them, by name.
pub(crate) async fn all(db: &impl CentralConnection) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find().order_by_asc(Column::Name).all(db.raw()).await?)
}

/// Writes the server as it is to be, with its next revision; `None` when somebody else has changed it since it was read.
pub(crate) async fn save(
    db: &impl CentralConnection,
    before: &Model,
    after: Model,
    now: DateTime<Utc>,
) -> Result<Option<Model>, StoreError> {
    let after = Model { revision: before.revision + 1, updated_at: now, ..after };
    let mut row = after.clone().into_active_model().reset_all();
    row.name = Unchanged(before.name.clone());
    let updated = Entity::update_many()
        .set(row)
        .filter(Column::Name.eq(&before.name))
        .filter(Column::Revision.eq(before.revision))
        .exec(db.raw())
        .await?;
    Ok((updated.rows_affected == 1).then_some(after))
}

#[derive(FromQueryResult)]
struct Load {
    server: String,
    databases: i64,
}

/// How many databases of companies are on each server that has any.
pub(crate) async fn loads(db: &impl CentralConnection) -> Result<HashMap<String, i64>, StoreError> {
    let loads = company_database::Entity::find()
        .select_only()
        .column(company_database::Column::Server)
        .column_as(Expr::col(company_database::Column::Id).count(), "databases")
        .group_by(company_database::Column::Server)
        .into_model::<Load>()
        .all(db.raw())
        .await?;
    Ok(loads.into_iter().map(|load| (load.server, load.databases)).collect())
}

/// Locks a server until the transaction ends, so that nobody else is placed there meanwhile, and counts what is there.
/// To be the first of its transaction: what is read before may be of another time.
pub(crate) async fn lock_and_count(tx: &CentralTx, name: &str) -> Result<Option<(Model, i64)>, StoreError> {
    let Some(server) = Entity::find_by_id(name).lock_exclusive().one(tx.raw()).await? else { return Ok(None) };
    let there = company_database::Entity::find().filter(company_database::Column::Server.eq(name));
    let databases = there.count(tx.raw()).await?;
    Ok(Some((server, databases.cast_signed())))
}
