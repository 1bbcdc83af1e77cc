//! Who is signed in where: one row for each sign-in, with the hash of the one refresh token that continues it.
//!
//! No foreign key to the company: whoever signs in would wait for its row with the user's lock in hand, and whoever
//! removes a member waits the other way round.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, reference, table, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let sessions = table(manager, "sessions")
            .col(id("id"))
            .col(uuid("company_id"))
            .col(uuid("user_id"))
            .col(big_integer("access_epoch"))
            .col(string_len("audiences", 255))
            .col(char_len("current_hash", 64))
            .col(char_len_null("previous_hash", 64))
            .col(timestamp(manager, "rotated_at"))
            .col(timestamp(manager, "idle_ends_at"))
            .col(timestamp(manager, "ends_at"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("sessions", "user_id", "users", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(sessions).await?;
        manager.create_index(index("sessions", ["user_id", "company_id"])).await?;
        manager.create_index(index("sessions", ["idle_ends_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["sessions"]).await
    }
}
