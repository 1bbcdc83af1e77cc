//! What the latest check of each database has found: who drifted, without asking every server.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, table, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drift_checks = table(manager, "drift_checks")
            .col(id("database_id"))
            .col(timestamp(manager, "checked_at"))
            .col(string_len_null("schema_version", 100))
            .col(integer("finding_count"))
            .col(json_binary("findings"))
            .to_owned();
        manager.create_table(drift_checks).await?;
        manager.create_index(index("drift_checks", ["finding_count"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["drift_checks"]).await
    }
}
