//! Manufacturers have etags; devices of a kind are found by person.

use sea_orm_migration::prelude::*;

use super::super::columns::{add_columns, drop_columns, drop_indexes, index, revision};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_columns(manager, "manufacturers", [revision()]).await?;
        manager.create_index(index("devices", ["kind", "person_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "devices", ["ix_devices_kind_person_id"]).await?;
        drop_columns(manager, "manufacturers", ["revision"]).await
    }
}
