//! What is sold, and in which parts it is paid. A part is a debt: what is left of it stands there alone.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::super::columns::{
    currency, drop_tables, id, index, nanos, primary_key, reference, table, text_key, timestamp, timestamp_null,
    unique, units,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let appliances = table(manager, "appliances")
            .col(id("id"))
            .col(text_key("name", 100))
            .col(string_len_null("category", 40))
            .col(units("price_units"))
            .col(nanos("price_nanos"))
            .col(currency())
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(appliances).await?;
        manager.create_index(unique("appliances", ["name"])).await?;
        manager.create_index(index("appliances", ["category"])).await?;

        let sales = table(manager, "appliance_sales")
            .col(id("id"))
            .col(uuid("appliance_id"))
            .col(uuid("person_id"))
            .col(uuid_null("device_id"))
            .col(units("price_units"))
            .col(nanos("price_nanos"))
            .col(units("down_payment_units"))
            .col(nanos("down_payment_nanos"))
            .col(currency())
            .col(timestamp_null(manager, "cancelled_at"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("appliance_sales", "appliance_id", "appliances", ForeignKeyAction::Restrict))
            // As debts do: who is removed owes nothing any more.
            .foreign_key(&mut reference("appliance_sales", "person_id", "people", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("appliance_sales", "device_id", "devices", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(sales).await?;
        manager.create_index(index("appliance_sales", ["person_id"])).await?;
        manager.create_index(index("appliance_sales", ["appliance_id"])).await?;
        manager.create_index(index("appliance_sales", ["device_id"])).await?;

        let instalments = table(manager, "appliance_instalments")
            .col(uuid("sale_id"))
            .col(integer("number"))
            .col(uuid_null("debt_id"))
            .col(units("amount_units"))
            .col(nanos("amount_nanos"))
            .col(units("written_off_units"))
            .col(nanos("written_off_nanos"))
            .index(&mut primary_key("appliance_instalments", ["sale_id", "number"]))
            .foreign_key(&mut reference(
                "appliance_instalments",
                "sale_id",
                "appliance_sales",
                ForeignKeyAction::Cascade,
            ))
            .foreign_key(&mut reference("appliance_instalments", "debt_id", "debts", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(instalments).await?;
        manager.create_index(unique("appliance_instalments", ["debt_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["appliance_instalments", "appliance_sales", "appliances"]).await
    }
}
