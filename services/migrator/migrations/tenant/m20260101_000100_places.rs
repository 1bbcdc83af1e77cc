//! Where people live and devices stand: country ► city ► site.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, id, index, one_of, reference, table, text_key, timestamp, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let places = table(manager, "places")
            .col(id("id"))
            .col(text_key("kind", 20))
            .col(uuid_null("parent_id"))
            .col(text_key("name", 200))
            .col(char_len_null("country_code", 2))
            .col(double_null("latitude"))
            .col(double_null("longitude"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("places", "parent_id", "places", ForeignKeyAction::Restrict))
            .check(one_of("places", "kind", ["country", "city", "site"]))
            .to_owned();
        manager.create_table(places).await?;
        manager.create_index(unique("places", ["parent_id", "kind", "name"])).await?;
        manager.create_index(unique("places", ["country_code"])).await?;
        manager.create_index(index("places", ["kind", "name"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["places"]).await
    }
}
