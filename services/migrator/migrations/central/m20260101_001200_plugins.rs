//! The plugins that companies can install, and those that they have.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, reference, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let plugins = table(manager, "plugins")
            .col(text_key("name", 63).primary_key())
            .col(string_len("description", 500))
            .col(string_len("version", 100))
            .col(json("default_settings"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(plugins).await?;

        let installed = table(manager, "company_plugins")
            .col(id("id"))
            .col(uuid("company_id"))
            .col(text_key("plugin", 63))
            .col(text_key("state", 20))
            .col(json("settings"))
            .col(string_len_null("schema_version", 100))
            // As of company_databases: the last report of the migrator that counted.
            .col(big_integer("version_sequence").default(0))
            .col(big_integer("revision"))
            .col(integer("attempts"))
            .col(text_null("last_error"))
            // Not set where there is nothing to do.
            .col(timestamp_null(manager, "due_at"))
            .col(string_len("changed_by", 100))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("company_plugins", "company_id", "companies", ForeignKeyAction::Cascade))
            .check(one_of("company_plugins", "state", ["installing", "installed", "uninstalled", "dropping"]))
            .to_owned();
        manager.create_table(installed).await?;
        manager.create_index(unique("company_plugins", ["company_id", "plugin"])).await?;
        manager.create_index(index("company_plugins", ["due_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["company_plugins", "plugins"]).await
    }
}
