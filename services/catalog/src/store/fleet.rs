//! The tenants as a rollout sees them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tenantry_ids::{CompanyId, DatabaseId};
use uuid::Uuid;

use super::entities::{company, company_database};
use super::{CentralConnection, StoreError};

/// At most `limit` tenants after this id, in the order of ids: these, or all that are not purged.
pub(crate) async fn tenants(
    db: &impl CentralConnection,
    only: &[CompanyId],
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<company::Model>, StoreError> {
    let mut query = company::Entity::find().order_by_asc(company::Column::Id).limit(limit);
    query = match only {
        [] => query.filter(company::Column::State.ne(company::State::Purged)),
        only => query.filter(company::Column::Id.is_in(only.iter().copied())),
    };
    if let Some(after) = after {
        query = query.filter(company::Column::Id.gt(CompanyId(after)));
    }
    Ok(query.all(db.raw()).await?)
}

/// Which version a database is at, as its migrator says.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) company: CompanyId,
    pub(crate) database: DatabaseId,
    /// Of this plugin's tables, instead of those that every company has.
    pub(crate) plugin: Option<String>,
    pub(crate) version: String,
    /// The higher one is the newer one.
    pub(crate) sequence: i64,
}

/// The version that is known of each of these databases.
pub(crate) async fn versions(
    db: &impl CentralConnection,
    databases: impl IntoIterator<Item = DatabaseId>,
) -> Result<HashMap<DatabaseId, Option<String>>, StoreError> {
    let query = company_database::Entity::find().filter(company_database::Column::Id.is_in(databases));
    Ok(query.all(db.raw()).await?.into_iter().map(|row| (row.id, row.schema_version)).collect())
}

/// Notes a report; false when a newer one was there, or there is no such database.
pub(crate) async fn note_version(
    db: &impl CentralConnection,
    report: &Report,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let older = Condition::any()
        .add(company_database::Column::VersionSequence.is_null())
        .add(company_database::Column::VersionSequence.lt(report.sequence));
    let noted = company_database::Entity::update_many()
        .col_expr(company_database::Column::SchemaVersion, Expr::value(report.version.as_str()))
        .col_expr(company_database::Column::VersionSequence, Expr::value(report.sequence))
        .col_expr(company_database::Column::UpdatedAt, Expr::value(now))
        .filter(company_database::Column::Id.eq(report.database))
        .filter(company_database::Column::CompanyId.eq(report.company))
        .filter(older)
        .exec(db.raw())
        .await?;
    Ok(noted.rows_affected == 1)
}
