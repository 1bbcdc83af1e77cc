//! Databases made ahead, for companies to come.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, one_of, table, text_key, timestamp, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let spares = table(manager, "spares")
            .col(id("id"))
            .col(text_key("server", 63))
            .col(integer("place"))
            .col(string_len("name", 63))
            .col(string_len("set_checksum", 64))
            .col(text_key("state", 20))
            .col(timestamp(manager, "lease_until"))
            .col(timestamp(manager, "created_at"))
            .check(one_of("spares", "state", ["making", "ready", "dropping"]))
            .to_owned();
        manager.create_table(spares).await?;
        // However many replicas refill a server, its places are as many as they are.
        manager.create_index(unique("spares", ["server", "place"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["spares"]).await
    }
}
