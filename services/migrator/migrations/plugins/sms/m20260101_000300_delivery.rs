//! Templates in languages, and messages that gateways take under a lease.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::super::columns::{add_columns, drop_columns, drop_indexes, text_key, timestamp_null, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_columns(manager, "sms_templates", [text_key("language", 35).default("").to_owned()]).await?;
        manager.create_index(unique("sms_templates", ["name", "language"])).await?;
        drop_indexes(manager, "sms_templates", ["ux_sms_templates_name"]).await?;

        let columns = [timestamp_null(manager, "lease_until"), big_integer("fence").default(0).to_owned()];
        add_columns(manager, "sms_messages", columns).await
    }

    /// Templates of a language go with the languages: their names may be there twice.
    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_columns(manager, "sms_messages", ["fence", "lease_until"]).await?;
        let spoken = Query::delete().from_table("sms_templates").and_where(Expr::col("language").ne("")).to_owned();
        manager.execute(spoken).await?;
        manager.create_index(unique("sms_templates", ["name"])).await?;
        drop_indexes(manager, "sms_templates", ["ux_sms_templates_name_language"]).await?;
        drop_columns(manager, "sms_templates", ["language"]).await
    }
}
