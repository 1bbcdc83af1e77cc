use sea_orm::Condition;
use tenantry_api::crm::v1::manufacturer_service_server::ManufacturerService;
use tenantry_api::crm::v1::{
    CreateManufacturerRequest, DeleteManufacturerRequest, GetManufacturerRequest, ListManufacturersRequest,
    ListManufacturersResponse, Manufacturer as Wire, UpdateManufacturerRequest,
};
use tenantry_rpc::{Call, Error};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{self, ListPage, plain_list, set_fields, standard_service, timestamp};
use crate::app::standard as app;
use crate::domain::{Fields, Manufacturer, Mask, Stored};
use crate::store::manufacturers::Manufacturers;

standard_service! {
    ManufacturerGrpc: ManufacturerService of Manufacturers as manufacturer {
        create_manufacturer(CreateManufacturerRequest),
        get_manufacturer(GetManufacturerRequest),
        update_manufacturer(UpdateManufacturerRequest),
        delete_manufacturer(DeleteManufacturerRequest),
        list_manufacturers(ListManufacturersRequest) -> ListManufacturersResponse.manufacturers,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; name, website)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Manufacturer> {
    let name = fields.text("name", &wire.name, 200);
    Some(Manufacturer { name, website: fields.optional_text("website", &wire.website, 255) })
}

fn parse_list(body: &ListManufacturersRequest) -> Result<(Condition, ListPage), Error> {
    plain_list("manufacturers", body.page_size, &body.page_token)
}

fn convert(stored: Stored<Manufacturer>) -> Wire {
    let Manufacturer { name, website } = stored.content;
    Wire {
        id: stored.id.to_string(),
        name,
        website: website.unwrap_or_default(),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
