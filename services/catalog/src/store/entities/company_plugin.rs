use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use tenantry_ids::CompanyId;

/// How far a company has a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub enum State {
    /// Its tables are being made, or brought to their newest version.
    #[sea_orm(string_value = "installing")]
    Installing,
    #[sea_orm(string_value = "installed")]
    Installed,
    /// Not served any more; its tables are kept.
    #[sea_orm(string_value = "uninstalled")]
    Uninstalled,
    /// Its tables are being dropped; then the row goes.
    #[sea_orm(string_value = "dropping")]
    Dropping,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            State::Installing => "installing",
            State::Installed => "installed",
            State::Uninstalled => "uninstalled",
            State::Dropping => "dropping",
        }
    }
}

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "company_plugins")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub company_id: CompanyId,
    pub plugin: String,
    pub state: State,
    pub settings: Json,
    pub schema_version: Option<String>,
    /// The last report of the migrator that counted.
    pub version_sequence: i64,
    /// Also a fence: whoever raises it works on the row.
    pub revision: i64,
    pub attempts: i32,
    pub last_error: Option<String>,
    /// When there is something to do; `None` where there is nothing.
    pub due_at: Option<DateTime<Utc>>,
    pub changed_by: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
