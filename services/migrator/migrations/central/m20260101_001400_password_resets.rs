//! Secrets by which users choose new passwords.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, reference, table, timestamp, timestamp_null, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let password_resets = table(manager, "password_resets")
            .col(id("id"))
            .col(uuid("user_id"))
            .col(char_len("secret_hash", 64))
            .col(timestamp(manager, "expires_at"))
            .col(timestamp_null(manager, "used_at"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("password_resets", "user_id", "users", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(password_resets).await?;
        manager.create_index(unique("password_resets", ["secret_hash"])).await?;
        manager.create_index(index("password_resets", ["user_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["password_resets"]).await
    }
}
