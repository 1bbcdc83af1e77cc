//! What happened, in order. No foreign key: an event outlives its company.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, table, text_key, timestamp, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let events = table(manager, "events")
            .col(big_integer("sequence").primary_key().auto_increment())
            .col(uuid("id"))
            .col(uuid_null("company_id"))
            .col(text_key("kind", 63))
            .col(string_len("actor", 128))
            .col(char_len_null("trace_id", 32))
            .col(json_binary("payload"))
            .col(timestamp(manager, "occurred_at"))
            .to_owned();
        manager.create_table(events).await?;
        manager.create_index(unique("events", ["id"])).await?;
        manager.create_index(index("events", ["company_id", "sequence"])).await?;
        manager.create_index(index("events", ["kind", "sequence"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["events"]).await
    }
}
