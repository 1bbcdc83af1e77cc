//! How long steps take, by what became of them.

use std::time::Duration;

use tenantry_telemetry::metrics::{Histogram, KeyValue, SECONDS, meter};

use super::worker::StepEnd;

/// The upper ends of the buckets beyond those of calls, in seconds: a step waits for a database server.
const LONG: [f64; 3] = [30.0, 60.0, 120.0];

pub(crate) struct StepTimes(Histogram<f64>);

impl StepTimes {
    pub(crate) fn new() -> Self {
        let meter = meter();
        let histogram = meter.f64_histogram("tenantry.provisioning.step.duration").with_unit("s");
        let histogram = histogram.with_description("How long one attempt at a step of provisioning or purging took");
        Self(histogram.with_boundaries([SECONDS.as_slice(), LONG.as_slice()].concat()).build())
    }

    /// One attempt at the step of this name has ended. There are as many names as there are steps and hooks.
    pub(super) fn ended(&self, step: &str, took: Duration, end: &Result<(), StepEnd>) {
        let outcome = match end {
            Ok(()) => "done",
            Err(StepEnd::Failed(failure)) if failure.retryable => "put_off",
            Err(StepEnd::Failed(_)) => "failed",
            Err(StepEnd::Stopped(_) | StepEnd::LeaseLost) => "lost",
        };
        let step = KeyValue::new("tenantry.provisioning.step", step.to_owned());
        self.0.record(took.as_secs_f64(), &[step, KeyValue::new("tenantry.provisioning.outcome", outcome)]);
    }
}
