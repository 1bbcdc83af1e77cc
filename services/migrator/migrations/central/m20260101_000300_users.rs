//! Identities, their memberships and invitations, and the operators, who are apart.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, primary_key, reference, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let users = table(manager, "users")
            .col(id("id"))
            .col(string_len("email", 320))
            .col(text_key("email_key", 320))
            .col(string_len("password_hash", 255))
            .col(timestamp(manager, "password_changed_at"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(users).await?;
        manager.create_index(unique("users", ["email_key"])).await?;

        let memberships = table(manager, "memberships")
            .col(uuid("company_id"))
            .col(uuid("user_id"))
            .col(string_len("role", 63))
            .col(timestamp(manager, "created_at"))
            .primary_key(&mut primary_key("memberships", ["company_id", "user_id"]))
            .foreign_key(&mut reference("memberships", "company_id", "companies", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("memberships", "user_id", "users", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(memberships).await?;
        manager.create_index(index("memberships", ["user_id"])).await?;

        let invitations = table(manager, "invitations")
            .col(id("id"))
            .col(uuid("company_id"))
            .col(string_len("email", 320))
            .col(text_key("email_key", 320))
            .col(string_len("role", 63))
            .col(char_len("secret_hash", 64))
            .col(uuid("invited_by"))
            .col(timestamp(manager, "expires_at"))
            .col(timestamp_null(manager, "accepted_at"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("invitations", "company_id", "companies", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(invitations).await?;
        manager.create_index(unique("invitations", ["secret_hash"])).await?;
        manager.create_index(index("invitations", ["company_id", "email_key"])).await?;
        manager.create_index(index("invitations", ["expires_at"])).await?;

        let operators = table(manager, "operators")
            .col(id("id"))
            .col(text_key("name", 63))
            .col(char_len("credential_hash", 64))
            .col(timestamp(manager, "created_at"))
            .col(timestamp_null(manager, "last_used_at"))
            .to_owned();
        manager.create_table(operators).await?;
        manager.create_index(unique("operators", ["name"])).await?;
        manager.create_index(unique("operators", ["credential_hash"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["operators", "invitations", "memberships", "users"]).await
    }
}
