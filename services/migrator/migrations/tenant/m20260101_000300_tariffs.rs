//! What a kilowatt-hour and a month of access cost.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{currency, drop_tables, id, nanos, table, text_key, timestamp, unique, units};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tariffs = table(manager, "tariffs")
            .col(id("id"))
            .col(text_key("name", 200))
            .col(currency())
            .col(units("price_units"))
            .col(nanos("price_nanos"))
            .col(units("access_fee_units"))
            .col(nanos("access_fee_nanos"))
            .col(boolean("is_default"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(tariffs).await?;
        manager.create_index(unique("tariffs", ["name"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["tariffs"]).await
    }
}
