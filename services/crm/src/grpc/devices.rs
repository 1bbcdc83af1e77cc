use tenantry_api::crm::v1::device_service_server::DeviceService;
use tenantry_api::crm::v1::{
    AssignDeviceRequest, CreateDeviceRequest, DeleteDeviceRequest, Device as Wire, DeviceAssignment,
    DeviceKind as WireKind, GetDeviceRequest, ListDeviceAssignmentsRequest, ListDeviceAssignmentsResponse,
    ListDevicesRequest, ListDevicesResponse, ReleaseDeviceRequest, UpdateDeviceRequest,
};
use tenantry_ids::{DeviceId, ManufacturerId, PersonId};
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::device_details;
use super::standard::{self, ListPage, optional, removal, respond, set_fields, standard_service, text, timestamp};
use crate::app::devices;
use crate::app::standard as app;
use crate::domain::{Details, Device, DeviceKind, Fields, Mask, Stored, labels};
use crate::store::assignments::Assignment;
use crate::store::devices::{DeviceFilter, Devices};

standard_service! {
    DeviceGrpc: DeviceService of Devices as device {
        create_device(CreateDeviceRequest),
        get_device(GetDeviceRequest),
        update_device(UpdateDeviceRequest),
        delete_device(DeleteDeviceRequest),
        list_devices(ListDevicesRequest) -> ListDevicesResponse.devices,
    }

    async fn assign_device(&self, request: Request<AssignDeviceRequest>) -> Result<Response<Wire>, Status> {
        let call = Call::open(request)?;
        let (device, person) = parse_assignment(&call.body)?;
        let db = call.tenant_db()?;
        respond(devices::assign(&self.0, &db, &call.context, device, Some(person)).await.map(convert))
    }

    async fn release_device(&self, request: Request<ReleaseDeviceRequest>) -> Result<Response<Wire>, Status> {
        let call = Call::open(request)?;
        let device = removal(&call.body.id, &call.body.etag)?;
        respond(devices::assign(&self.0, &call.tenant_db()?, &call.context, device, None).await.map(convert))
    }

    async fn list_device_assignments(
        &self,
        request: Request<ListDeviceAssignmentsRequest>,
    ) -> Result<Response<ListDeviceAssignmentsResponse>, Status> {
        let call = Call::open(request)?;
        let (of, list) = parse_assignments(&call.body)?;
        respond(devices::assignments(&call.tenant_db()?, of, &list.page).await.map(|rows| {
            let (assignments, next_page_token) = list.cut_by(rows, |row| row.id, assignment);
            ListDeviceAssignmentsResponse { assignments, next_page_token }
        }))
    }
}

fn set(wire: &Wire) -> Mask {
    let mut set: Mask = set_fields!(wire; manufacturer_id, serial, place_id, labels);
    if wire.details.is_some() {
        set.push("details");
    }
    set
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Device> {
    let person_id = fields.optional_id("person_id", &wire.person_id);
    // Where it is none, that is noted, or it is not written.
    let manufacturer_id = fields.id("manufacturer_id", &wire.manufacturer_id);
    let serial = fields.text("serial", &wire.serial, 100);
    let place_id = fields.optional_id("place_id", &wire.place_id);
    let labels = labels(fields, wire.labels.clone());
    fields.check(wire.details.is_some(), "details", "must be one of meter, solar_home_system and e_bike");
    // Of a change it is not read where it is not set.
    let details = wire.details.as_ref().map(|wire| device_details::parse(fields, wire));
    Some(Device {
        person_id,
        manufacturer_id: manufacturer_id.unwrap_or(ManufacturerId(Uuid::nil())),
        serial,
        place_id,
        labels,
        details: details.unwrap_or(Details::unknown(DeviceKind::Meter)),
    })
}

fn parse_list(body: &ListDevicesRequest) -> Result<(DeviceFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 5] =
        [&body.kind, &body.manufacturer_id, &body.person_id, &body.place_id, &body.serial];
    let list = ListPage::parse(&mut violations, "devices", &filters, body.page_size, &body.page_token);
    let filter = DeviceFilter {
        kind: parse_kind(&mut violations, "kind", body.kind),
        manufacturer_id: optional(&mut violations, "manufacturer_id", &body.manufacturer_id),
        person_id: optional(&mut violations, "person_id", &body.person_id),
        place_id: optional(&mut violations, "place_id", &body.place_id),
        serial: Some(violations.optional_text("serial", &body.serial, 100)).filter(|serial| !serial.is_empty()),
    };
    violations.finish(Some((filter, list)))
}

/// A kind to filter by; unset is any.
pub(super) fn parse_kind(violations: &mut Violations, field: &str, kind: i32) -> Option<DeviceKind> {
    match WireKind::try_from(kind) {
        Ok(WireKind::Unspecified) => None,
        Ok(WireKind::Meter) => Some(DeviceKind::Meter),
        Ok(WireKind::SolarHomeSystem) => Some(DeviceKind::SolarHomeSystem),
        Ok(WireKind::EBike) => Some(DeviceKind::EBike),
        Err(_) => {
            violations.add(field, "must be METER, SOLAR_HOME_SYSTEM or E_BIKE, or unset");
            None
        }
    }
}

fn parse_assignment(body: &AssignDeviceRequest) -> Result<((DeviceId, Option<i64>), PersonId), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let person = violations.parse("person_id", &body.person_id);
    let revision = violations.etag("etag", &body.etag);
    violations.finish(id.zip(person).map(|(id, person)| ((id, revision), person)))
}

/// Whose assignments, and to whom.
type AssignmentFilter = (Option<DeviceId>, Option<PersonId>);

fn parse_assignments(body: &ListDeviceAssignmentsRequest) -> Result<(AssignmentFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 2] = [&body.device_id, &body.person_id];
    let list = ListPage::parse(&mut violations, "assignments", &filters, body.page_size, &body.page_token);
    let device = optional(&mut violations, "device_id", &body.device_id);
    let person = optional(&mut violations, "person_id", &body.person_id);
    violations.finish(Some(((device, person), list)))
}

fn convert(stored: Stored<Device>) -> Wire {
    let device = stored.content;
    Wire {
        id: stored.id.to_string(),
        manufacturer_id: device.manufacturer_id.to_string(),
        serial: device.serial,
        person_id: text(device.person_id),
        place_id: text(device.place_id),
        labels: device.labels,
        details: Some(device_details::convert(device.details)),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}

fn assignment(row: Assignment) -> DeviceAssignment {
    DeviceAssignment {
        id: row.id.to_string(),
        device_id: row.device_id.to_string(),
        person_id: row.person_id.to_string(),
        assign_time: Some(timestamp(row.assigned_at)),
        release_time: row.released_at.map(timestamp),
    }
}
