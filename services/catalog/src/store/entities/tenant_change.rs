use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::CompanyId;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tenant_changes")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub sequence: i64,
    pub company_id: CompanyId,
    /// Whose tokens are revoked, as in their `sub`; `None` where the tenant changed.
    pub subject: Option<String>,
    pub issued_before: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
