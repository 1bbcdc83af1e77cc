use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::{CompanyId, SessionId, UserId};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SessionId,
    pub company_id: CompanyId,
    pub user_id: UserId,
    /// The company's, when the session began: a later one ends it.
    pub access_epoch: i64,
    /// Separated by spaces.
    pub audiences: String,
    pub current_hash: String,
    /// Of the token before; taken for a moment longer.
    pub previous_hash: Option<String>,
    /// Since when there is a token before the current one.
    pub rotated_at: DateTime<Utc>,
    pub idle_ends_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
