//! What somebody has to look after. Creator, assignee and author are users of the central database.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, reference, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let ticket_categories = table(manager, "ticket_categories")
            .col(id("id"))
            .col(text_key("name", 100))
            .col(char_len("colour", 7))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(ticket_categories).await?;
        manager.create_index(unique("ticket_categories", ["name"])).await?;

        let tickets = table(manager, "tickets")
            .col(id("id"))
            .col(uuid("category_id"))
            .col(uuid_null("person_id"))
            .col(uuid_null("device_id"))
            .col(string_len("title", 200))
            .col(text_null("description"))
            .col(text_key("status", 20))
            .col(uuid("creator_id"))
            .col(uuid_null("assignee_id"))
            .col(date_null("due_date"))
            .col(timestamp_null(manager, "closed_at"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("tickets", "category_id", "ticket_categories", ForeignKeyAction::Restrict))
            .foreign_key(&mut reference("tickets", "person_id", "people", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("tickets", "device_id", "devices", ForeignKeyAction::SetNull))
            .check(one_of("tickets", "status", ["open", "waiting", "closed"]))
            .to_owned();
        manager.create_table(tickets).await?;
        manager.create_index(index("tickets", ["status", "due_date"])).await?;
        manager.create_index(index("tickets", ["assignee_id", "status"])).await?;
        manager.create_index(index("tickets", ["category_id"])).await?;
        manager.create_index(index("tickets", ["person_id"])).await?;
        manager.create_index(index("tickets", ["device_id"])).await?;

        let ticket_comments = table(manager, "ticket_comments")
            .col(id("id"))
            .col(uuid("ticket_id"))
            .col(uuid("author_id"))
            .col(text("body"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("ticket_comments", "ticket_id", "tickets", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(ticket_comments).await?;
        manager.create_index(index("ticket_comments", ["ticket_id", "created_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["ticket_comments", "tickets", "ticket_categories"]).await
    }
}
