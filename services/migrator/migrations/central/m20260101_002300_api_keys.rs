//! Keys of companies' machines, by the hash of their secret.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, reference, table, timestamp, timestamp_null, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let api_keys = table(manager, "api_keys")
            .col(id("id"))
            .col(uuid("company_id"))
            .col(string_len("name", 100))
            .col(char_len("secret_hash", 64))
            .col(string_len("scopes", 1_000))
            .col(uuid("created_by"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp_null(manager, "expires_at"))
            .col(timestamp_null(manager, "last_used_at"))
            .foreign_key(&mut reference("api_keys", "company_id", "companies", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(api_keys).await?;
        manager.create_index(unique("api_keys", ["secret_hash"])).await?;
        manager.create_index(index("api_keys", ["company_id", "id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["api_keys"]).await
    }
}
