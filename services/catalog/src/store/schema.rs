//! Whether the central database is one that this catalog works with.

use sea_orm::sea_query::{Alias, Expr, Query};
use sea_orm::{ConnectionTrait, ExprTrait};

use super::{CentralConnection, StoreError};

/// The newest central migration that this catalog needs.
pub(crate) const NEEDED: &str = "m20261122_002000_issuers";

/// Whether the schema is new enough. No ledger at all is an empty database.
pub(crate) async fn is_new_enough(db: &impl CentralConnection) -> Result<bool, StoreError> {
    let query = Query::select()
        .column(Alias::new("version"))
        .from(Alias::new("tenantry_migrations"))
        .and_where(Expr::col(Alias::new("set")).eq("central"))
        .and_where(Expr::col(Alias::new("version")).eq(NEEDED))
        .to_owned();
    match db.raw().query_one(&query).await {
        Ok(found) => Ok(found.is_some()),
        Err(error) => match StoreError::from(error) {
            StoreError::Database(_) => Ok(false),
            other => Err(other),
        },
    }
}
