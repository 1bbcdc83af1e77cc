//! The durable steps that make a company, and who works on them.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, primary_key, reference, table, text_key, timestamp, timestamp_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let provisioning_steps = table(manager, "provisioning_steps")
            .col(uuid("company_id"))
            .col(integer("position"))
            .col(string_len("name", 63))
            .col(text_key("state", 20))
            .col(integer("attempts"))
            .col(text_null("last_error"))
            .col(timestamp(manager, "next_attempt_at"))
            .col(timestamp_null(manager, "started_at"))
            .col(timestamp_null(manager, "finished_at"))
            .primary_key(&mut primary_key("provisioning_steps", ["company_id", "position"]))
            .foreign_key(&mut reference("provisioning_steps", "company_id", "companies", ForeignKeyAction::Cascade))
            .check(one_of("provisioning_steps", "state", ["pending", "running", "done", "failed"]))
            .to_owned();
        manager.create_table(provisioning_steps).await?;
        manager.create_index(index("provisioning_steps", ["state", "next_attempt_at"])).await?;

        let provisioning_leases = table(manager, "provisioning_leases")
            .col(id("company_id"))
            .col(string_len_null("owner", 128))
            .col(big_integer("fence"))
            .col(timestamp_null(manager, "expires_at"))
            .col(string_len_null("trace_parent", 55))
            .foreign_key(&mut reference("provisioning_leases", "company_id", "companies", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(provisioning_leases).await?;
        manager.create_index(index("provisioning_leases", ["expires_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["provisioning_leases", "provisioning_steps"]).await
    }
}
