//! What people are found by: the words of their names, addresses and numbers, without case and accents, each with its
//! weight. Searched by prefix, so a plain index does on every engine.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, primary_key, reference, table, text_key};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let person_tokens = table(manager, "person_tokens")
            .col(text_key("token", 64))
            .col(uuid("person_id"))
            .col(integer("weight"))
            .index(&mut primary_key("person_tokens", ["token", "person_id"]))
            .foreign_key(&mut reference("person_tokens", "person_id", "people", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(person_tokens).await?;
        manager.create_index(index("person_tokens", ["person_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["person_tokens"]).await?;
        // Whoever comes back derives them anew.
        let stale = Query::update().table("people").value("search_version", 0).to_owned();
        manager.execute(stale).await
    }
}
