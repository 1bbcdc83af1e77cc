//! What a call with a `request_id` answered, so that a repeated one gets the same. Rows live 24 hours.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{bytes_null, drop_tables, index, primary_key, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let idempotency_keys = table(manager, "idempotency_keys")
            .col(text_key("caller", 128))
            .col(text_key("method", 160))
            .col(text_key("request_id", 64))
            .col(char_len("fingerprint", 64))
            .col(bytes_null(manager, "response"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "expires_at"))
            .primary_key(&mut primary_key("idempotency_keys", ["caller", "method", "request_id"]))
            .to_owned();
        manager.create_table(idempotency_keys).await?;
        manager.create_index(index("idempotency_keys", ["expires_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["idempotency_keys"]).await
    }
}
