//! What a company's own people are shown of the event log.

use serde_json::{Map, Value};

/// What they know of their company anyway. Where its database is, and how operators label it, is not theirs.
const SHOWN: &[&str] = &[
    "access_epoch",
    "after",
    "api_key_id",
    "before",
    "from",
    "generation",
    "invitation_id",
    "issuer",
    "method",
    "name",
    "owner",
    "plan",
    "reason",
    "region",
    "schema_version",
    "scopes",
    "session_id",
    "slug",
    "to",
    "user_id",
];

/// The details of an event of this kind, without what is not for the company's own people.
pub(crate) fn shown_to_members(kind: &str, details: Value) -> Value {
    let Value::Object(details) = details else { return details };
    // Elsewhere it is a login role of the database server.
    let is_shown = |key: &str| SHOWN.contains(&key) || (key == "role" && kind.starts_with("member."));
    let shown = details.into_iter().filter(|(key, _)| is_shown(key));
    Value::Object(shown.map(|(key, value)| (key, shown_to_members(kind, value))).collect::<Map<_, _>>())
}

/// Whether they are told from where the actor called: the addresses of operators and services are not theirs.
pub(crate) fn is_told_from_where(actor: &str) -> bool {
    actor.starts_with("user:") || actor.starts_with("api_key:") || actor == "anonymous"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placement_and_labels_are_left_out_at_every_depth() {
        let created = json!({ "slug": "s", "server": "pg1", "database_id": "d", "labels": { "slug": "x" } });
        assert_eq!(shown_to_members("company.created", created), json!({ "slug": "s" }));
        let updated = json!({ "before": { "name": "a", "labels": {} }, "after": { "name": "b", "labels": {} } });
        let shown = json!({ "before": { "name": "a" }, "after": { "name": "b" } });
        assert_eq!(shown_to_members("company.updated", updated), shown);
        let role = json!({ "role": "r" });
        assert_eq!(shown_to_members("member.joined", role.clone()), role);
        assert_eq!(shown_to_members("company.credential_rotated", role), json!({}));
    }

    #[test]
    fn only_the_addresses_of_the_companys_own_people_are_told() {
        assert!(is_told_from_where("user:1") && is_told_from_where("api_key:1") && is_told_from_where("anonymous"));
        assert!(!is_told_from_where("operator:1") && !is_told_from_where("operator:1 as user:2"));
        assert!(!is_told_from_where("service:user:1"));
    }
}
