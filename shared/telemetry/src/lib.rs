//! Traces, logs and metrics, and the context that joins them across services.
//!
//! Logs go to standard error, pretty or as JSON. Spans carry W3C trace context
//! (<https://www.w3.org/TR/trace-context/>) over every hop ([`propagation`]) and
//! are exported by OTLP when an endpoint is configured; without one they still
//! give every call a trace id, which errors quote. What is counted and measured
//! is in [METRICS.md](../METRICS.md), and how in [`metrics`].

mod config;
pub mod database;
pub mod metrics;
pub mod propagation;
mod scrape;
mod traces;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Span;
use tracing_subscriber::filter::FilterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

pub use config::{LogFormat, TelemetryConfig};

/// Telemetry that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The OTLP exporter refuses its configuration.
    #[error("the OTLP endpoint {endpoint} cannot be used")]
    Exporter {
        /// The endpoint as configured.
        endpoint: String,
        /// Why.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// The log filter is no filter.
    #[error("the log filter {filter:?} cannot be used")]
    Filter {
        /// The filter as configured.
        filter: String,
        /// Why.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot serve metrics on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The exporter for Prometheus cannot be set up.
    #[error("metrics cannot be served")]
    Scrape(#[source] opentelemetry_sdk::error::OTelSdkError),
    /// Something else in this process has set up tracing.
    #[error("tracing is set up already")]
    AlreadySetUp,
}

/// Keeps telemetry running; [`Telemetry::shut_down`] sends what is left.
#[must_use = "telemetry is flushed through this value"]
pub struct Telemetry {
    tracing: SdkTracerProvider,
    metrics: Option<metrics::Exported>,
}

/// Starts logs, traces and metrics for this process, under `service` as its
/// `service.name`. Once per process, on its tokio runtime, and before anything
/// that is measured.
pub fn start(service: &'static str, config: &TelemetryConfig) -> Result<Telemetry, TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|source| TelemetryError::Filter { filter: config.log_filter.clone(), source })?
        .and(EnvFilter::new(MOST_LOGGED));
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let tracing = traces::provider(resource.clone(), config)?;
    let metrics = metrics::Exported::start(resource, config)?;
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());

    // A file or a collector takes colours for text.
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let logs = match config.log_format {
        LogFormat::Pretty => logs.with_target(false).boxed(),
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let spans = tracing_opentelemetry::layer()
        // Busy and idle times are a clock's reading at every poll of every future.
        .with_tracked_inactivity(false)
        // Nor does anybody here look for a span in OpenTelemetry's own context, which each poll would change.
        .with_context_activation(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracer(tracing.tracer_with_scope(traces::scope()));
    // The filter is the logs' alone: a quiet log must not lose spans.
    tracing_subscriber::registry()
        .with(logs.with_filter(filter))
        .with(spans.with_filter(EnvFilter::new(traces::filter(config))))
        .try_init()
        .map_err(|_| TelemetryError::AlreadySetUp)?;
    Ok(Telemetry { tracing, metrics })
}

/// More than this no filter brings into a log. Libraries that carry headers and statements tell them at their lower
/// levels, with tokens and values; spans of statements are for traces, and a line says whose call it is of without them.
const MOST_LOGGED: &str = "trace,h2=info,hyper=info,hyper_util=info,tonic=info,tower=info,rustls=info,sqlx=warn,\
                           sea_orm=warn,opentelemetry=info,tenantry_telemetry::database=off";

/// Notes on a span, which has room for it, that it failed in this way: a code or a reason, of which there are few.
pub fn failed(span: &Span, kind: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}

impl Telemetry {
    /// Where metrics are served, if they are; the port is the real one where 0 was asked for.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.address()
    }

    /// Sends what is left, off the async threads: a direct call would block the
    /// runtime that the exporter itself needs. Takes about two seconds when the
    /// collector is gone.
    pub async fn shut_down(self) {
        let flushed = tokio::task::spawn_blocking(move || {
            let spans = self.tracing.shutdown();
            spans.and(self.metrics.map_or(Ok(()), metrics::Exported::shut_down))
        });
        if let Ok(Err(error)) = flushed.await {
            tracing::debug!(%error, "the last spans or metrics were not sent");
        }
    }
}
