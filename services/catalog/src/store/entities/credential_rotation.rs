use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::{CompanyId, DatabaseId};

/// How far a rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub enum State {
    /// The new credential is being made on the server.
    #[sea_orm(string_value = "installing")]
    Installing,
    /// The new one is handed out, and the former one works until it is due.
    #[sea_orm(string_value = "draining")]
    Draining,
}

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "credential_rotations")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub company_id: CompanyId,
    pub database_id: DatabaseId,
    /// The placement's generation that begins with the new credential.
    pub generation: i64,
    /// The login role of the new credential: 0 the first, 1 the second.
    pub slot: i32,
    /// The new password, until the database's own row has it.
    pub sealed_password: Option<Vec<u8>>,
    pub state: State,
    /// Also a fence: whoever raises it works on the row.
    pub attempts: i32,
    pub last_error: Option<String>,
    /// When there is something to do.
    pub due_at: DateTime<Utc>,
    pub created_by: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
