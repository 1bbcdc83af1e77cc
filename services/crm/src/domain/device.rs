use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::{DeviceId, ManufacturerId, PersonId, PlaceId, TariffId};

use super::content::{Content, Thing, writable};
use super::{Labels, Money};

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeviceKind {
    #[sea_orm(string_value = "meter")]
    Meter,
    #[sea_orm(string_value = "solar_home_system")]
    SolarHomeSystem,
    #[sea_orm(string_value = "e_bike")]
    EBike,
}

/// What a device of its kind has besides.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Details {
    Meter(Meter),
    SolarHomeSystem(SolarHomeSystem),
    EBike(EBike),
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct Meter {
    pub(crate) tariff_id: Option<TariffId>,
    pub(crate) connection_type: Option<String>,
    pub(crate) phases: Option<i32>,
    pub(crate) max_current_milliamps: Option<i32>,
    pub(crate) in_use: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct SolarHomeSystem {
    pub(crate) panel_watts: Option<i32>,
    pub(crate) battery_watt_hours: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub(crate) struct EBike {
    pub(crate) mileage_metres: Option<i64>,
    pub(crate) battery_percent: Option<i32>,
    pub(crate) locked: bool,
    pub(crate) latitude: Option<f64>,
    pub(crate) longitude: Option<f64>,
    pub(crate) last_seen_at: Option<DateTime<Utc>>,
}

impl Details {
    pub(crate) fn kind(&self) -> DeviceKind {
        match self {
            Self::Meter(_) => DeviceKind::Meter,
            Self::SolarHomeSystem(_) => DeviceKind::SolarHomeSystem,
            Self::EBike(_) => DeviceKind::EBike,
        }
    }

    /// Those of a kind of which nothing is known.
    pub(crate) fn unknown(kind: DeviceKind) -> Self {
        match kind {
            DeviceKind::Meter => Self::Meter(Meter::default()),
            DeviceKind::SolarHomeSystem => Self::SolarHomeSystem(SolarHomeSystem::default()),
            DeviceKind::EBike => Self::EBike(EBike::default()),
        }
    }
}

writable! {
    /// What is sold or rented to people.
    Device [person_id: Option<PersonId>] {
        manufacturer_id: ManufacturerId,
        serial: String,
        place_id: Option<PlaceId>,
        labels: Labels,
        details: Details = "meter" | "solar_home_system" | "e_bike",
    }
}

impl Content for Device {
    type Id = DeviceId;
    const THING: Thing = Thing::Device;
}

writable! {
    /// Who makes devices.
    Manufacturer {
        name: String,
        website: Option<String>,
    }
}

impl Content for Manufacturer {
    type Id = ManufacturerId;
    const THING: Thing = Thing::Manufacturer;
}

writable! {
    /// What energy and access cost.
    Tariff [is_default: bool] {
        name: String,
        /// Of a kilowatt-hour; every tariff has one.
        price: Option<Money>,
        /// Of a month; `None`: nothing.
        access_fee: Option<Money>,
    }
}

impl Content for Tariff {
    type Id = TariffId;
    const THING: Thing = Thing::Tariff;
}

impl Tariff {
    /// Whether all of it is in one currency.
    pub(crate) fn is_of_one_currency(&self) -> bool {
        let currency = |money: &Option<Money>| money.as_ref().map(|money| money.currency.clone());
        self.access_fee.is_none() || currency(&self.price) == currency(&self.access_fee)
    }
}
