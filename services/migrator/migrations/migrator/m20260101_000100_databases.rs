//! The databases this migrator has made, each for one company, and the templates it clones them from.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, primary_key, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let database_claims = table(manager, "database_claims")
            .col(id("database_id"))
            .col(uuid("company_id"))
            .col(text_key("server", 63))
            .col(text_key("name", 63))
            .col(string_len_null("role", 63))
            .col(text_key("state", 20))
            .col(string_len_null("schema_version", 100))
            .col(timestamp_null(manager, "seeded_at"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .check(one_of("database_claims", "state", ["creating", "ready", "dropping", "dropped"]))
            .to_owned();
        manager.create_table(database_claims).await?;
        manager.create_index(unique("database_claims", ["company_id"])).await?;
        manager.create_index(unique("database_claims", ["server", "name"])).await?;
        manager.create_index(index("database_claims", ["state"])).await?;

        let templates = table(manager, "templates")
            .col(text_key("server", 63))
            .col(text_key("name", 63))
            .col(char_len("set_checksum", 64))
            .col(string_len("schema_version", 100))
            .col(string_len("state", 20))
            .col(timestamp(manager, "created_at"))
            .primary_key(&mut primary_key("templates", ["server", "name"]))
            .to_owned();
        manager.create_table(templates).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["templates", "database_claims"]).await
    }
}
