//! Which plugins' tables are in which database. A row without a version is one whose migrations were all taken back.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, ConnectionTrait, EntityTrait, ExprTrait, QueryOrder, QuerySelect};
use tenantry_ids::DatabaseId;

use super::StoreError;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "database_plugins")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub database_id: DatabaseId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub plugin: String,
        /// Empty where nothing of it is there.
        pub schema_version: String,
        /// Raised whenever the version changes: what the catalog is told in order by.
        pub version_sequence: i64,
        /// The last of those that the catalog has.
        pub reported_sequence: i64,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use row::Model as DatabasePlugin;

fn of(database: DatabaseId, plugin: &str) -> sea_orm::sea_query::SimpleExpr {
    row::Column::DatabaseId.eq(database).and(row::Column::Plugin.eq(plugin))
}

/// Notes the version that a plugin's tables have now; empty where nothing of them is left.
pub(crate) async fn note_version(
    db: &impl ConnectionTrait,
    (database, plugin): (DatabaseId, &str),
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let raise = row::Entity::update_many()
        .col_expr(row::Column::SchemaVersion, Expr::value(version))
        .col_expr(row::Column::VersionSequence, Expr::col(row::Column::VersionSequence).add(1))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(of(database, plugin));
    if raise.clone().exec(db).await?.rows_affected > 0 {
        return Ok(());
    }
    let row = row::ActiveModel {
        database_id: Set(database),
        plugin: Set(plugin.to_owned()),
        schema_version: Set(version.to_owned()),
        version_sequence: Set(1),
        reported_sequence: Set(0),
        updated_at: Set(now),
    };
    match row::Entity::insert(row).exec_without_returning(db).await.map_err(StoreError::from) {
        Ok(_) => Ok(()),
        // Somebody else was faster, with what may be another version.
        Err(StoreError::Taken(_)) => raise.exec(db).await.map(drop).map_err(StoreError::from),
        Err(error) => Err(error),
    }
}

/// Forgets everything about a database that is gone.
pub(crate) async fn forget(db: &impl ConnectionTrait, database: DatabaseId) -> Result<(), StoreError> {
    row::Entity::delete_many().filter(row::Column::DatabaseId.eq(database)).exec(db).await?;
    Ok(())
}

/// The names of the plugins that have tables in a database.
pub(crate) async fn of_database(db: &impl ConnectionTrait, database: DatabaseId) -> Result<Vec<String>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::DatabaseId.eq(database))
        .filter(row::Column::SchemaVersion.ne(""))
        .order_by_asc(row::Column::Plugin)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| row.plugin).collect())
}

/// The version of a plugin's tables, in every database that has them.
pub(crate) async fn versions(
    db: &impl ConnectionTrait,
    plugin: &str,
) -> Result<HashMap<DatabaseId, String>, StoreError> {
    let rows = row::Entity::find()
        .filter(row::Column::Plugin.eq(plugin))
        .filter(row::Column::SchemaVersion.ne(""))
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.database_id, row.schema_version)).collect())
}

/// Those whose version the catalog has not been told.
pub(crate) async fn unreported(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<DatabasePlugin>, StoreError> {
    let query = row::Entity::find()
        .filter(Expr::col(row::Column::VersionSequence).gt(Expr::col(row::Column::ReportedSequence)));
    Ok(query.limit(limit).all(db).await?)
}

/// Notes that the catalog was told of everything up to these sequences.
pub(crate) async fn note_reported(db: &impl ConnectionTrait, told: &[DatabasePlugin]) -> Result<(), StoreError> {
    for row in told {
        row::Entity::update_many()
            .col_expr(row::Column::ReportedSequence, Expr::value(row.version_sequence))
            .filter(of(row.database_id, &row.plugin))
            .filter(row::Column::ReportedSequence.lt(row.version_sequence))
            .exec(db)
            .await?;
    }
    Ok(())
}
