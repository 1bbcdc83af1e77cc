//! Which plugins' tables are in which database, and at which version.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, primary_key, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let plugins = table(manager, "database_plugins")
            .col(uuid("database_id"))
            .col(text_key("plugin", 63))
            .col(string_len("schema_version", 100))
            // As of database_claims: what the catalog is told in order by, and the last that it has.
            .col(big_integer("version_sequence"))
            .col(big_integer("reported_sequence"))
            .col(timestamp(manager, "updated_at"))
            .primary_key(&mut primary_key("database_plugins", ["database_id", "plugin"]))
            .to_owned();
        manager.create_table(plugins).await?;
        manager.create_index(index("database_plugins", ["plugin"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["database_plugins"]).await
    }
}
