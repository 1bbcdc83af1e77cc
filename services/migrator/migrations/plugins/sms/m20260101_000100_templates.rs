//! What messages are written from.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::super::columns::{drop_tables, id, table, text_key, timestamp, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let templates = table(manager, "sms_templates")
            .col(id("id"))
            .col(text_key("name", 100))
            .col(text("body"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(templates).await?;
        manager.create_index(unique("sms_templates", ["name"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["sms_templates"]).await
    }
}
