//! Which company a database belongs to.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, EntityTrait};
use tenantry_ids::{CompanyId, DatabaseId};

use super::{OwnDb, StoreError};

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    /// Where a database is in its life.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
    pub enum State {
        #[sea_orm(string_value = "creating")]
        Creating,
        #[sea_orm(string_value = "ready")]
        Ready,
        #[sea_orm(string_value = "dropping")]
        Dropping,
        #[sea_orm(string_value = "dropped")]
        Dropped,
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "database_claims")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub database_id: DatabaseId,
        pub company_id: CompanyId,
        pub server: String,
        pub name: String,
        pub role: Option<String>,
        pub state: State,
        pub schema_version: Option<String>,
        pub seeded_at: Option<DateTime<Utc>>,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use row::{Model as Claim, State as ClaimState};

/// A claim to make.
pub(crate) struct NewClaim<'a> {
    pub(crate) database: DatabaseId,
    pub(crate) company: CompanyId,
    pub(crate) server: &'a str,
    pub(crate) name: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) state: ClaimState,
}

pub(crate) async fn of_company(db: &OwnDb, company: CompanyId) -> Result<Option<Claim>, StoreError> {
    Ok(row::Entity::find().filter(row::Column::CompanyId.eq(company)).one(db.raw()).await?)
}

pub(crate) async fn of_database(db: &OwnDb, database: DatabaseId) -> Result<Option<Claim>, StoreError> {
    Ok(row::Entity::find_by_id(database).one(db.raw()).await?)
}

pub(crate) async fn insert(db: &OwnDb, new: NewClaim<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        database_id: Set(new.database),
        company_id: Set(new.company),
        server: Set(new.server.to_owned()),
        name: Set(new.name.to_owned()),
        role: Set(new.role.map(str::to_owned)),
        state: Set(new.state),
        schema_version: Set(None),
        seeded_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
    };
    row::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Notes that the database is there, at this version; not one that is dropped or
/// being dropped.
pub(crate) async fn note_ready(
    db: &OwnDb,
    database: DatabaseId,
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(row::State::Ready))
        .col_expr(row::Column::SchemaVersion, Expr::value(version))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .filter(row::Column::State.is_in([row::State::Creating, row::State::Ready]))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes that the database is being dropped, or dropped.
pub(crate) async fn note_state(
    db: &OwnDb,
    database: DatabaseId,
    state: ClaimState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes that the seeds are in.
pub(crate) async fn note_seeded(db: &OwnDb, database: DatabaseId, now: DateTime<Utc>) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::SeededAt, Expr::value(now))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .exec(db.raw())
        .await?;
    Ok(())
}
