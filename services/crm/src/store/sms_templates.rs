//! What messages are written from.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::SmsTemplateId;
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::SmsTemplate;

pub(crate) use row::Entity as SmsTemplates;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sms_templates")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SmsTemplateId,
        pub name: String,
        pub language: String,
        pub body: String,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, SmsTemplate, columns: columns, read: read);

fn read(row: row::Model) -> SmsTemplate {
    SmsTemplate { name: row.name, language: row.language, body: row.body }
}

fn columns(template: &SmsTemplate) -> row::ActiveModel {
    row::ActiveModel {
        name: Set(template.name.clone()),
        language: Set(template.language.clone()),
        body: Set(template.body.clone()),
        ..Default::default()
    }
}

/// Whether another than `this` has the name in the language.
pub(crate) async fn is_taken(
    db: &impl TenantConnection,
    template: &SmsTemplate,
    this: Option<SmsTemplateId>,
) -> Result<bool, DbErr> {
    let name = row::Column::Name.eq(template.name.as_str());
    let same = Condition::all().add(name).add(row::Column::Language.eq(template.language.as_str()));
    any::<SmsTemplates>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}
