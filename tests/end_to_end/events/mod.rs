//! The event log: complete, in order, resumed, kept for as long as is asked for, and enough to make the state anew.

mod complete;
mod replay;
mod retention;
mod stream;
mod trail;

use std::collections::BTreeMap;

use prost_types::value::Kind;
use serde_json::{Value, json};
use tenantry_api::catalog::v1::{Event, ListEventsRequest};
use tenantry_testkit::actors::Actor;
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

/// Every event that the request is about, newest first, page by page.
async fn list(sandbox: &Sandbox, by: &impl Actor, request: ListEventsRequest) -> Result<Vec<Event>, Status> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListEventsRequest { page_token, ..request.clone() };
        let page = sandbox.clients().events().expect("a client").list_events(by.request(request)).await?.into_inner();
        all.extend(page.events);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// What there is to say of an event, as JSON.
fn details(event: &Event) -> Value {
    fields(event.details.clone().unwrap_or_default().fields)
}

fn fields(fields: BTreeMap<String, prost_types::Value>) -> Value {
    Value::Object(fields.into_iter().map(|(key, value)| (key, plain(value))).collect())
}

fn plain(value: prost_types::Value) -> Value {
    match value.kind {
        Some(Kind::BoolValue(value)) => json!(value),
        // Every number of ours is a whole one.
        Some(Kind::NumberValue(number)) => json!(number as i64),
        Some(Kind::StringValue(text)) => json!(text),
        Some(Kind::ListValue(list)) => Value::Array(list.values.into_iter().map(plain).collect()),
        Some(Kind::StructValue(inner)) => fields(inner.fields),
        Some(Kind::NullValue(_)) | None => Value::Null,
    }
}
