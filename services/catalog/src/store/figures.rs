//! How many there are of what, for metrics.

use sea_orm::sea_query::{Expr, ExprTrait};
use sea_orm::{ColumnTrait, EntityTrait, Iterable, QueryFilter, QuerySelect};

use super::entities::{company, company_database};
use super::{CentralConnection, StoreError};
use crate::domain::State;

/// How many companies are in each state, none included.
pub(crate) async fn companies(db: &impl CentralConnection) -> Result<Vec<(State, i64)>, StoreError> {
    let query = company::Entity::find()
        .select_only()
        .column(company::Column::State)
        .column_as(Expr::col(company::Column::Id).count(), "companies")
        .group_by(company::Column::State);
    let there: Vec<(State, i64)> = query.into_tuple().all(db.raw()).await?;
    let of_state = |state| there.iter().find(|(known, _)| *known == state).map_or(0, |(_, count)| *count);
    Ok(State::iter().map(|state| (state, of_state(state))).collect())
}

/// How many databases are at each version that any is known to be at.
pub(crate) async fn versions(db: &impl CentralConnection) -> Result<Vec<(String, i64)>, StoreError> {
    let query = company_database::Entity::find()
        .select_only()
        .column(company_database::Column::SchemaVersion)
        .column_as(Expr::col(company_database::Column::Id).count(), "databases")
        .filter(company_database::Column::SchemaVersion.is_not_null())
        .group_by(company_database::Column::SchemaVersion);
    Ok(query.into_tuple().all(db.raw()).await?)
}
