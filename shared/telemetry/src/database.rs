//! Spans of statements, as OpenTelemetry's semantic conventions for databases have them
//! (1.40, <https://opentelemetry.io/docs/specs/semconv/db/database-spans/>).
//!
//! Those on tenants' databases are made by [`statement`]. Those on a service's own database and an administrator's are
//! SeaORM's, which has older names; they are given these before they leave ([`rename`]). Values are never in them:
//! text is kept where it is bound apart from its values, and what a database said of an error is not.

use std::borrow::Cow;

use opentelemetry::trace::Status;
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;
use tracing::Span;
use tracing::field::Empty;

/// The conventions' `error.type` where nothing more is known.
const OTHER: &str = "_OTHER";

/// What spans of SeaORM's begin with.
const SEA_ORM: &str = "sea_orm.";

/// The span of a statement on the database `namespace`, or on a server, of `system` (`postgresql`, `mysql` or
/// `sqlite`). Its text is kept where values are bound apart from it.
pub fn statement(system: &'static str, namespace: Option<&str>, sql: &str, is_bound: bool) -> Span {
    let span = tracing::info_span!(
        "statement",
        "otel.name" = Empty,
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "db.system.name" = system,
        "db.namespace" = namespace,
        "db.query.summary" = Empty,
        "db.query.text" = is_bound.then_some(sql),
        "db.response.status_code" = Empty,
        "error.type" = Empty,
    );
    if !span.is_disabled() {
        let summary = summary(sql);
        span.record("otel.name", summary.as_deref().unwrap_or(system));
        span.record("db.query.summary", summary.as_deref());
    }
    span
}

/// The span of connecting to the database `namespace` of `system`.
pub fn connecting(system: &'static str, namespace: &str) -> Span {
    tracing::info_span!(
        "connect",
        "otel.kind" = "client",
        "otel.status_code" = Empty,
        "db.system.name" = system,
        "db.namespace" = namespace,
        "db.response.status_code" = Empty,
        "error.type" = Empty,
    )
}

/// Notes on one of these spans that it failed, with the database's own code for it, such as an SQLSTATE.
pub fn failed(span: &Span, code: Option<&str>) {
    if let Some(code) = code {
        span.record("db.response.status_code", code);
    }
    crate::failed(span, code.unwrap_or(OTHER));
}

/// What a statement does to what, without anything that differs between two of its kind: `SELECT people companies`.
/// `None` for what is no statement of ours.
///
/// Of what defines something only the kind is told (`CREATE DATABASE`): databases and roles have tenants' names.
pub fn summary(sql: &str) -> Option<String> {
    /// The conventions' limit.
    const MOST: usize = 255;
    let mut words = Words(sql);
    let verb = words.next()?.to_ascii_uppercase();
    let mut summary = verb.clone();
    let mut add = |word: &str| {
        let known = summary.split(' ').any(|known| known == word);
        if !known && summary.len() + 1 + word.len() <= MOST {
            summary.push(' ');
            summary.push_str(word);
        }
    };
    match verb.as_str() {
        "SELECT" | "WITH" | "INSERT" | "UPDATE" | "DELETE" | "REPLACE" => targets(&verb, words, &mut add),
        "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "COMMENT" => {
            let kind = words.map(str::to_ascii_uppercase).find(|word| KINDS.contains(&word.as_str()));
            kind.iter().for_each(|kind| add(kind));
        }
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "SET" | "SHOW" | "PRAGMA" | "VACUUM" | "ANALYZE" | "LOCK"
        | "GRANT" | "REVOKE" => {}
        _ => return None,
    }
    Some(summary)
}

/// What can be defined.
const KINDS: [&str; 12] = [
    "DATABASE",
    "ROLE",
    "USER",
    "SCHEMA",
    "TABLE",
    "INDEX",
    "VIEW",
    "SEQUENCE",
    "TYPE",
    "FUNCTION",
    "TRIGGER",
    "EXTENSION",
];

/// Tells the tables that a statement reads or writes.
fn targets(verb: &str, words: Words<'_>, add: &mut impl FnMut(&str)) {
    let (mut before, mut wanted) = ("", verb == "UPDATE");
    for word in words {
        let is_name = word != "(" && !word.eq_ignore_ascii_case("SELECT") && !word.eq_ignore_ascii_case("LATERAL");
        if wanted && is_name {
            add(&word.replace(['"', '`'], ""));
        }
        wanted = match word {
            _ if word.eq_ignore_ascii_case("FROM") => !before.eq_ignore_ascii_case("DISTINCT"),
            _ => word.eq_ignore_ascii_case("INTO") || word.eq_ignore_ascii_case("JOIN"),
        };
        before = word;
    }
}

/// The words of one statement: names with their quotes and dots, opening brackets, no literals, nothing after a `;`.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            let end = match self.0.chars().next()? {
                ';' => return None,
                '\'' => {
                    let literal = self.0[1..].find('\'').map_or(self.0.len(), |at| at + 2);
                    self.0 = &self.0[literal..];
                    continue;
                }
                c if is_of_name(c) => name_end(self.0),
                c => c.len_utf8(),
            };
            let (word, rest) = self.0.split_at(end);
            self.0 = rest;
            if word == "(" || word.starts_with(is_of_name) {
                return Some(word);
            }
        }
    }
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '"' | '`' | '.' | '$')
}

/// Where a name ends, that may be quoted in parts.
fn name_end(text: &str) -> usize {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '`') => quote = Some(c),
            None if is_of_name(c) => {}
            None => return at,
        }
    }
    text.len()
}

/// Gives a span of SeaORM's the names of the conventions, and takes from it what may hold values.
pub(crate) fn rename(span: &mut SpanData) {
    let Some(call) = span.name.strip_prefix(SEA_ORM).map(str::to_owned) else { return };
    let take = |attributes: &mut Vec<KeyValue>, key: &str| {
        let at = attributes.iter().position(|attribute| attribute.key.as_str() == key)?;
        Some(attributes.swap_remove(at).value)
    };
    let attributes = &mut span.attributes;
    let system = take(attributes, "db.system");
    let text = take(attributes, "db.statement");
    let operation = take(attributes, "db.operation").map(|operation| operation.to_string());
    // It may quote the row that was refused.
    let _message = take(attributes, "exception.message");

    let operation = match call.as_str() {
        "begin" | "commit" | "rollback" => Some(call.to_ascii_uppercase()),
        // SeaORM's word for whatever it does not know.
        _ => operation.filter(|operation| operation != "EXECUTE"),
    };
    let summary = text.as_ref().and_then(|text| summary(&text.as_str()));
    let name = summary.clone().or_else(|| operation.clone());
    let name = name.or_else(|| system.as_ref().map(Value::to_string));
    attributes.extend(system.map(|system| KeyValue::new("db.system.name", system)));
    attributes.extend(text.map(|text| KeyValue::new("db.query.text", text)));
    attributes.extend(summary.map(|summary| KeyValue::new("db.query.summary", summary)));
    attributes.extend(operation.map(|operation| KeyValue::new("db.operation.name", operation)));
    span.name = Cow::from(name.unwrap_or(call));
    match span.status {
        Status::Error { .. } => attributes.push(KeyValue::new("error.type", OTHER)),
        // The conventions leave it to whoever judges the whole.
        Status::Ok | Status::Unset => span.status = Status::Unset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_is_done_to_what() {
        let cases = [
            (
                r#"SELECT "a"."id" FROM "people" AS "a" INNER JOIN "public"."groups" ON 1 = 1"#,
                "SELECT people public.groups",
            ),
            ("select * from `people` where name = 'from secret' for update", "SELECT people"),
            ("SELECT 1", "SELECT"),
            ("SELECT * FROM (SELECT x FROM people) t WHERE a IS DISTINCT FROM b", "SELECT people"),
            ("INSERT INTO people(id) VALUES ($1) ON CONFLICT DO UPDATE SET x = 'into y'", "INSERT people"),
            ("UPDATE \"people\" SET name = ? WHERE id IN (SELECT person FROM notes)", "UPDATE people notes"),
            ("DELETE FROM people; DROP TABLE secret", "DELETE people"),
            ("WITH due AS (SELECT * FROM jobs) DELETE FROM jobs", "WITH jobs"),
            ("CREATE DATABASE t_0190 TEMPLATE t_tpl", "CREATE DATABASE"),
            ("create unique index concurrently if not exists x on y (z)", "CREATE INDEX"),
            ("ALTER ROLE t_0190 PASSWORD 'hunter2'", "ALTER ROLE"),
            ("GRANT ALL ON DATABASE t_0190 TO t_0190", "GRANT"),
            ("COMMIT", "COMMIT"),
            ("SELECT * FROM people WHERE x = 'it''s from hell", "SELECT people"),
        ];
        for (sql, expected) in cases {
            assert_eq!(summary(sql).as_deref(), Some(expected), "{sql}");
        }
        for sql in ["", ";", "'", "(", "hunter2", "\u{1f512}", "\"SELECT"] {
            assert_eq!(summary(sql), None, "{sql}");
        }
        let many: String = (0..999).map(|number| format!(" JOIN t{number}")).collect();
        assert!(summary(&format!("SELECT * FROM t{many}")).is_some_and(|summary| summary.len() <= 255));
    }
}
