//! Credentials on their way to be replaced: the new one first, the end of the former one when it is over.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{bytes_null, drop_tables, id, index, one_of, reference, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let slot = integer("credential_slot").default(0).to_owned();
        manager.alter_table(Table::alter().table("company_databases").add_column(slot).to_owned()).await?;
        let rotations = table(manager, "credential_rotations")
            .col(id("company_id"))
            .col(uuid("database_id"))
            .col(big_integer("generation"))
            .col(integer("slot"))
            .col(bytes_null(manager, "sealed_password"))
            .col(text_key("state", 20))
            .col(integer("attempts"))
            .col(text_null("last_error"))
            .col(timestamp(manager, "due_at"))
            .col(string_len("created_by", 100))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("credential_rotations", "company_id", "companies", ForeignKeyAction::Cascade))
            .check(one_of("credential_rotations", "state", ["installing", "draining"]))
            .to_owned();
        manager.create_table(rotations).await?;
        manager.create_index(index("credential_rotations", ["due_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["credential_rotations"]).await?;
        let slot = Table::alter().table("company_databases").drop_column("credential_slot").to_owned();
        manager.alter_table(slot).await
    }
}
