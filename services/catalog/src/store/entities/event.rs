use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::{CompanyId, EventId};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "events")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub sequence: i64,
    pub id: EventId,
    pub company_id: Option<CompanyId>,
    pub kind: String,
    pub actor: String,
    pub trace_id: Option<String>,
    pub payload: Json,
    pub occurred_at: DateTime<Utc>,
    /// The other end of the caller's connection.
    pub peer_address: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
