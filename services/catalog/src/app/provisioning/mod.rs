//! The durable pipeline that makes a company's database, and that removes it: steps
//! in rows, taken by lease, each idempotent, so that any replica finishes what
//! another began.

mod settings;
mod steps;
mod times;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error, Reason};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;

pub use settings::WorkerSettings;
pub(crate) use steps::{MigratorClient, StepFailure, verifier_of};
pub(crate) use times::StepTimes;
pub(crate) use worker::Worker;

use super::App;
use super::companies::{CompanyView, view};
use crate::domain::Work;
use crate::store::entities::{company, provisioning_step};

/// How often a waiting call looks for itself: another replica may be at work.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From which failed attempt on a waiting caller is told. The first one may be a passing moment.
const TOLD_AFTER: i32 = 2;
/// What is kept of the deadline for answering.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// Wakes workers and those who wait, within this process.
#[derive(Clone)]
pub(crate) struct Progress {
    work: Arc<Notify>,
    changed: broadcast::Sender<CompanyId>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { work: Arc::default(), changed: broadcast::channel(1024).0 }
    }

    /// There is something to do.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    pub(crate) async fn woken(&self) {
        self.work.notified().await;
    }

    pub(crate) fn changed(&self, company: CompanyId) {
        // Nobody waits: nobody needs to know.
        let _ = self.changed.send(company);
    }

    /// Hears of every company that has changed from now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<CompanyId> {
        self.changed.subscribe()
    }
}

/// Waits until the work has an outcome to tell, or until shortly before the
/// call's deadline; then the company is returned as it is.
pub(crate) async fn wait(app: &App, context: &Context, id: CompanyId) -> Result<CompanyView, Error> {
    let mut changed = app.progress.subscribe();
    let deadline = context.deadline().checked_sub(ANSWER_TIME).unwrap_or_else(Instant::now);
    loop {
        let seen = view(app, id).await?;
        if let Some(outcome) = outcome(&seen) {
            return outcome.map(|()| seen);
        }
        let look_at = (Instant::now() + LOOK_EVERY).min(deadline);
        if Instant::now() >= deadline {
            return Ok(seen);
        }
        let news = async { while changed.recv().await.is_ok_and(|company| company != id) {} };
        // Either way the company is looked at again.
        let _ = tokio::time::timeout_at(look_at, news).await;
    }
}

/// What there is to tell, if anything yet.
fn outcome(seen: &CompanyView) -> Option<Result<(), Error>> {
    match seen.company.state {
        company::State::Provisioning => trouble(seen, Work::Provision).map(Err),
        company::State::Deleted if seen.company.purge_begun_at.is_some() => trouble(seen, Work::Purge).map(Err),
        company::State::Failed => {
            let why = seen.company.state_reason.clone().unwrap_or_default();
            let message = format!("the company could not be made ready ({why}); an operator has to look");
            Some(Err(Error::new(Reason::ProvisioningFailed, message).with("company_id", seen.company.id.to_string())))
        }
        company::State::Active
        | company::State::Suspended
        | company::State::Maintenance
        | company::State::Deleted
        | company::State::Purged => Some(Ok(())),
    }
}

/// A step that failed and failed again: it is tried on by itself, and the caller need not wait.
fn trouble(seen: &CompanyView, work: Work) -> Option<Error> {
    let told = |step: &&provisioning_step::Model| Work::at(step.position) == work && step.attempts >= TOLD_AFTER;
    let mut steps = seen.steps.iter().filter(told);
    let (step, error) = steps.find_map(|step| Some((step, step.last_error.as_deref()?)))?;
    let reason = match error.parse() {
        Ok(Reason::DatabaseServerUnavailable) => Reason::DatabaseServerUnavailable,
        Ok(Reason::DatabaseServerFull) => Reason::DatabaseServerFull,
        Ok(Reason::HookUnavailable | Reason::HookNotConfigured) => Reason::HookUnavailable,
        _ => Reason::MigratorUnavailable,
    };
    let message = match work {
        Work::Provision | Work::AfterProvision => {
            "the company is registered and cannot be made ready at the moment; it finishes by itself: \
             repeat the call with the same request_id, or sign in later"
        }
        Work::Purge | Work::AfterPurge => {
            "the purge has begun and cannot go on at the moment; it finishes by itself: \
             look again later"
        }
    };
    Some(
        Error::new(reason, message)
            .retry_after(Duration::from_secs(2))
            .with("company_id", step.company_id.to_string())
            .with("step", step.name.clone()),
    )
}
