//! What the data plane has to hear of, in order: that a tenant changed, or that a subject's tokens are revoked.
//!
//! Apart from `events`: those are an audit trail that is kept for as long as somebody wants it, these rows are swept
//! within hours. No foreign key: a change outlives its company.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, table, timestamp, timestamp_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tenant_changes = table(manager, "tenant_changes")
            .col(big_integer("sequence").primary_key().auto_increment())
            .col(uuid("company_id"))
            .col(string_len_null("subject", 100))
            .col(timestamp_null(manager, "issued_before"))
            .col(timestamp(manager, "created_at"))
            .to_owned();
        manager.create_table(tenant_changes).await?;
        manager.create_index(index("tenant_changes", ["company_id", "subject"])).await?;
        manager.create_index(index("tenant_changes", ["created_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["tenant_changes"]).await
    }
}
