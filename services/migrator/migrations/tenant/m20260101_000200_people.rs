//! Customers, agents and staff. `created_by` is a user of the central database, so no foreign key.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, one_of, reference, table, text_key, timestamp};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let people = table(manager, "people")
            .col(id("id"))
            .col(text_key("kind", 20))
            .col(string_len_null("title", 40))
            .col(text_key("name", 200))
            .col(text_key("surname", 200))
            .col(date_null("birth_date"))
            .col(string_len_null("gender", 40))
            .col(string_len_null("education", 100))
            .col(string_len_null("nationality", 100))
            .col(json_binary("labels"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .col(uuid_null("created_by"))
            .check(one_of("people", "kind", ["customer", "agent", "staff"]))
            .to_owned();
        manager.create_table(people).await?;
        manager.create_index(index("people", ["surname", "name"])).await?;
        manager.create_index(index("people", ["kind"])).await?;
        manager.create_index(index("people", ["created_at"])).await?;

        let addresses = table(manager, "addresses")
            .col(id("id"))
            .col(uuid("person_id"))
            .col(string_len_null("email", 320))
            .col(string_len_null("phone", 16))
            .col(string_len_null("street", 255))
            .col(uuid_null("place_id"))
            .col(boolean("is_primary"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("addresses", "person_id", "people", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("addresses", "place_id", "places", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(addresses).await?;
        manager.create_index(index("addresses", ["person_id"])).await?;
        manager.create_index(index("addresses", ["place_id"])).await?;
        manager.create_index(index("addresses", ["phone"])).await?;
        manager.create_index(index("addresses", ["email"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["addresses", "people"]).await
    }
}
