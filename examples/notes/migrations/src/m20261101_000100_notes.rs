//! What people write down.

#![allow(elided_lifetimes_in_paths, reason = "MigrationTrait elides them")]

use sea_orm_migration::{prelude::*, schema::*};
use tenantry_migration::columns::{drop_tables, id, table, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let notes = table(manager, "notes")
            .col(id("id"))
            .col(text("text"))
            .col(uuid("author_id"))
            .col(timestamp(manager, "written_at"))
            .to_owned();
        manager.create_table(notes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["notes"]).await
    }
}
