//! What the latest check of each database has found.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, EntityTrait, PaginatorTrait};
use tenantry_ids::DatabaseId;

use super::{OwnDb, StoreError};

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "drift_checks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub database_id: DatabaseId,
        pub checked_at: DateTime<Utc>,
        pub schema_version: Option<String>,
        pub finding_count: i32,
        pub findings: Json,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A check that was made.
pub(crate) struct NewCheck<'a> {
    pub(crate) database: DatabaseId,
    pub(crate) checked_at: DateTime<Utc>,
    pub(crate) schema_version: Option<&'a str>,
    pub(crate) finding_count: i32,
    /// A list of objects, as far as it is kept.
    pub(crate) findings: Json,
}

/// In place of the one before.
pub(crate) async fn note(db: &OwnDb, check: NewCheck<'_>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        database_id: Set(check.database),
        checked_at: Set(check.checked_at),
        schema_version: Set(check.schema_version.map(str::to_owned)),
        finding_count: Set(check.finding_count),
        findings: Set(check.findings),
    };
    let columns =
        [row::Column::CheckedAt, row::Column::SchemaVersion, row::Column::FindingCount, row::Column::Findings];
    let latest = OnConflict::column(row::Column::DatabaseId).update_columns(columns).to_owned();
    row::Entity::insert(row).on_conflict(latest).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// How many of these databases differed when they were last looked at.
pub(crate) async fn drifted(db: &OwnDb, server: Option<&str>) -> Result<u64, StoreError> {
    let on_server = super::claims::ids_on(server);
    let query = row::Entity::find()
        .filter(row::Column::FindingCount.gt(0))
        .filter(row::Column::DatabaseId.in_subquery(on_server));
    Ok(query.count(db.raw()).await?)
}

/// Of a database that is no more.
pub(crate) async fn forget(db: &OwnDb, database: DatabaseId) -> Result<(), StoreError> {
    row::Entity::delete_by_id(database).exec(db.raw()).await?;
    Ok(())
}
