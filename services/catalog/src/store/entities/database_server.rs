use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;

pub(crate) use crate::domain::ServerState as State;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "database_servers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub engine: String,
    pub endpoint: String,
    pub region: Option<String>,
    pub(crate) state: State,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// 0: as many as come.
    pub max_databases: i32,
    pub revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
