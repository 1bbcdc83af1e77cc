use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::{IssuerId, UserId};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "issuer_users")]
pub struct Model {
    /// In the order in which they came.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub issuer_id: IssuerId,
    pub subject: String,
    pub user_id: UserId,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
