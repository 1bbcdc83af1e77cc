//! Categories of tickets have etags; tickets are found by who made them.

use sea_orm_migration::prelude::*;

use super::super::columns::{add_columns, drop_columns, drop_indexes, index, revision};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_columns(manager, "ticket_categories", [revision()]).await?;
        manager.create_index(index("tickets", ["creator_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "tickets", ["ix_tickets_creator_id"]).await?;
        drop_columns(manager, "ticket_categories", ["revision"]).await
    }
}
