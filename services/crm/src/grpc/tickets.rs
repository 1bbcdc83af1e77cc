use tenantry_api::crm::v1::ticket_service_server::TicketService;
use tenantry_api::crm::v1::{
    AddTicketCommentRequest, CreateTicketRequest, DeleteTicketRequest, GetTicketRequest, ListTicketCommentsRequest,
    ListTicketCommentsResponse, ListTicketsRequest, ListTicketsResponse, Ticket as Wire, TicketComment as WireComment,
    TicketStatus as WireStatus, UpdateTicketRequest,
};
use tenantry_ids::{PrincipalId, TicketCategoryId, TicketId};
use tenantry_rpc::{Call, Context, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::standard::{
    self, ListPage, date, optional, parse_date, replay, respond, set_fields, standard_service, text, timestamp,
};
use crate::app::{Replay, standard as app, tickets};
use crate::domain::{Fields, Mask, Stored, Ticket, TicketComment, TicketStatus};
use crate::store::tickets::{TicketFilter, Tickets};

/// The longest description, and the longest comment.
const MOST_CHARS: usize = 10_000;

standard_service! {
    TicketGrpc: TicketService of Tickets as ticket {
        create_ticket(CreateTicketRequest),
        get_ticket(GetTicketRequest),
        update_ticket(UpdateTicketRequest),
        delete_ticket(DeleteTicketRequest),
        list_tickets(ListTicketsRequest) -> ListTicketsResponse.tickets,
    }

    async fn add_ticket_comment(
        &self,
        request: Request<AddTicketCommentRequest>,
    ) -> Result<Response<WireComment>, Status> {
        let call = Call::open(request)?;
        let (ticket, body, replay) = parse_comment(&call.context, &call.body)?;
        let db = call.tenant_db()?;
        respond(tickets::comment(&self.0, &db, &call.context, (ticket, &body), &replay).await.map(comment))
    }

    async fn list_ticket_comments(
        &self,
        request: Request<ListTicketCommentsRequest>,
    ) -> Result<Response<ListTicketCommentsResponse>, Status> {
        let call = Call::open(request)?;
        let (ticket, list) = parse_comments(&call.body)?;
        respond(tickets::list_comments(&call.tenant_db()?, ticket, &list.page).await.map(|rows| {
            let (comments, next_page_token) = list.cut(rows, comment);
            ListTicketCommentsResponse { comments, next_page_token }
        }))
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; category_id, person_id, device_id, title, description, status, assignee_id, due_date)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Ticket> {
    let status = status(wire.status);
    fields.check(status.is_some(), "status", "must be OPEN, WAITING or CLOSED");
    let due_date = wire.due_date.as_ref().and_then(parse_date);
    let is_date = wire.due_date.is_none() || due_date.is_some();
    fields.check(is_date, "due_date", "must be a date of the years 1 to 9999");
    Some(Ticket {
        // Who makes it, when it is made.
        creator_id: PrincipalId(Uuid::nil()),
        closed_at: None,
        // Where it is none, that is noted, or it is not written.
        category_id: fields.id("category_id", &wire.category_id).unwrap_or(TicketCategoryId(Uuid::nil())),
        person_id: fields.optional_id("person_id", &wire.person_id),
        device_id: fields.optional_id("device_id", &wire.device_id),
        title: fields.text("title", &wire.title, 200),
        description: fields.lines("description", &wire.description, MOST_CHARS),
        status: status.flatten().unwrap_or(TicketStatus::Open),
        assignee_id: fields.optional_id("assignee_id", &wire.assignee_id),
        due_date,
    })
}

/// `None`: there is no such status; `Some(None)`: it is not set.
fn status(status: i32) -> Option<Option<TicketStatus>> {
    Some(match WireStatus::try_from(status).ok()? {
        WireStatus::Unspecified => None,
        WireStatus::Open => Some(TicketStatus::Open),
        WireStatus::Waiting => Some(TicketStatus::Waiting),
        WireStatus::Closed => Some(TicketStatus::Closed),
    })
}

fn parse_list(body: &ListTicketsRequest) -> Result<(TicketFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let unpaged = ListTicketsRequest { page_size: 0, page_token: String::new(), ..body.clone() };
    let list = ListPage::parse(&mut violations, "tickets", &[&unpaged], body.page_size, &body.page_token);
    let status = status(body.status);
    violations.check(status.is_some(), "status", "must be OPEN, WAITING or CLOSED, or unset");
    let due_before = body.due_before.as_ref().and_then(parse_date);
    let is_date = body.due_before.is_none() || due_before.is_some();
    violations.check(is_date, "due_before", "must be a date of the years 1 to 9999");
    let filter = TicketFilter {
        status: status.flatten(),
        category_id: optional(&mut violations, "category_id", &body.category_id),
        person_id: optional(&mut violations, "person_id", &body.person_id),
        device_id: optional(&mut violations, "device_id", &body.device_id),
        assignee_id: optional(&mut violations, "assignee_id", &body.assignee_id),
        creator_id: optional(&mut violations, "creator_id", &body.creator_id),
        due_before,
    };
    violations.finish(Some((filter, list)))
}

fn parse_comment(context: &Context, body: &AddTicketCommentRequest) -> Result<(TicketId, String, Replay), Error> {
    let mut violations = Violations::new();
    let ticket = violations.parse("ticket_id", &body.ticket_id);
    let written = violations.lines("body", &body.body, MOST_CHARS);
    violations.check(!written.is_empty(), "body", "must not be empty");
    let replay = replay(&mut violations, context, &body.request_id, body);
    violations.finish(ticket.map(|ticket| (ticket, written, replay)))
}

fn parse_comments(body: &ListTicketCommentsRequest) -> Result<(TicketId, ListPage), Error> {
    let mut violations = Violations::new();
    let list = ListPage::parse(&mut violations, "comments", &[&body.ticket_id], body.page_size, &body.page_token);
    let ticket = violations.parse("ticket_id", &body.ticket_id);
    violations.finish(ticket.map(|ticket| (ticket, list)))
}

fn convert(stored: Stored<Ticket>) -> Wire {
    let ticket = stored.content;
    let status = match ticket.status {
        TicketStatus::Open => WireStatus::Open,
        TicketStatus::Waiting => WireStatus::Waiting,
        TicketStatus::Closed => WireStatus::Closed,
    };
    Wire {
        id: stored.id.to_string(),
        category_id: ticket.category_id.to_string(),
        person_id: text(ticket.person_id),
        device_id: text(ticket.device_id),
        title: ticket.title,
        description: ticket.description.unwrap_or_default(),
        status: status.into(),
        creator_id: ticket.creator_id.to_string(),
        assignee_id: text(ticket.assignee_id),
        due_date: ticket.due_date.map(date),
        close_time: ticket.closed_at.map(timestamp),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}

fn comment(stored: Stored<TicketComment>) -> WireComment {
    let TicketComment { ticket_id, author_id, body } = stored.content;
    WireComment {
        id: stored.id.to_string(),
        ticket_id: ticket_id.to_string(),
        author_id: author_id.to_string(),
        body,
        create_time: Some(timestamp(stored.created_at)),
    }
}
