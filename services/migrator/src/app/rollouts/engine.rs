//! Drives every rollout that runs. Replicas share one by leases on its targets; what each may take is decided under
//! the lock of the rollout's row, so limits are exact over all of them.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use tenantry_ids::RolloutId;
use tenantry_rpc::{Error, Shutdown};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::attempt::{Outcome, Patience, attempt, rehearse};
use super::create::is_known;
use super::spans;
use super::turn::{advance, gathering, halt_over_budget, settle, with_claims};
use crate::app::App;
use crate::store::StoreError;
use crate::store::claims::Claim;
use crate::store::rollouts::{self as store, Known, Lease, Rollout, State, Target};

/// How rollouts are driven.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Rollouts")]
pub struct EngineSettings {
    /// How often rollouts that other processes left are looked for, in milliseconds.
    #[arg(long, env = "MIGRATOR_ROLLOUT_POLL_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub rollout_poll_ms: u64,

    /// How long another process waits before it takes over a database that this one worked on when it ended, in
    /// milliseconds. Renewed meanwhile.
    #[arg(long, env = "MIGRATOR_ROLLOUT_LEASE_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub rollout_lease_ms: u64,

    /// How long a database's migration lock, or a table, is waited for, in milliseconds.
    #[arg(long, env = "MIGRATOR_ROLLOUT_LOCK_WAIT_MS", default_value_t = 10_000)]
    pub rollout_lock_wait_ms: u64,

    /// How long to wait after a database's first failure, in milliseconds; doubles each time.
    #[arg(long, env = "MIGRATOR_ROLLOUT_BACKOFF_MS", default_value_t = 1_000)]
    pub rollout_backoff_ms: u64,

    /// The longest wait between two attempts, in milliseconds.
    #[arg(long, env = "MIGRATOR_ROLLOUT_MAX_BACKOFF_MS", default_value_t = 60_000)]
    pub rollout_max_backoff_ms: u64,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            rollout_poll_ms: 1_000,
            rollout_lease_ms: 15_000,
            rollout_lock_wait_ms: 10_000,
            rollout_backoff_ms: 1_000,
            rollout_max_backoff_ms: 60_000,
        }
    }
}

impl EngineSettings {
    fn lease(&self) -> Duration {
        Duration::from_millis(self.rollout_lease_ms)
    }

    fn patience(&self) -> Patience {
        Patience {
            lock_wait: Duration::from_millis(self.rollout_lock_wait_ms),
            backoff: Duration::from_millis(self.rollout_backoff_ms),
            max_backoff: Duration::from_millis(self.rollout_max_backoff_ms),
        }
    }
}

/// Wakes the engine of this process.
#[derive(Clone, Default)]
pub(crate) struct Wake(Arc<Notify>);

impl Wake {
    /// A rollout has changed.
    pub(crate) fn wake(&self) {
        self.0.notify_waiters();
        self.0.notify_one();
    }

    /// Resolves at the next change in this process.
    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}

/// The engine of one process.
pub(crate) struct Engine {
    pub(crate) app: Arc<App>,
    pub(crate) settings: EngineSettings,
    /// This process, as leases name it: new with every start.
    pub(crate) holder: String,
}

impl Engine {
    /// Drives until the shutdown begins; what is under way is finished, or dropped when the shutdown is forced and then
    /// taken up by whoever is next.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let engine = Arc::new(self);
        let drivers = TaskTracker::new();
        let driven: Arc<Mutex<HashSet<RolloutId>>> = Arc::default();
        while !shutdown.has_begun() {
            match store::running(engine.app.db.raw()).await {
                Ok(running) => {
                    for id in running {
                        engine.clone().drive_unless_driven(id, &driven, &drivers, &shutdown);
                    }
                }
                Err(error) => tracing::warn!(%error, "rollouts cannot be looked for"),
            }
            tokio::select! {
                () = engine.app.rollouts.woken() => {}
                () = tokio::time::sleep(Duration::from_millis(engine.settings.rollout_poll_ms)) => {}
                () = shutdown.begun() => {}
            }
        }
        drivers.close();
        tokio::select! {
            () = drivers.wait() => {}
            () = shutdown.forced() => {}
        }
    }

    fn drive_unless_driven(
        self: Arc<Self>,
        id: RolloutId,
        driven: &Arc<Mutex<HashSet<RolloutId>>>,
        drivers: &TaskTracker,
        shutdown: &Shutdown,
    ) {
        let Some(driving) = Driving::begin(id, driven) else { return };
        let shutdown = shutdown.clone();
        drivers.spawn(async move {
            match self.drive(id, &shutdown).await {
                Ok(Part::Done) => {}
                // It stays where it is, and is not looked at every second.
                Ok(Part::Unknown) => driving.for_good(),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(rollout = %id, error, "a rollout is let go for now");
                }
            }
        });
    }

    /// Takes this process's part in one rollout, until there is none to take.
    async fn drive(&self, id: RolloutId, shutdown: &Shutdown) -> Result<Part, Error> {
        let rollout = store::find(self.app.db.raw(), id).await?.ok_or_else(super::not_found)?;
        if !is_known(&self.app, &rollout)? {
            tracing::warn!(rollout = %id, "a rollout has other migrations than this release; left to replicas that have them");
            return Ok(Part::Unknown);
        }
        if self.rehearsed(rollout).await?.is_none() {
            return Ok(Part::Done);
        }
        let (ended, mut ends) = mpsc::unbounded_channel();
        let attempts = TaskTracker::new();
        let (mut ends_seen, mut known) = (Vec::new(), None);
        let mut renew_at = Instant::now() + self.settings.lease() / 3;
        loop {
            let turn = Box::pin(self.turn(id, &mut known, &mut ends_seen, shutdown.has_begun())).await?;
            for claimed in turn.claimed {
                let work = self.work(turn.rollout.clone(), claimed, ended.clone());
                attempts.spawn(work);
            }
            if attempts.is_empty() && ends.is_empty() && (turn.over || shutdown.has_begun()) {
                return Ok(Part::Done);
            }
            tokio::select! {
                end = ends.recv() => ends_seen.extend(end),
                () = self.app.rollouts.woken() => {}
                () = tokio::time::sleep(turn.look_again) => {}
                () = shutdown.forced() => return Ok(Part::Done),
            }
            if !ends_seen.is_empty() {
                let now = self.app.now();
                tokio::time::sleep(gathering(ends_seen.iter().filter_map(|end| end.took(now)))).await;
            }
            while let Ok(end) = ends.try_recv() {
                ends_seen.push(end);
            }
            if Instant::now() >= renew_at {
                renew_at = Instant::now() + self.settings.lease() / 3;
                store::renew(self.app.db.raw(), id, &self.lease(self.app.now())).await?;
                known = None;
            }
        }
    }

    fn work(
        &self,
        rollout: Arc<Rollout>,
        (target, claim): (Target, Option<Claim>),
        ended: mpsc::UnboundedSender<Outcome>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (app, patience) = (self.app.clone(), self.settings.patience());
        let span = spans::of_target(&rollout, &target);
        let work = async move {
            // A panic is a failure of this target: its lease would be renewed for ever.
            let attempted =
                AssertUnwindSafe(attempt(&app, &rollout, (target.clone(), claim), &patience)).catch_unwind().await;
            let outcome = attempted.unwrap_or_else(|_| Outcome::of_panic(target));
            spans::ended(&outcome);
            let _ = ended.send(outcome);
        };
        work.instrument(span)
    }

    fn lease(&self, now: DateTime<Utc>) -> Lease<'_> {
        Lease { holder: &self.holder, until: now + self.settings.lease() }
    }

    /// The rollout, once its statements are proven on every server that it goes to. Several replicas may do this at
    /// once: on each server one after the other, and the second finds it done.
    async fn rehearsed(&self, rollout: Rollout) -> Result<Option<Rollout>, Error> {
        let id = rollout.id;
        if rollout.rehearsed || rollout.state != State::Running {
            return Ok(Some(rollout));
        }
        let mut failure = None;
        for server in store::servers(self.app.db.raw(), id).await? {
            let rehearsing = async {
                rehearse(&self.app, &rollout, &server).await.inspect_err(|error| spans::failed(error.reason().as_str()))
            };
            if let Err(error) = rehearsing.instrument(spans::of_rehearsal(&rollout, &server)).await {
                failure = Some(format!("the rehearsal on {server} failed: {}: {error}", error.reason()));
                break;
            }
        }
        let tx = self.app.db.begin().await?;
        let Some(mut rollout) = store::lock(&tx, id).await? else { return Ok(None) };
        match failure {
            None => rollout.rehearsed = true,
            Some(failure) if rollout.state == State::Running => {
                tracing::warn!(rollout = %id, failure, "a rollout is halted");
                (rollout.state, rollout.state_reason) = (State::Halted, Some(failure));
            }
            Some(_) => {}
        }
        let rollout = store::save(&tx, rollout, self.app.now()).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Some(rollout))
    }

    /// One transaction: what has ended is written, and what may begin is taken.
    async fn turn(
        &self,
        id: RolloutId,
        remembered: &mut Option<Known>,
        ends: &mut Vec<Outcome>,
        stopping: bool,
    ) -> Result<Turn, Error> {
        let now = self.app.now();
        let tx = self.app.db.begin().await?;
        let Some(before) = store::lock(&tx, id).await? else {
            return Err(super::not_found());
        };
        let mut rollout = before.clone();
        let mut known = Known::of(&tx, &before, remembered.take()).await?;
        settle(&tx, &mut rollout, &mut known, ends, now).await?;
        halt_over_budget(&mut rollout);
        let claimed = match rollout.state {
            State::Running if !stopping && rollout.wave_opens_at <= now => {
                store::claim(&tx, &rollout, &mut known, &self.lease(now), now).await?
            }
            _ => Vec::new(),
        };
        if claimed.is_empty() && rollout.state == State::Running && rollout.wave_opens_at <= now {
            advance(&tx, &mut rollout, now).await?;
        }
        if rollout != before || !ends.is_empty() || !claimed.is_empty() {
            rollout = store::save(&tx, rollout, now).await?;
        }
        let claimed = with_claims(&tx, claimed).await?;
        tx.commit().await.map_err(StoreError::from)?;
        known.is_at(&rollout);
        *remembered = Some(known);
        if ends.drain(..).any(|outcome| outcome.settlement.version.is_some()) {
            self.app.reporter.wake();
        }
        if rollout.state != before.state {
            tracing::info!(rollout = %id, state = super::word(rollout.state), reason = rollout.state_reason, "a rollout came to rest");
        }
        let until_wave = (rollout.wave_opens_at - now).to_std().unwrap_or_default();
        let look_again = if until_wave.is_zero() { LOOK_AGAIN } else { until_wave.min(LOOK_AGAIN) };
        Ok(Turn { over: rollout.state != State::Running, rollout: Arc::new(rollout), claimed, look_again })
    }
}

/// A rollout that this process drives, until this goes: by a panic too, or nobody here would drive it again.
struct Driving {
    id: RolloutId,
    driven: Option<Arc<Mutex<HashSet<RolloutId>>>>,
}

impl Driving {
    fn begin(id: RolloutId, driven: &Arc<Mutex<HashSet<RolloutId>>>) -> Option<Self> {
        let is_new = driven.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        is_new.then(|| Self { id, driven: Some(driven.clone()) })
    }

    fn for_good(mut self) {
        self.driven = None;
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        if let Some(driven) = &self.driven {
            driven.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        }
    }
}

/// A replica with nothing to do looks again after so long at the latest: others may have gone, or paused it.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a process had to do with a rollout.
enum Part {
    Done,
    /// Its migrations are not this release's.
    Unknown,
}

struct Turn {
    rollout: Arc<Rollout>,
    /// Each with what is known of its database.
    claimed: Vec<(Target, Option<Claim>)>,
    over: bool,
    look_again: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollout_is_driven_once_at_a_time_and_again_after_a_panic() {
        let (driven, id) = (Arc::default(), RolloutId(uuid::Uuid::from_u128(1)));
        let driving = Driving::begin(id, &driven).expect("nobody drives it");
        assert!(Driving::begin(id, &driven).is_none());
        let panicked = std::panic::catch_unwind(AssertUnwindSafe(move || {
            let _driving = driving;
            panic!("as the test asked");
        }));
        assert!(panicked.is_err());
        Driving::begin(id, &driven).expect("it was let go").for_good();
        assert!(Driving::begin(id, &driven).is_none());
    }
}
