use tenantry_api::crm::v1::place_service_server::PlaceService;
use tenantry_api::crm::v1::{
    CreatePlaceRequest, DeletePlaceRequest, GetPlaceRequest, ListPlacesRequest, ListPlacesResponse, Place as Wire,
    PlaceKind as WireKind, UpdatePlaceRequest,
};
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{self, ListPage, optional, set_fields, standard_service, text, timestamp};
use crate::app::standard as app;
use crate::domain::{Fields, Mask, Place, PlaceKind, Stored, country_code};
use crate::store::places::{PlaceFilter, Places};

standard_service! {
    PlaceGrpc: PlaceService of Places as place {
        create_place(CreatePlaceRequest),
        get_place(GetPlaceRequest),
        update_place(UpdatePlaceRequest),
        delete_place(DeletePlaceRequest),
        list_places(ListPlacesRequest) -> ListPlacesResponse.places,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; parent_id, name, country_code, latitude, longitude)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Place> {
    let kind = kind(wire.kind());
    fields.check(kind.is_some(), "kind", "must be COUNTRY, CITY or SITE");
    let degrees = |fields: &mut Fields<'_>, field, value: Option<f64>, most: f64| {
        let fits = value.is_none_or(|value| (-most..=most).contains(&value));
        fields.check(fits, field, format!("must be from -{most} to {most}"));
        value
    };
    Some(Place {
        // Fixed: of a change it is not read.
        kind: kind.unwrap_or(PlaceKind::Site),
        parent_id: fields.optional_id("parent_id", &wire.parent_id),
        name: fields.text("name", &wire.name, 200),
        country_code: fields.form("country_code", &wire.country_code, country_code),
        latitude: degrees(fields, "latitude", wire.latitude, 90.0),
        longitude: degrees(fields, "longitude", wire.longitude, 180.0),
    })
}

fn parse_list(body: &ListPlacesRequest) -> Result<(PlaceFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 2] = [&body.kind, &body.parent_id];
    let list = ListPage::parse(&mut violations, "places", &filters, body.page_size, &body.page_token);
    let known = WireKind::try_from(body.kind).is_ok();
    violations.check(known, "kind", "must be COUNTRY, CITY or SITE, or unset");
    let parent_id = optional(&mut violations, "parent_id", &body.parent_id);
    let filter = PlaceFilter { kind: kind(body.kind()), parent_id };
    violations.finish(Some((filter, list)))
}

fn kind(kind: WireKind) -> Option<PlaceKind> {
    match kind {
        WireKind::Unspecified => None,
        WireKind::Country => Some(PlaceKind::Country),
        WireKind::City => Some(PlaceKind::City),
        WireKind::Site => Some(PlaceKind::Site),
    }
}

fn convert(stored: Stored<Place>) -> Wire {
    let place = stored.content;
    let kind = match place.kind {
        PlaceKind::Country => WireKind::Country,
        PlaceKind::City => WireKind::City,
        PlaceKind::Site => WireKind::Site,
    };
    Wire {
        id: stored.id.to_string(),
        kind: kind.into(),
        parent_id: text(place.parent_id),
        name: place.name,
        country_code: place.country_code.unwrap_or_default(),
        latitude: place.latitude,
        longitude: place.longitude,
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
