//! Takes companies by lease and runs their steps: those that make a database, or
//! those that remove it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::EventId;
use tenantry_rpc::{Reason, Shutdown, failpoint};
use tenantry_telemetry::propagation;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use super::steps::{self, StepFailure};
use super::times::StepTimes;
use super::{Progress, WorkerSettings};
use crate::app::{App, lifecycle};
use crate::domain::{Action, State, Step, Transition, Work, transition};
use crate::store::entities::{company, provisioning_step};
use crate::store::provisioning::{self as store, Due, Held, NEVER_TAKEN};
use crate::store::{StoreError, changes, companies, events, people, plugins, rotations};

/// The event log's name for what the pipeline does.
const ACTOR: &str = "service:catalog";

/// Why a step did not get done here.
pub(super) enum StepEnd {
    Failed(StepFailure),
    /// The central database is away; the lease runs out and somebody goes on.
    Stopped(StoreError),
    LeaseLost,
}

fn earliest(known: &mut Option<DateTime<Utc>>, other: Option<DateTime<Utc>>) {
    *known = [*known, other].into_iter().flatten().min();
}

/// The span of work under a lease. The first time somebody waits for it, in the trace of what asked for it; afterwards
/// it is a trace of its own, with a link to that.
fn span_of(held: Held, seen: Held, cause: Option<&str>) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "provision",
        "tenantry.tenant" = %held.company,
        fence = held.fence,
        trace_id = Empty
    );
    match cause {
        Some(cause) if seen.fence == NEVER_TAKEN => propagation::set_parent_text(&span, cause),
        Some(cause) => propagation::link_text(&span, cause),
        None => {}
    }
    propagation::name_trace(&span);
    span
}

/// The pipeline's worker in one process.
pub(crate) struct Worker {
    pub(crate) app: Arc<App>,
    pub(crate) settings: WorkerSettings,
    /// This process, as leases name it.
    pub(crate) name: String,
    pub(crate) times: StepTimes,
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
        lifecycle::purge_overdue(&self.app, ACTOR, room as u64).await?;
        let now = self.app.now();
        let mut due = store::due(&self.app.db, now, room as u64).await?;
        if !self.app.hooks.is_empty() {
            due.extend(store::due_in_background(&self.app.db, now, room as u64).await?);
        }
        for Due { seen, trace_parent } in due {
            let Ok(permit) = at_once.clone().try_acquire_owned() else { return Ok(()) };
            let Some(held) = store::acquire(&self.app.db, seen, &self.name, now, now + self.settings.lease()).await?
            else {
                continue;
            };
            let worker = self.clone();
            let span = span_of(held, seen, trace_parent.as_deref());
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
        let Some(company) = companies::find(&self.app.db, held.company).await? else { return Ok(()) };
        let Some(work) = Work::of(company.state, company.purge_begun_at.is_some()) else { return Ok(()) };
        let mut again_at = None;
        for row in store::steps(&self.app.db, held.company).await? {
            if row.state == provisioning_step::State::Done || Work::at(row.position) != work {
                continue;
            }
            if work.is_in_background() && !self.is_due(&row, &mut again_at) {
                continue;
            }
            if !self.begin(held, &row).await? {
                return Ok(()); // Somebody else holds the lease.
            }
            match self.run_step(held, &company, &row).await {
                Ok(()) => {}
                Err(StepEnd::Failed(failure)) if work.is_in_background() => {
                    earliest(&mut again_at, self.put_off(held, &row, failure).await?);
                    continue;
                }
                Err(StepEnd::Failed(failure)) => return self.fail(held, &row, failure).await,
                Err(StepEnd::Stopped(error)) => return Err(error),
                Err(StepEnd::LeaseLost) => return Ok(()),
            }
            if !self.finish(held, &row).await? {
                return Ok(()); // Somebody else holds the lease.
            }
        }
        match work {
            Work::Provision => self.end(held, Action::Activate, None).await,
            Work::Purge => self.end(held, Action::FinishPurge, None).await,
            Work::AfterProvision | Work::AfterPurge => {
                store::release(&self.app.db, held, again_at.unwrap_or_else(|| self.app.now())).await.map(drop)
            }
        }
    }

    /// Whether a step's time has come; if not, the lease is to be taken again by then.
    fn is_due(&self, row: &provisioning_step::Model, again_at: &mut Option<DateTime<Utc>>) -> bool {
        if row.state == provisioning_step::State::Failed {
            return false;
        }
        let is_due = row.next_attempt_at <= self.app.now();
        if !is_due {
            earliest(again_at, Some(row.next_attempt_at));
        }
        is_due
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
    async fn run_step(
        &self,
        held: Held,
        company: &company::Model,
        row: &provisioning_step::Model,
    ) -> Result<(), StepEnd> {
        let since = Instant::now();
        let ended = self.run_step_once(held, company, row).await;
        self.times.ended(&row.name, since.elapsed(), &ended);
        ended
    }

    async fn run_step_once(
        &self,
        held: Held,
        company: &company::Model,
        row: &provisioning_step::Model,
    ) -> Result<(), StepEnd> {
        let unknown = StepFailure { reason: Reason::Internal, retryable: true };
        let step = Step::named(&row.name).ok_or(StepEnd::Failed(unknown))?;
        let attempt = row.attempts + 1;
        let span = tracing::info_span!(
            "provisioning step",
            "otel.name" = row.name,
            "otel.status_code" = Empty,
            "error.type" = Empty,
            attempt
        );
        let work = async {
            let limit = self.settings.step_timeout();
            failpoint::reach(&format!("{}:before", row.name))?;
            steps::run(&self.app, &step, company, attempt, limit).await?;
            if failpoint::is_twice(&row.name) {
                steps::run(&self.app, &step, company, attempt, limit).await?;
            }
            Ok(failpoint::reach(&format!("{}:after", row.name))?)
        };
        let work = work.instrument(span.clone());
        tokio::select! {
            done = work => done.map_err(|failure: StepFailure| {
                tenantry_telemetry::failed(&span, failure.reason.as_str());
                StepEnd::Failed(failure)
            }),
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
        if !failure.retryable && Work::at(row.position).can_fail() {
            return self.end(held, Action::Fail, Some((row, reason))).await;
        }
        let again_at = self.again_at(held, row);
        let tx = self.app.db.begin().await?;
        if store::release(&tx, held, again_at).await? {
            store::fail_step(&tx, row, reason, Some(again_at), now).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// As [`fail`](Self::fail), of a step that nobody waits for: the lease is kept for the next one. When it is tried
    /// again, if it is.
    async fn put_off(
        &self,
        held: Held,
        row: &provisioning_step::Model,
        failure: StepFailure,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let now = self.app.now();
        let is_tried_again = failure.retryable || !Work::at(row.position).can_fail();
        let again_at = is_tried_again.then(|| self.again_at(held, row));
        let tx = self.app.db.begin().await?;
        if store::extend(&tx, held, now + self.settings.lease()).await? {
            store::fail_step(&tx, row, failure.reason.as_str(), again_at, now).await?;
            tx.commit().await?;
        }
        Ok(again_at)
    }

    fn again_at(&self, held: Held, row: &provisioning_step::Model) -> DateTime<Utc> {
        let spread = held.company.0.as_u128() as u32;
        self.app.now() + self.settings.backoff(row.attempts, spread)
    }

    /// Ends the work, with its event, under the lease's fence; with the step that
    /// failed and why, if one did.
    async fn end(
        &self,
        held: Held,
        action: Action,
        failed: Option<(&provisioning_step::Model, &str)>,
    ) -> Result<(), StoreError> {
        let now: DateTime<Utc> = self.app.now();
        let tx = self.app.db.begin().await?;
        if !store::release(&tx, held, now).await? {
            return Ok(()); // Somebody else holds the lease.
        }
        if let Some((row, error)) = failed {
            store::fail_step(&tx, row, error, None, now).await?;
        }
        let Some(before) = companies::find(&tx, held.company).await? else { return Ok(()) };
        let Ok(Transition::Becomes(state)) = transition(action, lifecycle::standing(&before)) else { return Ok(()) };
        let reason = failed.map(|(row, error)| format!("{}: {error}", row.name));
        if !companies::advance(&tx, held.company, (action, state), reason.clone(), now).await? {
            return Ok(());
        }
        let mut payload = json!({ "from": before.state.as_str(), "to": state.as_str(), "reason": reason });
        if state == State::Active {
            let database = companies::database_of(&tx, held.company).await?;
            payload["schema_version"] = json!(database.and_then(|database| database.schema_version));
        }
        if state == State::Purged {
            payload["slug"] = json!(before.slug);
            payload["deleted_from"] = json!(before.deleted_from.map(State::as_str));
            people::remove_members(&tx, held.company).await?;
            companies::forget(&tx, held.company).await?;
            rotations::forget(&tx, held.company).await?;
            plugins::forget(&tx, held.company).await?;
        }
        let id = EventId::new(&*self.app.ids);
        let event = events::NewEvent { id, company: Some(held.company), kind: action.event(), actor: ACTOR, payload };
        events::append(&tx, event, now).await?;
        changes::append(&tx, [held.company], now).await?;
        tx.commit().await?;
        self.app.changes.wake();
        Ok(())
    }
}
