use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

use crate::domain::Limits;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "plans")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub requests_per_second: i32,
    pub concurrent_requests: i32,
    pub connections: i32,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Model {
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            requests_per_second: self.requests_per_second,
            concurrent_requests: self.concurrent_requests,
            connections: self.connections,
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
