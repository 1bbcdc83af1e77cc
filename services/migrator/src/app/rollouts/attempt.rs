//! What happens to one database.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_ids::RunId;
use tenantry_migration::{MigrationSet, Rollback, Run, migrate, rollback, status};
use tenantry_rpc::{Error, Reason};

use crate::app::{App, credentials};
use crate::ident::{Ident, Logins};
use crate::servers::{AdminDb, DatabaseServer, Goal, ServerError};
use crate::store::claims::{Claim, ClaimState};
use crate::store::rollouts::{End, Rollout, Settlement, Target};

/// How an attempt at a target ended.
pub(crate) struct Outcome {
    pub(crate) target: Target,
    pub(crate) settlement: Settlement,
}

impl Outcome {
    fn new(target: Target, end: End) -> Self {
        Self { target, settlement: Settlement { end, changes: 0, version: None } }
    }

    /// By the clock of whoever took the target.
    pub(crate) fn took(&self, now: DateTime<Utc>) -> Option<Duration> {
        (now - self.target.started_at?).to_std().ok()
    }

    pub(crate) fn of_panic(target: Target) -> Self {
        let message = "the attempt panicked; the migrator's log says where".to_owned();
        Self::new(target, End::Failed { reason: Reason::Internal.as_str(), message, against_budget: true })
    }
}

/// How failures are met.
pub(crate) struct Patience {
    pub(crate) lock_wait: Duration,
    pub(crate) backoff: Duration,
    pub(crate) max_backoff: Duration,
}

/// Brings one database where the rollout wants it.
pub(crate) async fn attempt(
    app: &App,
    rollout: &Rollout,
    (target, claim): (Target, Option<Claim>),
    patience: &Patience,
) -> Outcome {
    match on_database(app, rollout, (&target, claim), patience).await {
        Ok(Some(Done { changes, version })) => {
            Outcome { target, settlement: Settlement { end: End::Succeeded, changes, version } }
        }
        Ok(None) => Outcome::new(target, End::Gone),
        Err(error) => {
            let end = end_of(app, rollout, &target, patience, &error);
            tracing::warn!(
                reason = error.reason().as_str(),
                error = &error as &dyn std::error::Error,
                attempt = target.attempts,
                again = matches!(end, End::Again { .. }),
                "a rollout's target failed"
            );
            Outcome::new(target, end)
        }
    }
}

struct Done {
    changes: i32,
    version: Option<String>,
}

async fn on_database(
    app: &App,
    rollout: &Rollout,
    (target, claim): (&Target, Option<Claim>),
    patience: &Patience,
) -> Result<Option<Done>, Error> {
    let Some(claim) = claim.filter(|claim| claim.state == ClaimState::Ready) else { return Ok(None) };
    let server = app.servers.named(&target.server)?;
    let name = Ident::new(&target.database_name)?;
    if let Some(done) = at_once(app, rollout, target, (server, &name), patience).await? {
        return Ok(Some(done));
    }
    let db = server.open(&name).await?;
    let done = change(app, rollout, target, &db, patience).await;
    let closed = db.close().await;
    let done = done?;
    if done.changes > 0 {
        let logins = credentials::logins_if_any(app, &claim)?;
        let roles = logins.iter().flat_map(Logins::both).collect::<Vec<_>>();
        server.settle(&name, &roles).await?;
    }
    closed?;
    Ok(Some(done))
}

/// Upwards from where it is believed to be, where the engine can do that without a look before it.
async fn at_once(
    app: &App,
    rollout: &Rollout,
    target: &Target,
    (server, name): (&DatabaseServer, &Ident),
    patience: &Patience,
) -> Result<Option<Done>, ServerError> {
    let (Some(version), Some(start)) = (&rollout.target_version, &target.start_version) else { return Ok(None) };
    let (set, run) = (set_of(app, rollout)?, run_of(app, rollout, patience));
    let applied = server.migrate_at_once(name, set, (start, version), &run).await?;
    Ok(applied.and_then(|applied| {
        let version = applied.versions().last().map(|last| last.max(start).to_owned());
        version.map(|version| Done { changes: count(applied.done.len()), version: Some(version) })
    }))
}

fn set_of<'a>(app: &'a App, rollout: &Rollout) -> Result<&'a MigrationSet, ServerError> {
    let unknown = || ServerError::Config(format!("no migrations of {}", rollout.set_name));
    app.set_named(&rollout.set_name).ok_or_else(unknown)
}

/// The rollout's own id in every ledger: what it applied can be told, and taken back, for ever.
fn run_of(app: &App, rollout: &Rollout, patience: &Patience) -> Run {
    app.limited(Run::new(rollout.id.0, app.now()).lock_wait(patience.lock_wait))
}

async fn change(
    app: &App,
    rollout: &Rollout,
    target: &Target,
    db: &AdminDb,
    patience: &Patience,
) -> Result<Done, ServerError> {
    let (set, raw, run) = (set_of(app, rollout)?, db.raw(), run_of(app, rollout, patience));
    let start = target.start_version.as_deref().unwrap_or_default();
    let applied = match (&rollout.target_version, rollout.rollback_of) {
        (Some(version), _) if start > version.as_str() => rollback(raw, set, Rollback::To(version), &run).await?,
        (Some(version), _) => migrate(raw, set, Some(version), &run).await?,
        (None, Some(original)) => rollback(raw, set, Rollback::Run(original.0), &run).await?,
        (None, None) => return Err(ServerError::Config("a rollout without a goal".to_owned())),
    };
    // Nothing to apply, or something taken back: an earlier attempt may have done it and died before it could say so.
    let now = status(raw, set).await?;
    let of_this_run = now.applied.iter().filter(|entry| entry.run == rollout.id.0).count();
    let changes = count(applied.done.len().max(of_this_run));
    Ok(Done { changes, version: Some(now.version().unwrap_or_default().to_owned()) })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn end_of(app: &App, rollout: &Rollout, target: &Target, patience: &Patience, error: &Error) -> End {
    let (reason, message) = (error.reason().as_str(), error.to_string());
    if is_transient(error.reason()) && target.attempts < rollout.max_attempts {
        let doublings = u32::try_from(target.attempts.clamp(1, 16) - 1).unwrap_or(0);
        let wait = patience.backoff.saturating_mul(1 << doublings).min(patience.max_backoff);
        return End::Again { at: app.now() + wait, reason, message };
    }
    // A database that is not there says nothing about the migration.
    End::Failed { reason, message, against_budget: error.reason() != Reason::DatabaseMissing }
}

/// Whether trying again can help without anybody's doing.
fn is_transient(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DatabaseServerUnavailable
            | Reason::DatabaseServerFull
            | Reason::DatabaseUnavailable
            | Reason::MigrationInProgress
            | Reason::MigrationBlocked
            | Reason::Overloaded
    )
}

/// What proves a rollout's statements before they meet anybody's data: they build a database from nothing.
pub(crate) async fn rehearse(app: &App, rollout: &Rollout, server: &str) -> Result<(), Error> {
    let Some(version) = &rollout.target_version else { return Ok(()) };
    let run = app.limited(Run::new(rollout.id.0, app.now()));
    if let Some(plugin) = app.plugins.of_set(&rollout.set_name) {
        let plugin = plugin.up_to(version).map_err(ServerError::from)?;
        return rehearse_plugin(app, &plugin, server, &run).await;
    }
    let set = app.tenant_set.up_to(version).map_err(ServerError::from)?;
    let scratch = app.prefix.with(&format!("rehearsal_{}", rollout.id.to_base32()))?;
    Ok(app.servers.named(server)?.rehearse(&set, &run, &scratch).await?)
}

/// A plugin's tables stand on those that every company has.
async fn rehearse_plugin(app: &App, plugin: &MigrationSet, server: &str, run: &Run) -> Result<(), Error> {
    let server = app.servers.named(server)?;
    let mut scratch = server.hold_scratch(app.prefix.scratch(RunId(run.id))?, &app.prefix.scratches()?).await?;
    let tried = async {
        scratch.make(Goal { set: &app.tenant_set, version: None }, run).await?;
        let db = scratch.open().await?;
        let applied = migrate(db.raw(), plugin, None, run).await;
        db.close().await?;
        applied?;
        Ok::<_, ServerError>(())
    };
    let tried = tried.await;
    scratch.drop_database().await?;
    Ok(tried?)
}
