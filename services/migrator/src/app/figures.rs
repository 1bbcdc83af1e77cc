//! What is counted in the migrator's own database, so often as metrics are sent, however often they are read.

use std::sync::{Arc, Mutex, PoisonError};

use tenantry_rpc::Shutdown;
use tenantry_telemetry::metrics::{AsyncInstrument, KeyValue, counts_every, meter};

use super::App;
use crate::store::rollouts::{self, Rollout, State};

/// The rollout that is not finished when it was last looked for; there is at most one.
type Seen = Arc<Mutex<Option<Rollout>>>;

/// Looks until the shutdown begins, where anybody else does.
pub(crate) async fn run(app: Arc<App>, shutdown: Shutdown) {
    let Some(every) = counts_every() else { return };
    let seen = Seen::default();
    observe(
        "tenantry.rollouts",
        "{rollout}",
        "Rollouts that are not finished",
        "tenantry.rollout.state",
        &seen,
        states,
    );
    observe(
        "tenantry.rollout.targets",
        "{database}",
        "Databases of these",
        "tenantry.rollout.target.state",
        &seen,
        targets,
    );
    loop {
        match rollouts::active(app.db.raw()).await {
            Ok(now) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = now,
            Err(error) => tracing::debug!(%error, "rollouts were not counted; what was counted last stays"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.begun() => return,
        }
    }
}

/// How many there are, by the value of an attribute.
type Numbers = Vec<(&'static str, i64)>;

fn states(active: Option<&Rollout>) -> Numbers {
    let is = |state| i64::from(active.is_some_and(|rollout| rollout.state == state));
    vec![("running", is(State::Running)), ("paused", is(State::Paused)), ("halted", is(State::Halted))]
}

fn targets(active: Option<&Rollout>) -> Numbers {
    let of = |read: fn(&Rollout) -> i32| active.map_or(0, |rollout| i64::from(read(rollout)));
    let ended: [(&str, fn(&Rollout) -> i32); 4] = [
        ("succeeded", |rollout| rollout.succeeded),
        ("failed", |rollout| rollout.failed),
        ("skipped", |rollout| rollout.skipped),
        ("cancelled", |rollout| rollout.cancelled),
    ];
    let mut numbers: Numbers = ended.into_iter().map(|(state, read)| (state, of(read))).collect();
    let left = of(|rollout| rollout.total) - numbers.iter().map(|(_, count)| count).sum::<i64>();
    numbers.push(("open", left));
    numbers
}

fn observe(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    attribute: &'static str,
    seen: &Seen,
    read: fn(Option<&Rollout>) -> Numbers,
) {
    let seen = Arc::downgrade(seen);
    let tell = move |observer: &dyn AsyncInstrument<i64>| {
        let Some(seen) = seen.upgrade() else { return };
        for (value, count) in read(seen.lock().unwrap_or_else(PoisonError::into_inner).as_ref()) {
            observer.observe(count, &[KeyValue::new(attribute, value)]);
        }
    };
    meter().i64_observable_gauge(name).with_unit(unit).with_description(about).with_callback(tell).build();
}
