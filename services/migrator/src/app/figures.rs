//! What is counted in the migrator's own database, so often as metrics are sent, however often they are read.

use std::sync::{Arc, Mutex, PoisonError};

use tenantry_rpc::Shutdown;
use tenantry_telemetry::metrics::{AsyncInstrument, KeyValue, counts_every, meter};

use super::App;
use crate::store::rollouts::{self, Rollout, State};

/// What is told of the rollout that is not finished; there is at most one.
#[derive(Debug, Clone, Copy)]
struct Progress {
    state: State,
    total: i32,
    succeeded: i32,
    failed: i32,
    skipped: i32,
    cancelled: i32,
}

type Seen = Arc<Mutex<Option<Progress>>>;

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
            Ok(now) => *seen.lock().unwrap_or_else(PoisonError::into_inner) = now.map(Progress::from),
            Err(error) => tracing::debug!(%error, "rollouts were not counted; what was counted last stays"),
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = shutdown.begun() => return,
        }
    }
}

impl From<Rollout> for Progress {
    fn from(rollout: Rollout) -> Self {
        let Rollout { state, total, succeeded, failed, skipped, cancelled, .. } = rollout;
        Self { state, total, succeeded, failed, skipped, cancelled }
    }
}

/// How many there are, by the value of an attribute.
type Numbers = Vec<(&'static str, i64)>;

fn states(active: Option<Progress>) -> Numbers {
    let is = |state| i64::from(active.is_some_and(|rollout| rollout.state == state));
    vec![("running", is(State::Running)), ("paused", is(State::Paused)), ("halted", is(State::Halted))]
}

fn targets(active: Option<Progress>) -> Numbers {
    let [total, succeeded, failed, skipped, cancelled] = active.map_or([0; 5], |rollout| {
        [rollout.total, rollout.succeeded, rollout.failed, rollout.skipped, rollout.cancelled].map(i64::from)
    });
    let open = total - succeeded - failed - skipped - cancelled;
    vec![("open", open), ("succeeded", succeeded), ("failed", failed), ("skipped", skipped), ("cancelled", cancelled)]
}

fn observe(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    attribute: &'static str,
    seen: &Seen,
    read: fn(Option<Progress>) -> Numbers,
) {
    let seen = Arc::downgrade(seen);
    let tell = move |observer: &dyn AsyncInstrument<i64>| {
        let Some(seen) = seen.upgrade() else { return };
        let active = *seen.lock().unwrap_or_else(PoisonError::into_inner);
        for (value, count) in read(active) {
            observer.observe(count, &[KeyValue::new(attribute, value)]);
        }
    };
    meter().i64_observable_gauge(name).with_unit(unit).with_description(about).with_callback(tell).build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_ended_is_open_and_without_a_rollout_there_is_nothing() {
        let progress = Progress { state: State::Paused, total: 20, succeeded: 1, failed: 2, skipped: 4, cancelled: 8 };
        let told = targets(Some(progress));
        assert_eq!(told, [("open", 5), ("succeeded", 1), ("failed", 2), ("skipped", 4), ("cancelled", 8)]);
        assert_eq!(states(Some(progress)), [("running", 0), ("paused", 1), ("halted", 0)]);
        assert!(targets(None).iter().chain(&states(None)).all(|(_, count)| *count == 0));
    }
}
