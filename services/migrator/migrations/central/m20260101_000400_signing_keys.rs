//! Keys that sign tokens; the private half is sealed.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{bytes, drop_tables, id, index, one_of, table, text_key, timestamp, timestamp_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let signing_keys = table(manager, "signing_keys")
            .col(id("id"))
            .col(string_len("algorithm", 20))
            .col(text_key("state", 20))
            .col(text("public_jwk"))
            .col(bytes(manager, "sealed_private"))
            .col(timestamp(manager, "not_before"))
            .col(timestamp_null(manager, "not_after"))
            .col(timestamp(manager, "created_at"))
            .check(one_of("signing_keys", "state", ["next", "current", "retiring"]))
            .to_owned();
        manager.create_table(signing_keys).await?;
        manager.create_index(index("signing_keys", ["state"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["signing_keys"]).await
    }
}
