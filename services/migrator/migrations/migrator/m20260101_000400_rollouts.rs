//! Rollouts and their targets; who gave a command; which versions the catalog was told.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, primary_key, reference, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rollouts = table(manager, "rollouts")
            .col(id("id"))
            .col(text_key("set_name", 63))
            .col(text_key("state", 20))
            .col(text_null("state_reason"))
            .col(string_len_null("target_version", 100))
            .col(uuid_null("rollback_of"))
            .col(string_len_null("base_version", 100))
            .col(text("checksums"))
            .col(integer("wave"))
            .col(integer("waves"))
            .col(integer("canary"))
            .col(timestamp(manager, "wave_opens_at"))
            .col(big_integer("soak_ms"))
            .col(integer("parallelism"))
            .col(integer("parallelism_per_server"))
            .col(integer("failure_budget"))
            .col(integer("against_budget"))
            .col(integer("max_attempts"))
            .col(boolean("verify"))
            .col(boolean("rehearsed"))
            .col(integer("total"))
            .col(integer("succeeded"))
            .col(integer("failed"))
            .col(integer("skipped"))
            .col(integer("cancelled"))
            .col(string_len("creator", 100))
            .col(string_len_null("trace_parent", 100))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .col(timestamp_null(manager, "ended_at"))
            .check(one_of("rollouts", "state", ["running", "paused", "halted", "cancelled", "succeeded", "failed"]))
            .to_owned();
        manager.create_table(rollouts).await?;
        manager.create_index(index("rollouts", ["state"])).await?;

        let targets = table(manager, "rollout_targets")
            .col(uuid("rollout_id"))
            .col(integer("position"))
            .col(uuid("company_id"))
            .col(uuid("database_id"))
            .col(text_key("server", 63))
            .col(string_len("database_name", 63))
            .col(integer("wave"))
            .col(string_len_null("start_version", 100))
            .col(text_key("state", 20))
            .col(integer("attempts"))
            .col(integer("changes"))
            .col(string_len_null("error_reason", 63))
            .col(text_null("error_message"))
            .col(timestamp(manager, "not_before"))
            .col(string_len_null("lease_holder", 63))
            .col(timestamp_null(manager, "lease_until"))
            .col(big_integer("fence"))
            .col(timestamp_null(manager, "started_at"))
            .col(timestamp_null(manager, "finished_at"))
            .col(big_integer_null("duration_ms"))
            .primary_key(&mut primary_key("rollout_targets", ["rollout_id", "position"]))
            .check(one_of(
                "rollout_targets",
                "state",
                ["pending", "running", "succeeded", "failed", "skipped", "cancelled"],
            ))
            .foreign_key(&mut reference("rollout_targets", "rollout_id", "rollouts", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(targets).await?;
        manager.create_index(unique("rollout_targets", ["rollout_id", "database_id"])).await?;
        manager.create_index(index("rollout_targets", ["rollout_id", "state", "server", "position"])).await?;

        add(manager, "runs", string_len_null("caller", 100)).await?;
        let numbered = |name: &'static str| ColumnDef::new(name).big_integer().not_null().default(0).to_owned();
        add(manager, "database_claims", numbered("version_sequence")).await?;
        add(manager, "database_claims", numbered("reported_sequence")).await?;
        add(manager, "database_claims", uuid_null("failed_rollout")).await?;
        // Nothing has ever been written there: a template's own mark says whether it is finished.
        drop_tables(manager, ["templates"]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let templates = table(manager, "templates")
            .col(text_key("server", 63))
            .col(text_key("name", 63))
            .col(char_len("set_checksum", 64))
            .col(string_len("schema_version", 100))
            .col(string_len("state", 20))
            .col(timestamp(manager, "created_at"))
            .primary_key(&mut primary_key("templates", ["server", "name"]))
            .to_owned();
        manager.create_table(templates).await?;
        for column in ["failed_rollout", "reported_sequence", "version_sequence"] {
            remove(manager, "database_claims", column).await?;
        }
        remove(manager, "runs", "caller").await?;
        drop_tables(manager, ["rollout_targets", "rollouts"]).await
    }
}

/// A column a statement: SQLite takes no more.
async fn add(manager: &SchemaManager<'_>, table: &'static str, column: ColumnDef) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await
}

async fn remove(manager: &SchemaManager<'_>, table: &'static str, column: &'static str) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await
}
