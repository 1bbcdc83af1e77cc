//! Spans: which of them are kept, and what is made of them before they leave.

mod keeping;
mod sampling;

use opentelemetry::InstrumentationScope;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracerProvider};

use crate::{TelemetryConfig, TelemetryError};
use keeping::Keeping;
use sampling::Share;

/// What becomes a span: ours, and no transport's, or the exporter would trace
/// its own calls for ever.
const SPANS: &str = "info,h2=off,hyper=off,tonic=off,tower=off,opentelemetry=off,sqlx=off";

/// Statements are worth a span where somebody will see it.
const NO_STATEMENTS: &str = ",sea_orm=off,tenantry_telemetry::database=off";

/// Whose names spans have.
const SEMANTIC_CONVENTIONS: &str = "https://opentelemetry.io/schemas/1.40.0";

/// What all spans of ours say of where they come from.
pub(crate) fn scope() -> InstrumentationScope {
    let scope = InstrumentationScope::builder("tenantry").with_version(env!("CARGO_PKG_VERSION"));
    scope.with_schema_url(SEMANTIC_CONVENTIONS).build()
}

/// What is made of spans that leave by `config`, as directives of a filter.
pub(crate) fn filter(config: &TelemetryConfig) -> String {
    let unseen = if config.otlp_endpoint.is_some() { "" } else { NO_STATEMENTS };
    format!("{SPANS}{unseen}")
}

/// Where spans go. Without an endpoint they end here, and still give each call a trace id.
pub(crate) fn provider(resource: Resource, config: &TelemetryConfig) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder().with_resource(resource);
    let share = Share::of(config.trace_ratio);
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok(builder.with_sampler(share).build());
    };
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|source| TelemetryError::Exporter { endpoint: endpoint.clone(), source })?;
    let batches = BatchSpanProcessor::builder(exporter).build();
    Ok(builder.with_sampler(share.recording_the_rest()).with_span_processor(Keeping::new(batches)).build())
}
