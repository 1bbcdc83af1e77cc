//! Companies and where their databases are.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    bytes_null, drop_tables, id, index, one_of, reference, reference_to, table, text_key, timestamp, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let companies = table(manager, "companies")
            .col(id("id"))
            .col(string_len("name", 200))
            .col(text_key("slug", 63))
            .col(text_key("state", 20))
            .col(text_null("state_reason"))
            .col(string_len_null("plan", 63))
            .col(string_len_null("region", 63))
            .col(json_binary("labels"))
            .col(big_integer("access_epoch"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .col(string_len_null("created_by", 100))
            .to_owned();
        manager.create_table(companies).await?;
        manager.create_index(unique("companies", ["slug"])).await?;
        manager.create_index(index("companies", ["state"])).await?;
        manager.create_index(index("companies", ["created_at"])).await?;

        let database_servers = table(manager, "database_servers")
            .col(text_key("name", 63).primary_key())
            .col(string_len("engine", 20))
            .col(text("endpoint"))
            .col(string_len_null("region", 63))
            .col(text_key("state", 20))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .check(one_of("database_servers", "state", ["open", "draining", "closed"]))
            .to_owned();
        manager.create_table(database_servers).await?;

        let company_databases = table(manager, "company_databases")
            .col(id("id"))
            .col(uuid("company_id"))
            .col(text_key("server", 63))
            .col(string_len_null("name", 63))
            .col(string_len_null("role", 63))
            .col(bytes_null(manager, "sealed_password"))
            .col(big_integer("generation"))
            .col(string_len_null("schema_version", 100))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("company_databases", "company_id", "companies", ForeignKeyAction::Restrict))
            .foreign_key(&mut reference_to(
                "company_databases",
                "server",
                "database_servers",
                "name",
                ForeignKeyAction::Restrict,
            ))
            .to_owned();
        manager.create_table(company_databases).await?;
        manager.create_index(unique("company_databases", ["company_id"])).await?;
        manager.create_index(unique("company_databases", ["server", "name"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["company_databases", "database_servers", "companies"]).await
    }
}
