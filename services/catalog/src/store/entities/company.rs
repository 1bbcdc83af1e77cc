use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::CompanyId;

use crate::domain::Limits;

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
    pub own_requests_per_second: i32,
    pub own_concurrent_requests: i32,
    pub own_connections: i32,
}

impl Model {
    /// What the company may ask for, apart from its plan.
    pub(crate) fn own_limits(&self) -> Limits {
        Limits {
            requests_per_second: self.own_requests_per_second,
            concurrent_requests: self.own_concurrent_requests,
            connections: self.own_connections,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

#[cfg(test)]
impl Model {
    /// A company in this state, for tests.
    pub(crate) fn example(state: State) -> Self {
        Self {
            id: CompanyId(Default::default()),
            name: "Example".to_owned(),
            slug: "example".to_owned(),
            state,
            state_reason: Some("unpaid".to_owned()),
            plan: None,
            region: None,
            labels: serde_json::json!({}),
            access_epoch: 1,
            revision: 1,
            created_at: DateTime::default(),
            updated_at: DateTime::default(),
            created_by: None,
            maintenance_retry_s: None,
            deleted_from: None,
            purge_at: None,
            purge_begun_at: None,
            own_requests_per_second: 0,
            own_concurrent_requests: 0,
            own_connections: 0,
        }
    }
}
