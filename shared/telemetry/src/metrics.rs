//! Metrics: where instruments come from, and where what they measure goes.
//!
//! Whoever measures something makes its instruments of [`meter`] when it is put
//! together, writes them into [METRICS.md](../METRICS.md), and never names a
//! company, a user or anything else that there are thousands of in an attribute.
//! What another part counts anyway is read by an observable instrument, whose
//! callback holds a `Weak`: instruments live as long as the process. The SDK asks
//! the callbacks under a lock that making any instrument takes too, so none is
//! made under a lock that a callback waits for: both would wait for ever.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

pub use opentelemetry::KeyValue;
pub use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};
use opentelemetry_otlp::{MetricExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};

use crate::scrape::Endpoint;
use crate::{TelemetryConfig, TelemetryError};

/// The upper ends of the buckets of durations, in seconds: those of the semantic
/// conventions, with two below for what is done within a millisecond or two.
pub const SECONDS: [f64; 16] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// How often what is in databases is counted where nothing is sent, but read.
const COUNTED_EVERY: Duration = Duration::from_secs(60);

/// Set once metrics go anywhere.
static COUNTS: OnceLock<Duration> = OnceLock::new();

/// What instruments are made of. Before [`start`](crate::start), and where metrics go nowhere, they do nothing.
pub fn meter() -> Meter {
    opentelemetry::global::meter("tenantry")
}

/// A histogram of durations in seconds.
pub fn durations(name: &'static str, about: &'static str) -> Histogram<f64> {
    let meter = meter();
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(about);
    histogram.with_boundaries(SECONDS.to_vec()).build()
}

/// Whether metrics go anywhere.
pub fn are_exported() -> bool {
    COUNTS.get().is_some()
}

/// How often to count what has to be asked of a database; `None` where nobody would see it.
pub fn counts_every() -> Option<Duration> {
    COUNTS.get().copied()
}

/// What goes somewhere.
pub(crate) struct Exported {
    provider: SdkMeterProvider,
    endpoint: Option<Endpoint>,
}

impl Exported {
    /// Sends and serves what the configuration says; `None` where that is nothing.
    pub(crate) fn start(resource: Resource, config: &TelemetryConfig) -> Result<Option<Self>, TelemetryError> {
        let interval = Duration::from_millis(config.metrics_interval_ms);
        let push_to = config.otlp_endpoint.as_ref().filter(|_| !interval.is_zero());
        if push_to.is_none() && config.metrics_listen.is_none() {
            return Ok(None);
        }
        let mut provider = SdkMeterProvider::builder().with_resource(resource);
        if let Some(endpoint) = push_to {
            provider =
                provider.with_reader(PeriodicReader::builder(exporter(endpoint)?).with_interval(interval).build());
        }
        let mut endpoint = None;
        if let Some(address) = config.metrics_listen {
            let (reader, served) = Endpoint::start(address)?;
            provider = provider.with_reader(reader);
            endpoint = Some(served);
        }
        let provider = provider.build();
        opentelemetry::global::set_meter_provider(provider.clone());
        let _first = COUNTS.set(if interval.is_zero() { COUNTED_EVERY } else { interval });
        Ok(Some(Self { provider, endpoint }))
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.endpoint.as_ref().map(Endpoint::address)
    }

    /// Sends what is left. Blocks.
    pub(crate) fn shut_down(self) -> OTelSdkResult {
        drop(self.endpoint);
        self.provider.shutdown()
    }
}

fn exporter(endpoint: &str) -> Result<MetricExporter, TelemetryError> {
    let exporter = MetricExporter::builder().with_tonic().with_endpoint(endpoint).build();
    exporter.map_err(|source| TelemetryError::Exporter { endpoint: endpoint.to_owned(), source })
}
