//! Messages on their way to people, and what became of them.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::super::columns::{
    drop_tables, id, index, one_of, reference, table, text_key, timestamp, timestamp_null,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let messages = table(manager, "sms_messages")
            .col(id("id"))
            // Of whom there may be nobody any more.
            .col(uuid_null("person_id"))
            .col(uuid_null("template_id"))
            .col(text_key("phone", 20))
            .col(text("body"))
            .col(text_key("state", 20))
            .col(integer("attempts"))
            .col(string_len_null("provider_reference", 200))
            .col(string_len_null("error", 500))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .col(timestamp_null(manager, "sent_at"))
            .foreign_key(&mut reference("sms_messages", "person_id", "people", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("sms_messages", "template_id", "sms_templates", ForeignKeyAction::SetNull))
            .check(one_of("sms_messages", "state", ["queued", "sent", "delivered", "failed"]))
            .to_owned();
        manager.create_table(messages).await?;
        manager.create_index(index("sms_messages", ["state", "created_at"])).await?;
        manager.create_index(index("sms_messages", ["person_id", "created_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["sms_messages"]).await
    }
}
