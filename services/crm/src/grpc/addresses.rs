use tenantry_api::crm::v1::address_service_server::AddressService;
use tenantry_api::crm::v1::{
    Address as Wire, CreateAddressRequest, DeleteAddressRequest, GetAddressRequest, ListAddressesRequest,
    ListAddressesResponse, UpdateAddressRequest,
};
use tenantry_ids::PersonId;
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::standard::{self, ListPage, optional, set_fields, standard_service, text, timestamp};
use crate::app::standard as app;
use crate::domain::{Address, Fields, Mask, Stored, email, phone};
use crate::store::addresses::{AddressFilter, Addresses};

standard_service! {
    AddressGrpc: AddressService of Addresses as address {
        create_address(CreateAddressRequest),
        get_address(GetAddressRequest),
        update_address(UpdateAddressRequest),
        delete_address(DeleteAddressRequest),
        list_addresses(ListAddressesRequest) -> ListAddressesResponse.addresses,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; email, phone, street, place_id, primary)
}

pub(super) fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Address> {
    Some(Address {
        // Where it is none, that is noted; and of a change it is not read.
        person_id: fields.id("person_id", &wire.person_id).unwrap_or(PersonId(Uuid::nil())),
        email: fields.form("email", &wire.email, email),
        phone: fields.form("phone", &wire.phone, phone),
        street: fields.optional_text("street", &wire.street, 255),
        place_id: fields.optional_id("place_id", &wire.place_id),
        primary: wire.primary,
    })
}

fn parse_list(body: &ListAddressesRequest) -> Result<(AddressFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 2] = [&body.person_id, &body.place_id];
    let list = ListPage::parse(&mut violations, "addresses", &filters, body.page_size, &body.page_token);
    let filter = AddressFilter {
        person_id: optional(&mut violations, "person_id", &body.person_id),
        place_id: optional(&mut violations, "place_id", &body.place_id),
    };
    violations.finish(Some((filter, list)))
}

fn convert(stored: Stored<Address>) -> Wire {
    let address = stored.content;
    Wire {
        id: stored.id.to_string(),
        person_id: address.person_id.to_string(),
        email: address.email.unwrap_or_default(),
        phone: address.phone.unwrap_or_default(),
        street: address.street.unwrap_or_default(),
        place_id: text(address.place_id),
        primary: address.primary,
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
