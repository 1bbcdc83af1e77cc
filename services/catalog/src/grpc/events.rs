use std::pin::Pin;
use std::sync::Arc;

use tenantry_api::catalog::v1::event_service_server::EventService;
use tenantry_api::catalog::v1::watch_events_response::Message as Wire;
use tenantry_api::catalog::v1::{
    Event, EventsHeartbeat, EventsStart, ListEventsRequest, ListEventsResponse, WatchEventsRequest, WatchEventsResponse,
};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Caller, Error, Violations};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::convert::{structure, time_of, timestamp};
use super::cursor::Cursor;
use super::room::fitting;
use crate::app::App;
use crate::app::event_log::{self, Beginning, Filter, Interest, LIST, Message, Told};
use crate::domain::{is_told_from_where, shown_to_members};
use crate::store::entities::event;

const MAX_KINDS: usize = 50;
const MAX_KIND_CHARS: usize = 63;
const MAX_ACTOR_CHARS: usize = 128;
/// What cursors of this log begin with.
const FORM: char = 'e';

pub(crate) struct EventGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl EventService for EventGrpc {
    type WatchEventsStream = Pin<Box<dyn Stream<Item = Result<WatchEventsResponse, Status>> + Send>>;

    async fn list_events(&self, request: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, page) = parse_list(call.body)?;
        let found = event_log::list(&self.0, &filter, page).await?;
        Ok(Response::new(page_of(page, found, call.context.caller())))
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let (beginning, interest) = parse_watch(Call::open(request)?.body)?;
        let messages = ReceiverStream::new(event_log::watch(&self.0, beginning, interest).await?);
        let answers = messages.map(|message| message.map(watched).map_err(Status::from));
        Ok(Response::new(Box::pin(answers)))
    }
}

fn parse_list(body: ListEventsRequest) -> Result<(Filter, Page), Error> {
    let mut violations = Violations::new();
    let page = Page::parse(&mut violations, LIST, body.page_size, &body.page_token);
    let company = (!body.company_id.is_empty()).then(|| violations.parse("company_id", &body.company_id)).flatten();
    let kinds = parse_kinds(&mut violations, body.kinds);
    let actor = Some(violations.optional_text("actor", &body.actor, MAX_ACTOR_CHARS)).filter(|actor| !actor.is_empty());
    let from = time_of(&mut violations, "start_time", body.start_time);
    let until = time_of(&mut violations, "end_time", body.end_time);
    let in_order = from.zip(until).is_none_or(|(from, until)| from <= until);
    violations.check(in_order, "end_time", "must not be earlier than start_time");
    violations.finish(Some((Filter { company, kinds, actor, from, until }, page)))
}

fn parse_watch(body: WatchEventsRequest) -> Result<(Beginning, Interest), Error> {
    let mut violations = Violations::new();
    let beginning = match (body.cursor.as_str(), body.from_beginning) {
        ("", false) => Beginning::Now,
        ("", true) => Beginning::Oldest,
        (cursor, from_beginning) => {
            violations.check(!from_beginning, "from_beginning", "must not be set where a cursor is given");
            let cursor = violations.parse::<Cursor<FORM>>("cursor", cursor);
            cursor.map_or(Beginning::Now, |cursor| Beginning::After(cursor.0))
        }
    };
    let company = (!body.company_id.is_empty()).then(|| violations.parse("company_id", &body.company_id)).flatten();
    let kinds = parse_kinds(&mut violations, body.kinds);
    violations.finish(Some((beginning, Interest { company, kinds })))
}

fn parse_kinds(violations: &mut Violations, kinds: Vec<String>) -> Vec<String> {
    violations.check(kinds.len() <= MAX_KINDS, "kinds", "must be at most 50");
    let kinds = kinds.into_iter().take(MAX_KINDS).enumerate();
    kinds.map(|(at, kind)| violations.text(&format!("kinds[{at}]"), &kind, MAX_KIND_CHARS)).collect()
}

/// As many events as the page holds, and as fit into a message that every client reads.
fn page_of(page: Page, mut found: Vec<event::Model>, caller: &Caller) -> ListEventsResponse {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let mut events: Vec<_> = found.iter().take(size).map(|row| shown(row.clone(), caller)).collect();
    let page = Page { size: fitting(&events), ..page };
    let next_page_token = page.cut(LIST, &mut found, event_log::page_key);
    events.truncate(found.len());
    ListEventsResponse { events, next_page_token }
}

/// An event as this caller sees it.
fn shown(row: event::Model, caller: &Caller) -> Event {
    match caller {
        Caller::User(_) | Caller::Anonymous => {
            let peer_address = row.peer_address.clone().filter(|_| is_told_from_where(&row.actor));
            let payload = shown_to_members(&row.kind, row.payload.clone());
            convert(event::Model { peer_address, payload, ..row })
        }
        Caller::Operator(_) | Caller::Service(_) => convert(row),
    }
}

fn watched(message: Message) -> WatchEventsResponse {
    let told = match message.told {
        Told::Start { heartbeat, kept_days } => Wire::Start(EventsStart {
            heartbeat_interval_ms: i64::try_from(heartbeat.as_millis()).unwrap_or(i64::MAX),
            kept_days: kept_days.into(),
        }),
        Told::Event(event) => Wire::Event(convert(*event)),
        Told::Heartbeat => Wire::Heartbeat(EventsHeartbeat {}),
    };
    WatchEventsResponse { cursor: Cursor::<FORM>(message.position).to_string(), message: Some(told) }
}

fn convert(row: event::Model) -> Event {
    Event {
        id: row.id.to_string(),
        company_id: row.company_id.map(|id| id.to_string()).unwrap_or_default(),
        kind: row.kind,
        actor: row.actor,
        peer_address: row.peer_address.unwrap_or_default(),
        trace_id: row.trace_id.unwrap_or_default(),
        occur_time: Some(timestamp(row.occurred_at)),
        details: Some(structure(row.payload)),
    }
}
