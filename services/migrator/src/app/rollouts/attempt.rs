//! What happens to one database.

use std::time::Duration;

use tenantry_ids::RunId;
use tenantry_migration::{MigrationSet, Rollback, Run, migrate, migrate_from, rollback, status};
use tenantry_rpc::{Error, Reason};

use crate::app::{App, credentials};
use crate::ident::{Ident, Logins};
use crate::servers::{AdminDb, Goal, ServerError};
use crate::store::claims::{Claim, ClaimState};
use crate::store::rollouts::{End, Rollout, Target};

/// How an attempt ended, and where it left the database.
pub(crate) struct Outcome {
    pub(crate) target: Target,
    pub(crate) end: End,
    /// Migrations applied or taken back in this rollout so far that were not counted yet.
    pub(crate) changes: i32,
    /// The version that it has now, where that can be told.
    pub(crate) version: Option<String>,
}

impl Outcome {
    pub(crate) fn of_panic(target: Target) -> Self {
        let message = "the attempt panicked; the migrator's log says where".to_owned();
        let end = End::Failed { reason: Reason::Internal.as_str(), message, against_budget: true };
        Self { target, end, changes: 0, version: None }
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
        Ok(Some(Done { changes, version })) => Outcome { target, end: End::Succeeded, changes, version },
        Ok(None) => Outcome { target, end: End::Gone, changes: 0, version: None },
        Err(error) => {
            let end = end_of(app, rollout, &target, patience, &error);
            tracing::warn!(
                reason = error.reason().as_str(),
                error = &error as &dyn std::error::Error,
                attempt = target.attempts,
                again = matches!(end, End::Again { .. }),
                "a rollout's target failed"
            );
            Outcome { target, end, changes: 0, version: None }
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

async fn change(
    app: &App,
    rollout: &Rollout,
    target: &Target,
    db: &AdminDb,
    patience: &Patience,
) -> Result<Done, ServerError> {
    let unknown = || ServerError::Config(format!("no migrations of {}", rollout.set_name));
    let (set, raw) = (app.set_named(&rollout.set_name).ok_or_else(unknown)?, db.raw());
    // The rollout's own id in every ledger: what it applied can be told, and taken back, for ever.
    let run = app.limited(Run::new(rollout.id.0, app.now()).lock_wait(patience.lock_wait));
    let start = target.start_version.as_deref().unwrap_or_default();
    let applied = match (&rollout.target_version, rollout.rollback_of) {
        (Some(version), _) if start > version.as_str() => rollback(raw, set, Rollback::To(version), &run).await?,
        (Some(version), _) => {
            let applied = migrate_from(raw, set, start, Some(version), &run).await?;
            if let Some(last) = applied.versions().last() {
                let changes = count(applied.done.len());
                return Ok(Done { changes, version: Some(last.max(start).to_owned()) });
            }
            applied
        }
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
