//! Values as SQL text, as the drivers would have stored them.
//!
//! sea-query's own text is not enough: it writes a UUID as a hyphenated string, which does not fit MariaDB's
//! `BINARY(16)` and which sqlx cannot read back from SQLite; and times with an offset, which MariaDB's
//! `DATETIME` refuses and which SQLite would sort apart from those that sqlx writes.

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{Statement, Value};
use uuid::Uuid;

use crate::engine::Engine;

/// The statement as text, its values inlined.
pub(crate) fn inline(statement: &Statement) -> String {
    let engine = Engine::of(statement.db_backend);
    let mut statement = statement.clone();
    if let Some(values) = &mut statement.values {
        for value in &mut values.0 {
            if let Some(stored) = stored(value, engine) {
                *value = stored;
            }
        }
    }
    let text = statement.to_string();
    text.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned()
}

/// The form in which the driver stores it, where sea-query writes another.
fn stored(value: &Value, engine: Engine) -> Option<Value> {
    match value {
        Value::Uuid(Some(id)) if engine != Engine::Postgres => Some(Value::Bytes(Some(id.as_bytes().to_vec()))),
        Value::ChronoDateTimeUtc(Some(at)) => Some(Value::from(time_text(engine, *at))),
        Value::ChronoDateTimeWithTimeZone(Some(at)) => Some(Value::from(time_text(engine, at.with_timezone(&Utc)))),
        _ => None,
    }
}

pub(crate) fn uuid(engine: Engine, id: Uuid) -> String {
    match engine {
        Engine::Postgres => format!("'{id}'"),
        Engine::MariaDb | Engine::Sqlite => format!("x'{}'", id.simple()),
    }
}

pub(crate) fn time(engine: Engine, at: DateTime<Utc>) -> String {
    format!("'{}'", time_text(engine, at))
}

fn time_text(engine: Engine, at: DateTime<Utc>) -> String {
    match engine {
        Engine::Postgres => at.to_rfc3339_opts(SecondsFormat::Micros, false),
        Engine::MariaDb => at.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        Engine::Sqlite => at.to_rfc3339_opts(SecondsFormat::AutoSi, false),
    }
}
