//! Who changed what, from what, into what. No foreign key: an entry outlives what it tells of.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let audit_entries = table(manager, "audit_entries")
            .col(id("id"))
            .col(text_key("actor", 128))
            .col(text_key("action", 80))
            .col(text_key("entity", 40))
            .col(uuid("entity_id"))
            .col(json_binary_null("before_state"))
            .col(json_binary_null("after_state"))
            .col(char_len_null("trace_id", 32))
            .col(timestamp(manager, "occurred_at"))
            .to_owned();
        manager.create_table(audit_entries).await?;
        manager.create_index(index("audit_entries", ["entity", "entity_id", "occurred_at"])).await?;
        manager.create_index(index("audit_entries", ["actor", "occurred_at"])).await?;
        manager.create_index(index("audit_entries", ["occurred_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["audit_entries"]).await
    }
}
