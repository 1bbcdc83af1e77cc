use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::{CompanyId, DatabaseId};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "company_databases")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: DatabaseId,
    pub company_id: CompanyId,
    pub server: String,
    pub name: Option<String>,
    pub role: Option<String>,
    pub sealed_password: Option<Vec<u8>>,
    pub generation: i64,
    pub schema_version: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub version_sequence: Option<i64>,
    /// Which of the two login roles is in use: 0 the first, 1 the second.
    pub credential_slot: i32,
    /// It was there before the company, by this name.
    pub adopted_name: Option<String>,
    /// The migration that it was at then, where its own records do not say so.
    pub baseline_version: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
