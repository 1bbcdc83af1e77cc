//! Statements that go to a database without SeaORM, in their spans.

use tenantry_telemetry::database;
use tracing::{Instrument, Span};

/// Runs a statement in its span (see [`database::statement`]), which is told how it ended.
pub async fn traced<T>(span: Span, statement: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let result = statement.instrument(span.clone()).await;
    if let Err(error) = &result {
        let code = error.as_database_error().and_then(|error| error.code());
        database::failed(&span, code.as_deref());
    }
    result
}
