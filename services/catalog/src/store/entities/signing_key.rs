use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::KeyId;

use crate::domain::KeyState;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "signing_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: KeyId,
    pub algorithm: String,
    pub(crate) state: KeyState,
    pub public_jwk: String,
    pub sealed_private: Vec<u8>,
    pub not_before: DateTime<Utc>,
    pub not_after: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
