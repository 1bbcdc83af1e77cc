//! What devices of each kind have besides: a table per kind, a row per device.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::{DeviceId, TariffId};
use tenantry_tenancy::TenantConnection;

use super::table::any;
use crate::domain::{Details, Device, DeviceKind, EBike, Meter, SolarHomeSystem, Stored};

#[allow(unreachable_pub)] // The derives want their models public.
mod meter {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "meters")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device_id: DeviceId,
        pub tariff_id: Option<TariffId>,
        pub connection_type: Option<String>,
        pub phases: Option<i32>,
        pub max_current_milliamps: Option<i32>,
        pub in_use: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)]
mod solar_home_system {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "solar_home_systems")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device_id: DeviceId,
        pub panel_watts: Option<i32>,
        pub battery_watt_hours: Option<i32>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)]
mod e_bike {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "e_bikes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub device_id: DeviceId,
        pub mileage_metres: Option<i64>,
        pub battery_percent: Option<i32>,
        pub is_locked: bool,
        pub latitude: Option<f64>,
        pub longitude: Option<f64>,
        pub last_seen_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn meter(id: DeviceId, meter: &Meter) -> meter::ActiveModel {
    meter::ActiveModel {
        device_id: Set(id),
        tariff_id: Set(meter.tariff_id),
        connection_type: Set(meter.connection_type.clone()),
        phases: Set(meter.phases),
        max_current_milliamps: Set(meter.max_current_milliamps),
        in_use: Set(meter.in_use),
    }
}

fn solar_home_system(id: DeviceId, system: &SolarHomeSystem) -> solar_home_system::ActiveModel {
    solar_home_system::ActiveModel {
        device_id: Set(id),
        panel_watts: Set(system.panel_watts),
        battery_watt_hours: Set(system.battery_watt_hours),
    }
}

fn e_bike(id: DeviceId, bike: &EBike) -> e_bike::ActiveModel {
    e_bike::ActiveModel {
        device_id: Set(id),
        mileage_metres: Set(bike.mileage_metres),
        battery_percent: Set(bike.battery_percent),
        is_locked: Set(bike.locked),
        latitude: Set(bike.latitude),
        longitude: Set(bike.longitude),
        last_seen_at: Set(bike.last_seen_at),
    }
}

pub(crate) async fn insert(db: &impl TenantConnection, device: &Stored<Device>) -> Result<(), DbErr> {
    let id = device.id;
    match &device.content.details {
        Details::Meter(details) => meter::Entity::insert(meter(id, details)).exec_without_returning(db).await,
        Details::SolarHomeSystem(details) => {
            solar_home_system::Entity::insert(solar_home_system(id, details)).exec_without_returning(db).await
        }
        Details::EBike(details) => e_bike::Entity::insert(e_bike(id, details)).exec_without_returning(db).await,
    }
    .map(drop)
}

/// In place of those of the same kind.
pub(crate) async fn replace(db: &impl TenantConnection, device: &Stored<Device>) -> Result<(), DbErr> {
    let id = device.id;
    let deleted = match device.content.details.kind() {
        DeviceKind::Meter => meter::Entity::delete_by_id(id).exec(db).await,
        DeviceKind::SolarHomeSystem => solar_home_system::Entity::delete_by_id(id).exec(db).await,
        DeviceKind::EBike => e_bike::Entity::delete_by_id(id).exec(db).await,
    };
    deleted?;
    insert(db, device).await
}

/// Puts them into devices that were read without: one query for each kind there is.
pub(crate) async fn fill(db: &impl TenantConnection, devices: &mut [Stored<Device>]) -> Result<(), DbErr> {
    let mut found: HashMap<DeviceId, Details> = HashMap::new();
    for kind in [DeviceKind::Meter, DeviceKind::SolarHomeSystem, DeviceKind::EBike] {
        let ids: Vec<_> =
            devices.iter().filter(|device| device.content.details.kind() == kind).map(|device| device.id).collect();
        if ids.is_empty() {
            continue;
        }
        match kind {
            DeviceKind::Meter => {
                let rows = meter::Entity::find().filter(meter::Column::DeviceId.is_in(ids)).all(db).await?;
                found.extend(rows.into_iter().map(|row| (row.device_id, row.into())));
            }
            DeviceKind::SolarHomeSystem => {
                let of = solar_home_system::Column::DeviceId.is_in(ids);
                let rows = solar_home_system::Entity::find().filter(of).all(db).await?;
                found.extend(rows.into_iter().map(|row| (row.device_id, row.into())));
            }
            DeviceKind::EBike => {
                let rows = e_bike::Entity::find().filter(e_bike::Column::DeviceId.is_in(ids)).all(db).await?;
                found.extend(rows.into_iter().map(|row| (row.device_id, row.into())));
            }
        }
    }
    for device in devices {
        if let Some(details) = found.remove(&device.id) {
            device.content.details = details;
        }
    }
    Ok(())
}

impl From<meter::Model> for Details {
    fn from(row: meter::Model) -> Self {
        let meter::Model { tariff_id, connection_type, phases, max_current_milliamps, in_use, .. } = row;
        Self::Meter(Meter { tariff_id, connection_type, phases, max_current_milliamps, in_use })
    }
}

impl From<solar_home_system::Model> for Details {
    fn from(row: solar_home_system::Model) -> Self {
        let solar_home_system::Model { panel_watts, battery_watt_hours, .. } = row;
        Self::SolarHomeSystem(SolarHomeSystem { panel_watts, battery_watt_hours })
    }
}

impl From<e_bike::Model> for Details {
    fn from(row: e_bike::Model) -> Self {
        Self::EBike(EBike {
            mileage_metres: row.mileage_metres,
            battery_percent: row.battery_percent,
            locked: row.is_locked,
            latitude: row.latitude,
            longitude: row.longitude,
            last_seen_at: row.last_seen_at,
        })
    }
}

/// Whether a meter has the tariff.
pub(crate) async fn any_with(db: &impl TenantConnection, tariff: TariffId) -> Result<bool, DbErr> {
    any::<meter::Entity>(db, Condition::all().add(meter::Column::TariffId.eq(tariff))).await
}
