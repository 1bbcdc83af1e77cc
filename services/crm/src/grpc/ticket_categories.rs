use sea_orm::Condition;
use tenantry_api::crm::v1::ticket_category_service_server::TicketCategoryService;
use tenantry_api::crm::v1::{
    CreateTicketCategoryRequest, DeleteTicketCategoryRequest, GetTicketCategoryRequest, ListTicketCategoriesRequest,
    ListTicketCategoriesResponse, TicketCategory as Wire, UpdateTicketCategoryRequest,
};
use tenantry_rpc::{Call, Error};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{self, ListPage, plain_list, set_fields, standard_service, timestamp};
use crate::app::standard as app;
use crate::domain::{Fields, Mask, Stored, TicketCategory, colour};
use crate::store::ticket_categories::TicketCategories;

standard_service! {
    TicketCategoryGrpc: TicketCategoryService of TicketCategories as ticket_category {
        create_ticket_category(CreateTicketCategoryRequest),
        get_ticket_category(GetTicketCategoryRequest),
        update_ticket_category(UpdateTicketCategoryRequest),
        delete_ticket_category(DeleteTicketCategoryRequest),
        list_ticket_categories(ListTicketCategoriesRequest) -> ListTicketCategoriesResponse.ticket_categories,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; name, colour)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<TicketCategory> {
    let name = fields.text("name", &wire.name, 100);
    let parsed = colour(&wire.colour);
    if let Err(description) = parsed {
        fields.check(false, "colour", description);
    }
    // Where it is none, that is noted, or it is not written.
    Some(TicketCategory { name, colour: parsed.unwrap_or_default() })
}

fn parse_list(body: &ListTicketCategoriesRequest) -> Result<(Condition, ListPage), Error> {
    plain_list("ticket_categories", body.page_size, &body.page_token)
}

fn convert(stored: Stored<TicketCategory>) -> Wire {
    let TicketCategory { name, colour } = stored.content;
    Wire {
        id: stored.id.to_string(),
        name,
        colour,
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
