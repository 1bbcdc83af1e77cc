//! What devices of each kind have besides, between messages and the domain.

use tenantry_api::crm::v1::device::Details as Wire;
use tenantry_api::crm::v1::{EBike as WireEBike, Meter as WireMeter, SolarHomeSystem as WireSolarHomeSystem};

use super::standard::{moment, text, timestamp};
use crate::domain::{Details, EBike, Fields, Meter, SolarHomeSystem};

/// Violations are of the field `details`, and stand under the names of its parts.
struct Parts<'a, 'v>(&'a mut Fields<'v>);

impl Parts<'_, '_> {
    fn check(&mut self, holds: bool, part: &str, description: &str) {
        self.0.check_part(holds, "details", part, description);
    }

    fn not_negative<T: PartialOrd + Default>(&mut self, part: &str, value: Option<T>) -> Option<T> {
        self.check(value.as_ref().is_none_or(|value| *value >= T::default()), part, "must not be negative");
        value
    }

    fn range<T: PartialOrd>(&mut self, part: &str, value: Option<T>, range: (T, T), description: &str) -> Option<T> {
        let fits = value.as_ref().is_none_or(|value| *value >= range.0 && *value <= range.1);
        self.check(fits, part, description);
        value
    }
}

pub(super) fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Details {
    let mut parts = Parts(fields);
    match wire {
        Wire::Meter(wire) => Details::Meter(meter(&mut parts, wire)),
        Wire::SolarHomeSystem(wire) => Details::SolarHomeSystem(SolarHomeSystem {
            panel_watts: parts.not_negative("solar_home_system.panel_watts", wire.panel_watts),
            battery_watt_hours: parts.not_negative("solar_home_system.battery_watt_hours", wire.battery_watt_hours),
        }),
        Wire::EBike(wire) => Details::EBike(e_bike(&mut parts, wire)),
    }
}

fn meter(parts: &mut Parts<'_, '_>, wire: &WireMeter) -> Meter {
    let tariff_id = wire.tariff_id.parse().ok();
    parts.check(wire.tariff_id.is_empty() || tariff_id.is_some(), "meter.tariff_id", "must be a UUID, or empty");
    let connection_type = Some(wire.connection_type.trim()).filter(|text| !text.is_empty());
    let fits = connection_type.is_none_or(|text| text.chars().count() <= 40 && !text.chars().any(char::is_control));
    parts.check(fits, "meter.connection_type", "must have at most 40 characters, none of them a control character");
    Meter {
        tariff_id,
        connection_type: connection_type.map(str::to_owned),
        phases: parts.range("meter.phases", wire.phases, (1, 3), "must be from 1 to 3"),
        max_current_milliamps: parts.not_negative("meter.max_current_milliamps", wire.max_current_milliamps),
        in_use: wire.in_use,
    }
}

fn e_bike(parts: &mut Parts<'_, '_>, wire: &WireEBike) -> EBike {
    let last_seen_at = wire.last_seen_time.as_ref().and_then(moment);
    let is_moment = wire.last_seen_time.is_none() || last_seen_at.is_some();
    parts.check(is_moment, "e_bike.last_seen_time", "must be a time of the years 1 to 9999");
    let whole = wire.latitude.is_some() == wire.longitude.is_some();
    parts.check(whole, "e_bike.longitude", "must be set with latitude, or neither");
    EBike {
        mileage_metres: parts.not_negative("e_bike.mileage_metres", wire.mileage_metres),
        battery_percent: parts.range("e_bike.battery_percent", wire.battery_percent, (0, 100), "must be from 0 to 100"),
        locked: wire.locked,
        latitude: parts.range("e_bike.latitude", wire.latitude, (-90.0, 90.0), "must be from -90 to 90"),
        longitude: parts.range("e_bike.longitude", wire.longitude, (-180.0, 180.0), "must be from -180 to 180"),
        last_seen_at,
    }
}

pub(super) fn convert(details: Details) -> Wire {
    match details {
        Details::Meter(meter) => Wire::Meter(WireMeter {
            tariff_id: text(meter.tariff_id),
            connection_type: meter.connection_type.unwrap_or_default(),
            phases: meter.phases,
            max_current_milliamps: meter.max_current_milliamps,
            in_use: meter.in_use,
        }),
        Details::SolarHomeSystem(system) => Wire::SolarHomeSystem(WireSolarHomeSystem {
            panel_watts: system.panel_watts,
            battery_watt_hours: system.battery_watt_hours,
        }),
        Details::EBike(bike) => Wire::EBike(WireEBike {
            mileage_metres: bike.mileage_metres,
            battery_percent: bike.battery_percent,
            locked: bike.locked,
            latitude: bike.latitude,
            longitude: bike.longitude,
            last_seen_time: bike.last_seen_at.map(timestamp),
        }),
    }
}
