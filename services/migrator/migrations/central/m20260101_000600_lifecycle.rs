//! A company's way out, its maintenance, and the fence of reported schema versions.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{index, timestamp_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add(manager, "companies", integer_null("maintenance_retry_s")).await?;
        add(manager, "companies", string_len_null("deleted_from", 20)).await?;
        add(manager, "companies", timestamp_null(manager, "purge_at")).await?;
        add(manager, "companies", timestamp_null(manager, "purge_begun_at")).await?;
        manager.create_index(index("companies", ["purge_at"])).await?;
        add(manager, "company_databases", big_integer_null("version_sequence")).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        remove(manager, "company_databases", "version_sequence").await?;
        manager.drop_index(Index::drop().name("ix_companies_purge_at").table("companies").to_owned()).await?;
        remove(manager, "companies", "purge_begun_at").await?;
        remove(manager, "companies", "purge_at").await?;
        remove(manager, "companies", "deleted_from").await?;
        remove(manager, "companies", "maintenance_retry_s").await
    }
}

/// A column a statement: SQLite takes no more.
async fn add(manager: &SchemaManager<'_>, table: &'static str, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await
}

async fn remove(manager: &SchemaManager<'_>, table: &'static str, column: &'static str) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await
}
