use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use serde_json::Value as Json;
use tenantry_api::crm::v1::audit_service_server::AuditService;
use tenantry_api::crm::v1::{AuditEntry, ListAuditEntriesRequest, ListAuditEntriesResponse};
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{ListPage, optional, optional_moment, respond, timestamp};
use crate::app::trail;
use crate::store::audit::{AuditFilter, Entry};

pub(crate) struct AuditGrpc;

#[tonic::async_trait]
impl AuditService for AuditGrpc {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, list) = parse_list(&call.body)?;
        respond(trail::list(&call.tenant_db()?, filter, &list.page).await.map(|rows| {
            let (entries, next_page_token) = list.cut_by(rows, |entry| entry.id, convert);
            ListAuditEntriesResponse { entries, next_page_token }
        }))
    }
}

fn parse_list(body: &ListAuditEntriesRequest) -> Result<(AuditFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let unpaged = ListAuditEntriesRequest { page_size: 0, page_token: String::new(), ..body.clone() };
    let list = ListPage::parse(&mut violations, "audit", &[&unpaged], body.page_size, &body.page_token);
    let mut word =
        |field, text: &str, most| Some(violations.optional_text(field, text, most)).filter(|text| !text.is_empty());
    let filter = AuditFilter {
        actor: word("actor", &body.actor, 128),
        action: word("action", &body.action, 80),
        entity: word("entity", &body.entity, 40),
        entity_id: optional(&mut violations, "entity_id", &body.entity_id),
        from: optional_moment(&mut violations, "occur_time_from", body.occur_time_from.as_ref()),
        before: optional_moment(&mut violations, "occur_time_before", body.occur_time_before.as_ref()),
    };
    violations.finish(Some((filter, list)))
}

fn convert(entry: Entry) -> AuditEntry {
    AuditEntry {
        id: entry.id.to_string(),
        actor: entry.actor,
        action: entry.action,
        entity: entry.entity,
        entity_id: entry.entity_id.to_string(),
        before: entry.before_state.and_then(object),
        after: entry.after_state.and_then(object),
        trace_id: entry.trace_id.unwrap_or_default(),
        occur_time: Some(timestamp(entry.occurred_at)),
    }
}

fn object(json: Json) -> Option<Struct> {
    match json {
        Json::Object(fields) => {
            Some(Struct { fields: fields.into_iter().map(|(key, json)| (key, value(json))).collect() })
        }
        _ => None,
    }
}

fn value(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(is) => Kind::BoolValue(is),
        // A number of JSON is a double; those beyond stay exact as text.
        Json::Number(number) => match number.as_f64() {
            Some(double) if number.as_i64().is_none_or(|whole| whole.unsigned_abs() <= 1 << 53) => {
                Kind::NumberValue(double)
            }
            _ => Kind::StringValue(number.to_string()),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(value).collect() }),
        Json::Object(fields) => {
            Kind::StructValue(Struct { fields: fields.into_iter().map(|(key, json)| (key, value(json))).collect() })
        }
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_exact() {
        let kind = |json| value(json).kind.expect("a kind");
        assert_eq!(kind(serde_json::json!(9_007_199_254_740_992_i64)), Kind::NumberValue(9_007_199_254_740_992.0));
        let exact = kind(serde_json::json!(9_007_199_254_740_993_i64));
        assert_eq!(exact, Kind::StringValue("9007199254740993".to_owned()));
        assert_eq!(kind(serde_json::json!(null)), Kind::NullValue(0));
        assert_eq!(object(serde_json::json!([1])), None);
    }
}
