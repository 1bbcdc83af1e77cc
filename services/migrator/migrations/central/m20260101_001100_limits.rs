//! What tenants may ask for: by plan, and of a company's own.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{add_columns, drop_columns, drop_indexes, drop_tables, index, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // 0 is no limit, here and below.
        let plans = table(manager, "plans")
            .col(text_key("name", 63).primary_key())
            .col(integer("requests_per_second"))
            .col(integer("concurrent_requests"))
            .col(integer("connections"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(plans).await?;
        let own = ["own_requests_per_second", "own_concurrent_requests", "own_connections"];
        add_columns(manager, "companies", own.map(|name| integer(name).default(0).to_owned())).await?;
        manager.create_index(index("companies", ["plan"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "companies", ["ix_companies_plan"]).await?;
        let own = ["own_connections", "own_concurrent_requests", "own_requests_per_second"];
        drop_columns(manager, "companies", own).await?;
        drop_tables(manager, ["plans"]).await
    }
}
