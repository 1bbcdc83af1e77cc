//! Takes companies by lease and runs their steps.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::EventId;
use tenantry_rpc::{Reason, Shutdown};
use tenantry_telemetry::propagation;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::steps::{self, StepFailure};
use super::{MigratorClient, Progress};
use crate::app::App;
use crate::domain::Step;
use crate::store::entities::{company, provisioning_step};
use crate::store::provisioning::{self as store, Due, Held};
use crate::store::{StoreError, companies, events};

/// The event log's name for what the pipeline does.
const ACTOR: &str = "service:catalog";

/// How the pipeline works.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Provisioning")]
pub struct WorkerSettings {
    /// Companies that this process provisions at once.
    #[arg(long, env = "CATALOG_PROVISION_AT_ONCE", default_value_t = 8)]
    pub provision_at_once: usize,

    /// How long a step may take, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_STEP_TIMEOUT_MS", default_value_t = 60_000)]
    pub provision_step_timeout_ms: u64,

    /// How long another process waits before it takes over what this one was doing
    /// when it ended, in milliseconds. Renewed while a step is under way.
    #[arg(long, env = "CATALOG_PROVISION_LEASE_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub provision_lease_ms: u64,

    /// How long to wait after a first failure, in milliseconds; doubles each time.
    #[arg(long, env = "CATALOG_PROVISION_BACKOFF_MS", default_value_t = 500)]
    pub provision_backoff_ms: u64,

    /// The longest wait between two attempts, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_MAX_BACKOFF_MS", default_value_t = 30_000)]
    pub provision_max_backoff_ms: u64,

    /// How often work that other processes left is looked for, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_POLL_MS", default_value_t = 1_000)]
    pub provision_poll_ms: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            provision_at_once: 8,
            provision_step_timeout_ms: 60_000,
            provision_lease_ms: 15_000,
            provision_backoff_ms: 500,
            provision_max_backoff_ms: 30_000,
            provision_poll_ms: 1_000,
        }
    }
}

impl WorkerSettings {
    fn step_timeout(&self) -> Duration {
        Duration::from_millis(self.provision_step_timeout_ms)
    }

    fn lease(&self) -> Duration {
        Duration::from_millis(self.provision_lease_ms)
    }

    /// The wait before attempt `attempts + 1`: doubling, bounded, and spread by
    /// up to a quarter so that companies that failed together do not return so.
    fn backoff(&self, attempts: i32, spread: u32) -> Duration {
        let doublings = u32::try_from(attempts.clamp(0, 16)).unwrap_or(0);
        let wait = self.provision_backoff_ms.saturating_mul(1 << doublings).min(self.provision_max_backoff_ms);
        Duration::from_millis(wait - wait / 4 * u64::from(spread % 256) / 256)
    }
}

/// Why a step did not get done here.
enum StepEnd {
    Failed(StepFailure),
    /// The central database is away; the lease runs out and somebody goes on.
    Stopped(StoreError),
    LeaseLost,
}

/// The pipeline's worker in one process.
pub(crate) struct Worker {
    pub(crate) app: Arc<App>,
    pub(crate) migrator: MigratorClient,
    pub(crate) settings: WorkerSettings,
    /// This process, as leases name it.
    pub(crate) name: String,
}

impl Worker {
    /// Works until the shutdown begins; what is under way is finished, or dropped
    /// when the shutdown is forced and then taken up by whoever is next.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let worker = Arc::new(self);
        let at_once = Arc::new(Semaphore::new(worker.settings.provision_at_once.max(1)));
        let tasks = TaskTracker::new();
        let progress: Progress = worker.app.progress.clone();
        while !shutdown.has_begun() {
            if let Err(error) = worker.clone().dispatch(&at_once, &tasks).await {
                tracing::warn!(%error, "provisioning cannot look for work");
            }
            let poll = tokio::time::sleep(Duration::from_millis(worker.settings.provision_poll_ms));
            tokio::select! {
                () = progress.woken() => {}
                () = poll => {}
                () = shutdown.begun() => {}
            }
        }
        tasks.close();
        tokio::select! {
            () = tasks.wait() => {}
            () = shutdown.forced() => {}
        }
    }

    /// Takes as many due companies as there is room for.
    async fn dispatch(self: Arc<Self>, at_once: &Arc<Semaphore>, tasks: &TaskTracker) -> Result<(), StoreError> {
        let room = at_once.available_permits();
        if room == 0 {
            return Ok(());
        }
        let now = self.app.now();
        for Due { seen, trace_parent } in store::due(&self.app.db, now, room as u64).await? {
            let Ok(permit) = at_once.clone().try_acquire_owned() else { return Ok(()) };
            let Some(held) = store::acquire(&self.app.db, seen, &self.name, now, now + self.settings.lease()).await?
            else {
                continue;
            };
            let worker = self.clone();
            let span = tracing::info_span!("provision", "tenantry.tenant" = %held.company, fence = held.fence);
            if let Some(parent) = trace_parent {
                propagation::set_parent_text(&span, &parent);
            }
            let work = async move {
                worker.provision(held).await;
                drop(permit);
                // There may be more than there was room for.
                worker.app.progress.wake();
            };
            tasks.spawn(work.instrument(span));
        }
        Ok(())
    }

    async fn provision(&self, held: Held) {
        match self.run_steps(held).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(%error, "provisioning stopped; it goes on when the lease has expired"),
        }
        self.app.progress.changed(held.company);
    }

    async fn run_steps(&self, held: Held) -> Result<(), StoreError> {
        for row in store::steps(&self.app.db, held.company).await? {
            if row.state == provisioning_step::State::Done {
                continue;
            }
            if !self.begin(held, &row).await? {
                return Ok(()); // Somebody else holds the lease.
            }
            match self.run_step(held, &row).await {
                Ok(()) => {}
                Err(StepEnd::Failed(failure)) => return self.fail(held, &row, failure).await,
                Err(StepEnd::Stopped(error)) => return Err(error),
                Err(StepEnd::LeaseLost) => return Ok(()),
            }
            if !self.finish(held, &row).await? {
                return Ok(()); // Somebody else holds the lease.
            }
        }
        self.end(held, company::State::Active, None).await
    }

    async fn begin(&self, held: Held, row: &provisioning_step::Model) -> Result<bool, StoreError> {
        let now = self.app.now();
        let tx = self.app.db.begin().await?;
        if !store::extend(&tx, held, now + self.settings.lease()).await? {
            return Ok(false);
        }
        store::begin_step(&tx, row, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn finish(&self, held: Held, row: &provisioning_step::Model) -> Result<bool, StoreError> {
        let now = self.app.now();
        let tx = self.app.db.begin().await?;
        if !store::extend(&tx, held, now + self.settings.lease()).await? {
            return Ok(false);
        }
        store::finish_step(&tx, row, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Runs a step, and keeps its lease meanwhile. A lost lease is another's to
    /// work under: the step is dropped, which is what it is idempotent for.
    async fn run_step(&self, held: Held, row: &provisioning_step::Model) -> Result<(), StepEnd> {
        let unknown = StepFailure { reason: Reason::Internal, retryable: true };
        let step = Step::named(&row.name).ok_or(StepEnd::Failed(unknown))?;
        let span = tracing::info_span!("provisioning step", "otel.name" = step.as_str(), attempt = row.attempts + 1);
        let limit = self.settings.step_timeout();
        let work = steps::run(&self.app, &self.migrator, step, held.company, limit).instrument(span);
        tokio::select! {
            done = work => done.map_err(StepEnd::Failed),
            end = self.keep_lease(held) => Err(end),
        }
    }

    /// Renews a lease until it is lost: taken by another, or run out while the
    /// central database could not be reached.
    async fn keep_lease(&self, held: Held) -> StepEnd {
        let mut until = self.app.now() + self.settings.lease();
        loop {
            tokio::time::sleep(self.settings.lease() / 3).await;
            let next = self.app.now() + self.settings.lease();
            match store::extend(&self.app.db, held, next).await {
                Ok(true) => until = next,
                Ok(false) => return StepEnd::LeaseLost,
                Err(error) if self.app.now() >= until => return StepEnd::Stopped(error),
                Err(error) => tracing::debug!(%error, "a lease was not renewed; trying again"),
            }
        }
    }

    async fn fail(&self, held: Held, row: &provisioning_step::Model, failure: StepFailure) -> Result<(), StoreError> {
        let now = self.app.now();
        let reason = failure.reason.as_str();
        if !failure.retryable {
            return self.end(held, company::State::Failed, Some((row, reason))).await;
        }
        let spread = held.company.0.as_u128() as u32;
        let again_at = now + self.settings.backoff(row.attempts, spread);
        let tx = self.app.db.begin().await?;
        if store::release(&tx, held, again_at).await? {
            store::fail_step(&tx, row, reason, Some(again_at), now).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Ends provisioning, with its event, under the lease's fence; with the step
    /// that failed and why, if one did.
    async fn end(
        &self,
        held: Held,
        state: company::State,
        failed: Option<(&provisioning_step::Model, &str)>,
    ) -> Result<(), StoreError> {
        let now: DateTime<Utc> = self.app.now();
        let tx = self.app.db.begin().await?;
        let kind = if state == company::State::Active { "company.activated" } else { "company.failed" };
        let reason = failed.map(|(row, error)| format!("{}: {error}", row.name));
        let payload = json!({ "reason": reason });
        let ours = store::release(&tx, held, now).await?;
        if let Some((row, error)) = failed.filter(|_| ours) {
            store::fail_step(&tx, row, error, None, now).await?;
        }
        if ours && companies::end_provisioning(&tx, held.company, state, reason, now).await? {
            let id = EventId::new(&*self.app.ids);
            events::append(&tx, events::NewEvent { id, company: Some(held.company), kind, actor: ACTOR, payload }, now)
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_is_spread_by_a_quarter() {
        let settings = WorkerSettings::default();
        assert_eq!(settings.backoff(0, 0), Duration::from_millis(500));
        assert_eq!(settings.backoff(3, 0), Duration::from_millis(4_000));
        assert_eq!(settings.backoff(1_000, 0), Duration::from_millis(30_000));
        for spread in 0..=255 {
            let wait = settings.backoff(0, spread);
            assert!((Duration::from_millis(375)..=Duration::from_millis(500)).contains(&wait), "{wait:?}");
        }
    }
}
