//! Credentials on their way to be replaced, a row a company.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, UpdateMany,
};
use tenantry_ids::CompanyId;

use super::entities::company_database;
use super::entities::credential_rotation::{ActiveModel, Column, Entity, Model, State};
use super::{CentralConnection, StoreError};

/// Writes a rotation that is to be made at once.
pub(crate) async fn insert(
    db: &impl CentralConnection,
    database: &company_database::Model,
    sealed_password: Vec<u8>,
    actor: &str,
    now: DateTime<Utc>,
) -> Result<Model, StoreError> {
    let row = Model {
        company_id: database.company_id,
        database_id: database.id,
        generation: database.generation + 1,
        slot: 1 - database.credential_slot,
        sealed_password: Some(sealed_password),
        state: State::Installing,
        attempts: 0,
        last_error: None,
        due_at: now,
        created_by: actor.to_owned(),
        created_at: now,
    };
    let new = ActiveModel {
        company_id: Set(row.company_id),
        database_id: Set(row.database_id),
        generation: Set(row.generation),
        slot: Set(row.slot),
        sealed_password: Set(row.sealed_password.clone()),
        state: Set(row.state),
        attempts: Set(row.attempts),
        last_error: Set(None),
        due_at: Set(now),
        created_by: Set(row.created_by.clone()),
        created_at: Set(now),
    };
    Entity::insert(new).exec_without_returning(db.raw()).await?;
    Ok(row)
}

pub(crate) async fn find(db: &impl CentralConnection, company: CompanyId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(company).one(db.raw()).await?)
}

/// Those with something to do, longest waiting first.
pub(crate) async fn due(db: &impl CentralConnection, now: DateTime<Utc>, limit: u64) -> Result<Vec<Model>, StoreError> {
    let query = Entity::find().filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// Takes one that was seen due, until then; `None` when somebody else was faster.
pub(crate) async fn take(
    db: &impl CentralConnection,
    seen: Model,
    until: DateTime<Utc>,
) -> Result<Option<Model>, StoreError> {
    let taken = unchanged(&seen)
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
        .col_expr(Column::DueAt, Expr::value(until))
        .exec(db.raw())
        .await?;
    Ok((taken.rows_affected == 1).then(|| Model { attempts: seen.attempts + 1, ..seen }))
}

/// Hands the new credential out from now on; false when the database is not any more what it was.
pub(crate) async fn switch(
    db: &impl CentralConnection,
    row: &Model,
    role: &str,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    use company_database::Column as Of;
    let switched = company_database::Entity::update_many()
        .col_expr(Of::Role, Expr::value(role))
        .col_expr(Of::CredentialSlot, Expr::value(row.slot))
        .col_expr(Of::SealedPassword, Expr::value(row.sealed_password.clone()))
        .col_expr(Of::Generation, Expr::value(row.generation))
        .col_expr(Of::UpdatedAt, Expr::value(now))
        .filter(Of::Id.eq(row.database_id))
        .filter(Of::Generation.eq(row.generation - 1))
        .exec(db.raw())
        .await?;
    Ok(switched.rows_affected == 1)
}

/// From now on there is only the former one's end to come; false when somebody else works on it.
pub(crate) async fn drain(db: &impl CentralConnection, row: &Model, until: DateTime<Utc>) -> Result<bool, StoreError> {
    let noted = unchanged(row)
        .col_expr(Column::State, Expr::value(State::Draining))
        .col_expr(Column::SealedPassword, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::Attempts, Expr::value(0))
        .col_expr(Column::LastError, Expr::value(None::<String>))
        .col_expr(Column::DueAt, Expr::value(until))
        .exec(db.raw())
        .await?;
    Ok(noted.rows_affected == 1)
}

/// Notes why it did not succeed, and when it is tried again.
pub(crate) async fn fail(
    db: &impl CentralConnection,
    row: &Model,
    error: &str,
    again_at: DateTime<Utc>,
) -> Result<(), StoreError> {
    unchanged(row)
        .col_expr(Column::LastError, Expr::value(error))
        .col_expr(Column::DueAt, Expr::value(again_at))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// It is over.
pub(crate) async fn remove(db: &impl CentralConnection, row: &Model) -> Result<(), StoreError> {
    Entity::delete_many()
        .filter(Column::CompanyId.eq(row.company_id))
        .filter(Column::Generation.eq(row.generation))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Of a company whose database is gone.
pub(crate) async fn forget(db: &impl CentralConnection, company: CompanyId) -> Result<(), StoreError> {
    Entity::delete_by_id(company).exec(db.raw()).await?;
    Ok(())
}

/// The row, if nobody has worked on it since.
fn unchanged(row: &Model) -> UpdateMany<Entity> {
    Entity::update_many()
        .filter(Column::CompanyId.eq(row.company_id))
        .filter(Column::Generation.eq(row.generation))
        .filter(Column::State.eq(row.state))
        .filter(Column::Attempts.eq(row.attempts))
}
