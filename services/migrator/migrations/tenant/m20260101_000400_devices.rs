//! What is sold or rented to a person: one row per device, its particulars in a table per kind.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    drop_tables, id, index, one_of, reference, table, text_key, timestamp, timestamp_null, unique,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let manufacturers = table(manager, "manufacturers")
            .col(id("id"))
            .col(text_key("name", 200))
            .col(string_len_null("website", 255))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .to_owned();
        manager.create_table(manufacturers).await?;
        manager.create_index(unique("manufacturers", ["name"])).await?;

        let devices = table(manager, "devices")
            .col(id("id"))
            .col(text_key("kind", 20))
            .col(uuid("manufacturer_id"))
            .col(text_key("serial", 100))
            .col(uuid_null("person_id"))
            .col(uuid_null("place_id"))
            .col(json_binary("labels"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("devices", "manufacturer_id", "manufacturers", ForeignKeyAction::Restrict))
            .foreign_key(&mut reference("devices", "person_id", "people", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("devices", "place_id", "places", ForeignKeyAction::SetNull))
            .check(one_of("devices", "kind", ["meter", "solar_home_system", "e_bike"]))
            .to_owned();
        manager.create_table(devices).await?;
        manager.create_index(unique("devices", ["manufacturer_id", "serial"])).await?;
        manager.create_index(index("devices", ["person_id"])).await?;
        manager.create_index(index("devices", ["place_id"])).await?;
        manager.create_index(index("devices", ["kind"])).await?;

        let device_assignments = table(manager, "device_assignments")
            .col(id("id"))
            .col(uuid("device_id"))
            .col(uuid("person_id"))
            .col(timestamp(manager, "assigned_at"))
            .col(timestamp_null(manager, "released_at"))
            .foreign_key(&mut reference("device_assignments", "device_id", "devices", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("device_assignments", "person_id", "people", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(device_assignments).await?;
        manager.create_index(index("device_assignments", ["device_id", "assigned_at"])).await?;
        manager.create_index(index("device_assignments", ["person_id"])).await?;

        let meters = table(manager, "meters")
            .col(id("device_id"))
            .col(uuid_null("tariff_id"))
            .col(string_len_null("connection_type", 40))
            .col(integer_null("phases"))
            .col(integer_null("max_current_milliamps"))
            .col(boolean("in_use"))
            .foreign_key(&mut reference("meters", "device_id", "devices", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("meters", "tariff_id", "tariffs", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(meters).await?;
        manager.create_index(index("meters", ["tariff_id"])).await?;

        let solar_home_systems = table(manager, "solar_home_systems")
            .col(id("device_id"))
            .col(integer_null("panel_watts"))
            .col(integer_null("battery_watt_hours"))
            .foreign_key(&mut reference("solar_home_systems", "device_id", "devices", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(solar_home_systems).await?;

        let e_bikes = table(manager, "e_bikes")
            .col(id("device_id"))
            .col(big_integer_null("mileage_metres"))
            .col(integer_null("battery_percent"))
            .col(boolean("is_locked"))
            .col(double_null("latitude"))
            .col(double_null("longitude"))
            .col(timestamp_null(manager, "last_seen_at"))
            .foreign_key(&mut reference("e_bikes", "device_id", "devices", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(e_bikes).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(
            manager,
            ["e_bikes", "solar_home_systems", "meters", "device_assignments", "devices", "manufacturers"],
        )
        .await
    }
}
