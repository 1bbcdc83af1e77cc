//! What is to be seen of connections, by database server: OpenTelemetry's semantic
//! conventions for database metrics, 1.40, and what they have no name for.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tenantry_telemetry::metrics::{Histogram, KeyValue, durations, meter};

use super::{Inner, PoolStats};

/// How long connections take.
///
/// Made with the pools, not with a server of theirs: the SDK makes an instrument under the lock that it holds while it
/// asks the callbacks, which in turn wait for the lock that a new server is made under.
#[derive(Debug, Clone)]
pub(super) struct Durations {
    creating: Histogram<f64>,
    waiting: Histogram<f64>,
}

impl Durations {
    pub(super) fn new() -> Self {
        Self {
            creating: durations("db.client.connection.create_time", "How long opening a connection took"),
            waiting: durations("db.client.connection.wait_time", "How long a request waited for its connection"),
        }
    }

    pub(super) fn of(&self, server: &str) -> Times {
        Times { durations: self.clone(), of_server: [pool(server)] }
    }
}

/// How long one server's connections take.
#[derive(Debug)]
pub(super) struct Times {
    durations: Durations,
    of_server: [KeyValue; 1],
}

impl Times {
    /// A connection was opened.
    pub(super) fn connected(&self, took: Duration) {
        self.durations.creating.record(took.as_secs_f64(), &self.of_server);
    }

    /// A request has its connection.
    pub(super) fn waited(&self, took: Duration) {
        self.durations.waiting.record(took.as_secs_f64(), &self.of_server);
    }
}

fn pool(server: &str) -> KeyValue {
    KeyValue::new("db.client.connection.pool.name", server.to_owned())
}

/// A figure of each server: its name, unit and meaning, and how it is read.
type Figure<T> = (&'static str, &'static str, &'static str, fn(&PoolStats) -> T);

/// What goes up and down, and adds up over servers and processes.
const LEVELS: [Figure<u32>; 3] = [
    ("db.client.connection.max", "{connection}", "Connections that may be open", |stats| stats.limit),
    ("db.client.connection.pending_requests", "{request}", "Requests that wait for a connection", |stats| {
        stats.waiting
    }),
    ("tenantry.pool.open", "{connection}", "Connections that count: used, idle, being opened or closed", |stats| {
        stats.open
    }),
];

const COUNTS: [Figure<u64>; 4] = [
    ("db.client.connection.timeouts", "{timeout}", "Requests that have waited in vain", |stats| stats.timeouts),
    ("tenantry.pool.failures", "{connection}", "Connections that could not be opened", |stats| stats.failures),
    ("tenantry.pool.evictions", "{connection}", "Connections closed for another database", |stats| stats.evictions),
    ("tenantry.pool.refusals", "{request}", "Requests refused as their server was not there", |stats| stats.refused),
];

/// Has the figures of these pools read, for as long as they are there.
pub(super) fn observe(pools: &Arc<Inner>) {
    let meter = meter();
    for (name, unit, about, read) in LEVELS {
        let pools = Arc::downgrade(pools);
        let level = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(about);
        level
            .with_callback(move |observer| each(&pools, |stats, of| observer.observe(read(stats).into(), &[of])))
            .build();
    }
    for (name, unit, about, read) in COUNTS {
        let pools = Arc::downgrade(pools);
        let count = meter.u64_observable_counter(name).with_unit(unit).with_description(about);
        count.with_callback(move |observer| each(&pools, |stats, of| observer.observe(read(stats), &[of]))).build();
    }
    observe_states(Arc::downgrade(pools));
    observe_unreachable(Arc::downgrade(pools));
}

fn observe_states(pools: Weak<Inner>) {
    meter()
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("Connections that requests have, and those that wait for one")
        .with_callback(move |observer| {
            each(&pools, |stats, of| {
                for (state, count) in [("used", stats.in_use), ("idle", stats.idle)] {
                    let state = KeyValue::new("db.client.connection.state", state);
                    observer.observe(count.into(), &[of.clone(), state]);
                }
            });
        })
        .build();
}

fn observe_unreachable(pools: Weak<Inner>) {
    meter()
        .u64_observable_gauge("tenantry.pool.unreachable")
        .with_unit("{server}")
        .with_description("1 while a server is not tried but by one request at a time")
        .with_callback(move |observer| each(&pools, |stats, of| observer.observe(stats.broken.into(), &[of])))
        .build();
}

fn each(pools: &Weak<Inner>, mut tell: impl FnMut(&PoolStats, KeyValue)) {
    let Some(pools) = pools.upgrade() else { return };
    let servers: Vec<_> = pools.servers().by_name.values().cloned().collect();
    for server in servers {
        tell(&server.stats(), pool(&server.name));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::metrics::data::ResourceMetrics;
    use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
    use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

    use super::*;
    use crate::pool::{PoolConfig, Pools};

    /// A bound for what hangs, no measure of speed.
    const BOUND: Duration = Duration::from_secs(30);

    /// Collects, and sends nowhere.
    struct Nowhere;

    impl PushMetricExporter for Nowhere {
        async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
            Ok(())
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }

        fn temporality(&self) -> Temporality {
            Temporality::Cumulative
        }
    }

    #[tokio::test]
    async fn a_first_request_does_not_wait_for_who_reads_the_figures() -> Result<(), Box<dyn std::error::Error>> {
        let provider = SdkMeterProvider::builder().with_periodic_exporter(Nowhere).build();
        opentelemetry::global::set_meter_provider(provider.clone());
        let inner = Pools::new(PoolConfig::default()).inner;
        let (begun, is_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let may_go_on = std::sync::Mutex::new(may_go_on);
        let stopped_half_way = move |_: &dyn tenantry_telemetry::metrics::AsyncInstrument<u64>| {
            // Whoever waits here is gone when the test is over.
            let _ = begun.send(());
            let _ = may_go_on.lock().map(|may| may.recv_timeout(BOUND));
        };
        meter().u64_observable_gauge("test.half_way").with_callback(stopped_half_way).build();
        let reader = thread::spawn(move || provider.force_flush());
        is_begun.recv_timeout(BOUND)?;

        let (made, is_made) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let request = thread::spawn(move || {
            let _entered = runtime.enter();
            let _ = made.send(inner.server("main").is_ok());
        });
        assert_eq!(is_made.recv_timeout(BOUND), Ok(true), "it waits for the lock of the instruments");

        drop(go_on);
        let _ = (reader.join(), request.join());
        Ok(())
    }
}
