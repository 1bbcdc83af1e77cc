//! Every change of a schema that this migrator has tried.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, table, text_key, timestamp, timestamp_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let runs = table(manager, "runs")
            .col(id("id"))
            .col(text_key("server", 63))
            .col(text_key("database_name", 63))
            .col(string_len("set_name", 63))
            .col(string_len("kind", 20))
            .col(string_len_null("from_version", 100))
            .col(string_len_null("to_version", 100))
            .col(string_len("state", 20))
            .col(text_null("error"))
            .col(timestamp(manager, "started_at"))
            .col(timestamp_null(manager, "finished_at"))
            .to_owned();
        manager.create_table(runs).await?;
        manager.create_index(index("runs", ["server", "database_name", "started_at"])).await?;
        manager.create_index(index("runs", ["started_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["runs"]).await
    }
}
