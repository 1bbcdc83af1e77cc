//! Devices, who made them, what their energy costs, and whose they were.

use tenantry_api::crm::v1::device::Details;
use tenantry_api::crm::v1::{
    AssignDeviceRequest, CreateDeviceRequest, CreateManufacturerRequest, CreatePersonRequest, CreateTariffRequest,
    DeleteDeviceRequest, DeleteManufacturerRequest, DeletePersonRequest, DeleteTariffRequest, Device, DeviceKind,
    EBike, GetDeviceRequest, ListDeviceAssignmentsRequest, ListDevicesRequest, ListTariffsRequest, Manufacturer, Meter,
    Money, Person, ReleaseDeviceRequest, SolarHomeSystem, Tariff, UpdateDeviceRequest, UpdateTariffRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use crate::support::{fields, per_engine, reason};

per_engine!(
    a_device_of_each_kind_is_made_changed_and_removed,
    a_serial_number_is_one_device_of_its_manufacturer,
    a_device_has_a_history_without_gaps,
    tariffs_have_one_currency_and_stay_while_meters_have_them,
);

/// Makes what the tests need with few words.
pub(crate) struct Maker<'a> {
    sandbox: &'a Sandbox,
    owner: &'a Owner,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox, owner: &'a Owner) -> Self {
        Self { sandbox, owner }
    }

    pub(crate) async fn person(&self, name: &str) -> anyhow::Result<String> {
        let person = Some(Person { name: name.into(), ..Default::default() });
        let request = self.owner.request(CreatePersonRequest { person, ..Default::default() });
        Ok(self.sandbox.people()?.create_person(request).await?.into_inner().id)
    }

    pub(crate) async fn manufacturer(&self, name: &str) -> anyhow::Result<String> {
        let manufacturer = Some(Manufacturer { name: name.into(), ..Default::default() });
        let request = self.owner.request(CreateManufacturerRequest { manufacturer, ..Default::default() });
        Ok(self.sandbox.clients().manufacturers()?.create_manufacturer(request).await?.into_inner().id)
    }

    pub(crate) async fn device(&self, device: Device) -> anyhow::Result<Result<Device, Status>> {
        let request = self.owner.request(CreateDeviceRequest { device: Some(device), ..Default::default() });
        Ok(self.sandbox.clients().devices()?.create_device(request).await.map(tonic::Response::into_inner))
    }

    pub(crate) async fn meter(&self, manufacturer: &str, serial: &str, person: &str) -> anyhow::Result<Device> {
        let device = Device { person_id: person.into(), ..device(manufacturer, serial, meter()) };
        Ok(self.device(device).await??)
    }
}

pub(crate) fn meter() -> Details {
    Details::Meter(Meter { phases: Some(3), in_use: true, ..Default::default() })
}

pub(crate) fn device(manufacturer: &str, serial: &str, details: Details) -> Device {
    Device { manufacturer_id: manufacturer.into(), serial: serial.into(), details: Some(details), ..Default::default() }
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

async fn a_device_of_each_kind_is_made_changed_and_removed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Devices").await?;
    let make = Maker::new(sandbox, &owner);
    let mut devices = sandbox.clients().devices()?;
    let manufacturer = make.manufacturer("Acme \"'; 電").await?;
    let seen = prost_types::Timestamp { seconds: 1_700_000_000, nanos: 123_456_000 };
    let bike = Details::EBike(EBike {
        mileage_metres: Some(i64::MAX),
        battery_percent: Some(100),
        locked: true,
        latitude: Some(-1.5),
        longitude: Some(36.75),
        last_seen_time: Some(seen),
    });
    let system = Details::SolarHomeSystem(SolarHomeSystem { panel_watts: Some(0), battery_watt_hours: None });
    let mut made = Vec::new();
    for (serial, details) in [("1", meter()), ("2", system), ("3", bike)] {
        let asked = Device { labels: [("k".into(), "v".into())].into(), ..device(&manufacturer, serial, details) };
        let created = make.device(asked.clone()).await??;
        assert_eq!((&created.details, &created.labels), (&asked.details, &asked.labels));
        let get = GetDeviceRequest { id: created.id.clone() };
        assert_eq!(devices.get_device(owner.request(get)).await?.into_inner(), created);
        made.push(created);
    }
    let listed = devices.list_devices(owner.request(ListDevicesRequest::default())).await?.into_inner();
    assert_eq!(listed.devices, made);
    let bikes = ListDevicesRequest { kind: DeviceKind::EBike.into(), ..Default::default() };
    assert_eq!(devices.list_devices(owner.request(bikes)).await?.into_inner().devices, made[2..]);

    let two_phases = Details::Meter(Meter { phases: Some(2), ..Default::default() });
    let change = Device { serial: "ignored".into(), details: Some(two_phases.clone()), ..made[0].clone() };
    let change = UpdateDeviceRequest { device: Some(change), update_mask: mask(&["meter"]) };
    let changed = devices.update_device(owner.request(change.clone())).await?.into_inner();
    assert_eq!((&changed.details, &*changed.serial), (&Some(two_phases), "1"));
    assert_eq!(reason(devices.update_device(owner.request(change)).await), Some(Reason::EtagMismatch));
    let other = Device { id: changed.id.clone(), details: made[2].details.clone(), ..Default::default() };
    let other = UpdateDeviceRequest { device: Some(other), update_mask: None };
    assert_eq!(fields(devices.update_device(owner.request(other)).await), ["device.details"]);

    let wrong = Details::EBike(EBike { battery_percent: Some(101), latitude: Some(91.0), ..Default::default() });
    let wrong = Device { serial: " ".into(), ..device("nobody", "", wrong) };
    let broken = fields(make.device(wrong).await?);
    let parts = ["device.e_bike.longitude", "device.e_bike.battery_percent", "device.e_bike.latitude"];
    assert_eq!(broken, [&["device.manufacturer_id", "device.serial"][..], &parts].concat());
    let nothing = Device { details: None, ..device(&manufacturer, "4", meter()) };
    assert_eq!(fields(make.device(nothing).await?), ["device.details"]);

    let delete = DeleteManufacturerRequest { id: manufacturer, etag: String::new() };
    let mut manufacturers = sandbox.clients().manufacturers()?;
    let refused = manufacturers.delete_manufacturer(owner.request(delete.clone())).await;
    assert_eq!(reason(refused), Some(Reason::InUse));
    for device in made {
        let delete = DeleteDeviceRequest { id: device.id.clone(), etag: String::new() };
        devices.delete_device(owner.request(delete)).await?;
        let gone = devices.get_device(owner.request(GetDeviceRequest { id: device.id })).await;
        assert_eq!(reason(gone), Some(Reason::DeviceNotFound));
    }
    manufacturers.delete_manufacturer(owner.request(delete)).await?;
    Ok(())
}

async fn a_serial_number_is_one_device_of_its_manufacturer(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Serials").await?;
    let make = Maker::new(sandbox, &owner);
    let (one, two) = (make.manufacturer("One").await?, make.manufacturer("Two").await?);
    make.meter(&two, "S1", "").await?;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let request = CreateDeviceRequest { device: Some(device(&one, "S1", meter())), ..Default::default() };
        let (mut devices, request) = (sandbox.clients().devices()?, owner.request(request));
        calls.spawn(async move { devices.create_device(request).await });
    }
    let mut made = 0;
    while let Some(call) = calls.join_next().await {
        match call? {
            Ok(_) => made += 1,
            refused => assert_eq!(reason(refused), Some(Reason::SerialTaken)),
        }
    }
    assert_eq!(made, 1);
    // Another case is another number.
    make.meter(&one, "s1", "").await?;
    let nobody = make.device(device(&uuid::Uuid::now_v7().to_string(), "S1", meter())).await?;
    assert_eq!(reason(nobody), Some(Reason::ManufacturerNotFound));
    Ok(())
}

async fn a_device_has_a_history_without_gaps(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "History").await?;
    let make = Maker::new(sandbox, &owner);
    let mut devices = sandbox.clients().devices()?;
    let (ada, bob) = (make.person("Ada").await?, make.person("Bob").await?);
    let meter = make.meter(&make.manufacturer("Acme").await?, "S1", &ada).await?;
    assert_eq!(meter.person_id, ada);
    let assign =
        |person: &str| AssignDeviceRequest { id: meter.id.clone(), person_id: person.to_owned(), etag: String::new() };
    // To whom it belongs already: nothing happens.
    assert_eq!(devices.assign_device(owner.request(assign(&ada))).await?.into_inner(), meter);
    assert_eq!(devices.assign_device(owner.request(assign(&bob))).await?.into_inner().person_id, bob);
    let release = ReleaseDeviceRequest { id: meter.id.clone(), etag: meter.etag.clone() };
    assert_eq!(reason(devices.release_device(owner.request(release.clone())).await), Some(Reason::EtagMismatch));
    let release = ReleaseDeviceRequest { etag: String::new(), ..release };
    assert_eq!(devices.release_device(owner.request(release)).await?.into_inner().person_id, "");
    let nobody = assign(&uuid::Uuid::now_v7().to_string());
    assert_eq!(reason(devices.assign_device(owner.request(nobody)).await), Some(Reason::PersonNotFound));

    // From hand to hand at once: one after the other.
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (mut devices, request) = (devices.clone(), owner.request(assign(if n % 2 == 0 { &ada } else { &bob })));
        calls.spawn(async move { devices.assign_device(request).await });
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    let all = ListDeviceAssignmentsRequest { device_id: meter.id.clone(), ..Default::default() };
    let history = devices.list_device_assignments(owner.request(all)).await?.into_inner().assignments;
    assert_eq!(history.iter().filter(|one| one.release_time.is_none()).count(), 1, "{history:?}");
    assert_eq!((&history[0].person_id, &history[1].person_id), (&ada, &bob));
    assert_eq!(history[0].release_time, history[1].assign_time);
    let get = GetDeviceRequest { id: meter.id.clone() };
    let now = devices.get_device(owner.request(get)).await?.into_inner().person_id;
    let last = history.iter().find(|one| one.release_time.is_none());
    assert_eq!(last.map(|one| &one.person_id), Some(&now));
    let theirs = ListDevicesRequest { person_id: now.clone(), ..Default::default() };
    assert_eq!(devices.list_devices(owner.request(theirs)).await?.into_inner().devices.len(), 1);

    let delete = DeletePersonRequest { id: now, etag: String::new() };
    assert_eq!(reason(sandbox.people()?.delete_person(owner.request(delete)).await), Some(Reason::InUse));
    Ok(())
}

async fn tariffs_have_one_currency_and_stay_while_meters_have_them(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Tariffs").await?;
    let make = Maker::new(sandbox, &owner);
    let mut tariffs = sandbox.clients().tariffs()?;
    let money = |currency: &str, units, nanos| Some(Money { currency_code: currency.into(), units, nanos });
    let create = |name: &str, price, access_fee| {
        let tariff = Tariff { name: name.into(), price, access_fee, ..Default::default() };
        owner.request(CreateTariffRequest { tariff: Some(tariff), ..Default::default() })
    };
    let tariff = tariffs.create_tariff(create("Night", money("KES", 12, 500_000_000), None)).await?.into_inner();
    assert_eq!((tariff.price.clone(), tariff.access_fee.clone()), (money("KES", 12, 500_000_000), None));
    let taken = tariffs.create_tariff(create("Night", money("KES", 1, 0), None)).await;
    assert_eq!(reason(taken), Some(Reason::NameTaken));
    let mixed = tariffs.create_tariff(create("Mixed", money("KES", 1, 0), money("USD", 1, 0))).await;
    assert_eq!(fields(mixed), ["tariff.access_fee.currency_code"]);
    let odd = tariffs.create_tariff(create("", money("kes", 1, -1), money("KES", -1, 0))).await;
    let expected = ["tariff.name", "tariff.price.currency_code", "tariff.price.nanos", "tariff.access_fee"];
    assert_eq!(fields(odd), expected);
    assert_eq!(fields(tariffs.create_tariff(create("Free", None, None)).await), ["tariff.price"]);

    let fee = Tariff { id: tariff.id.clone(), access_fee: money("KES", 100, 0), ..Default::default() };
    let change = UpdateTariffRequest { tariff: Some(fee), update_mask: None };
    let changed = tariffs.update_tariff(owner.request(change)).await?.into_inner();
    assert_eq!((changed.price, changed.access_fee), (tariff.price, money("KES", 100, 0)));
    // What every company begins with is there too.
    let all = tariffs.list_tariffs(owner.request(ListTariffsRequest::default())).await?.into_inner().tariffs;
    assert_eq!(all.iter().map(|tariff| &*tariff.name).collect::<Vec<_>>(), ["Standard", "Night"]);

    let with = Details::Meter(Meter { tariff_id: tariff.id.clone(), ..Default::default() });
    make.device(device(&make.manufacturer("Acme").await?, "S1", with)).await??;
    let delete = DeleteTariffRequest { id: tariff.id, etag: String::new() };
    assert_eq!(reason(tariffs.delete_tariff(owner.request(delete)).await), Some(Reason::InUse));
    Ok(())
}
