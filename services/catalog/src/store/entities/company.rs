use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::CompanyId;

pub(crate) use crate::domain::State;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "companies")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: CompanyId,
    pub name: String,
    pub slug: String,
    pub(crate) state: State,
    pub state_reason: Option<String>,
    pub plan: Option<String>,
    pub region: Option<String>,
    pub labels: Json,
    pub access_epoch: i64,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub maintenance_retry_s: Option<i32>,
    pub(crate) deleted_from: Option<State>,
    pub purge_at: Option<DateTime<Utc>>,
    pub purge_begun_at: Option<DateTime<Utc>>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
