use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::IssuerId;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "issuers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: IssuerId,
    /// As its tokens say it.
    pub issuer_url: String,
    /// A list of texts.
    pub audiences: Json,
    /// Separated by spaces.
    pub algorithms: String,
    pub company_claim: String,
    pub user_claim: String,
    pub link_by_verified_email: bool,
    /// A list of `host` and `host:port`.
    pub key_hosts: Json,
    pub max_token_age_s: i32,
    pub disabled: bool,
    pub revision: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
