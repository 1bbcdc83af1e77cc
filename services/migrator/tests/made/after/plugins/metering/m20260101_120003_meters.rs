//! What this changes, and why.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::super::columns::{drop_tables, id, table, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let new = table(manager, "meters")
            .col(id("id"))
            .col(string_len("name", 200))
            .col(timestamp(manager, "created_at"))
            .to_owned();
        manager.create_table(new).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["meters"]).await
    }
}
