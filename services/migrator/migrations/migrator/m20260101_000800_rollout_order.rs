//! Targets are taken in their order, whatever server they are on: of ten thousand, nobody should have to sort them.

use sea_orm_migration::prelude::*;

use super::super::columns::{drop_indexes, index};

const TABLE: &str = "rollout_targets";
const BEFORE: [&str; 4] = ["rollout_id", "state", "server", "position"];

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(index(TABLE, ["rollout_id", "state", "position"])).await?;
        drop_indexes(manager, TABLE, ["ix_rollout_targets_rollout_id_state_server_position"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(index(TABLE, BEFORE)).await?;
        drop_indexes(manager, TABLE, ["ix_rollout_targets_rollout_id_state_position"]).await
    }
}
