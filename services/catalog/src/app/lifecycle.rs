//! What operators do to companies, and what ends by itself. Each is one
//! transaction: the company's next revision, what follows from it, and its event.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tenantry_ids::{CompanyId, EventId};
use tenantry_rpc::{Context, Error, Reason};

use super::attempt::{Attempt, repeat};
use super::companies::{CompanyView, not_found, with_steps};
use super::{App, provisioning};
use crate::domain::{Action, Refusal, Standing, State, Transition, transition};
use crate::store::entities::company;
use crate::store::{CentralTx, StoreError, changes, companies, events, provisioning as steps};

/// A change that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) action: Action,
    /// Why; empty where there is nothing to say.
    pub(crate) reason: String,
    /// What callers are told in maintenance, in seconds.
    pub(crate) retry_s: Option<i32>,
    /// The revision that the company must still have.
    pub(crate) revision: Option<i64>,
    /// Say what would come of it, and write nothing.
    pub(crate) validate_only: bool,
    /// Do not wait for the end of the grace.
    pub(crate) force: bool,
}

impl Ask {
    pub(crate) fn to(action: Action) -> Self {
        Self { action, reason: String::new(), retry_s: None, revision: None, validate_only: false, force: false }
    }
}

/// Does it, once: a company that it was done to already is returned as it is.
pub(crate) async fn apply(app: &App, context: &Context, id: CompanyId, ask: &Ask) -> Result<CompanyView, Error> {
    let actor = context.caller().subject();
    let company = repeat(|| attempt(app, &actor, id, ask)).await?;
    app.progress.wake();
    app.changes.wake();
    with_steps(app, company).await
}

/// Does what the pipeline then goes on with, and waits for its end if asked.
pub(crate) async fn begin(
    app: &App,
    context: &Context,
    id: CompanyId,
    ask: &Ask,
    wait: bool,
) -> Result<CompanyView, Error> {
    let begun = apply(app, context, id, ask).await?;
    if wait && !ask.validate_only { provisioning::wait(app, context, id).await } else { Ok(begun) }
}

/// Begins the purge of every company whose grace has ended; how many there were.
pub(super) async fn purge_overdue(app: &App, actor: &str, limit: u64) -> Result<usize, StoreError> {
    let overdue = companies::grace_over(&app.db, app.now(), limit).await?;
    for id in &overdue {
        match attempt(app, actor, *id, &Ask::to(Action::BeginPurge)).await {
            Ok(_) => {
                app.changes.wake();
                tracing::info!(tenant = %id, "the grace of a deleted company has ended; its purge begins");
            }
            // Another replica was faster, or somebody has undeleted it. The next look tells.
            Err(Attempt::Again) => {}
            Err(Attempt::Failed(error)) => tracing::warn!(tenant = %id, %error, "a purge cannot begin"),
        }
    }
    Ok(overdue.len())
}

async fn attempt(app: &App, actor: &str, id: CompanyId, ask: &Ask) -> Result<company::Model, Attempt> {
    let now = app.now();
    let tx = app.db.begin().await?;
    let before = companies::find(&tx, id).await?.ok_or_else(not_found)?;
    let state = match transition(ask.action, standing(&before)).map_err(refused)? {
        Transition::Already => {
            if ask.action == Action::RetryProvisioning && before.state == State::Active && !ask.validate_only {
                // Hooks that nobody waits for may have refused.
                steps::begin_anew(&tx, id, now).await?;
                tx.commit().await?;
            }
            return Ok(before);
        }
        Transition::Becomes(state) => state,
    };
    expect_revision(&before, ask.revision)?;
    check_grace(&before, ask, now)?;
    let after = after(&before, ask, state, now, app.settings.deletion_grace);
    if ask.validate_only {
        return Ok(after);
    }
    let payload = json!({
        "from": before.state.as_str(), "to": state.as_str(), "reason": ask.reason, "access_epoch": after.access_epoch,
    });
    let saved = save(app, &tx, (&before, after), (ask.action, payload), actor).await?;
    match ask.action {
        Action::BeginPurge => steps::insert_purge(&tx, id, app.hooks.turns(), now).await?,
        Action::RetryProvisioning => steps::begin_anew(&tx, id, now).await?,
        Action::Suspend
        | Action::Resume
        | Action::EnterMaintenance
        | Action::LeaveMaintenance
        | Action::Delete
        | Action::Undelete
        | Action::Update
        | Action::RotateCredential
        | Action::SignOutEveryone
        | Action::Activate
        | Action::Fail
        | Action::FinishPurge => {}
    }
    changes::append(&tx, [id], now).await?;
    tx.commit().await?;
    Ok(saved)
}

/// Writes a company's next revision with the event that tells of it.
pub(super) async fn save(
    app: &App,
    tx: &CentralTx,
    (before, after): (&company::Model, company::Model),
    (action, payload): (Action, Value),
    actor: &str,
) -> Result<company::Model, Attempt> {
    let now = app.now();
    let saved = companies::save(tx, before, after, now).await?.ok_or(Attempt::Again)?;
    let id = EventId::new(&*app.ids);
    let event = events::NewEvent { id, company: Some(saved.id), kind: action.event(), actor, payload };
    events::append(tx, event, now).await?;
    Ok(saved)
}

/// The company as the change leaves it, but for revision and time.
fn after(before: &company::Model, ask: &Ask, state: State, now: DateTime<Utc>, grace: Duration) -> company::Model {
    let mut after = company::Model { state, ..before.clone() };
    match ask.action {
        Action::Suspend => {
            after.access_epoch += 1;
            after.state_reason = Some(ask.reason.clone());
            after.maintenance_retry_s = None;
        }
        Action::SignOutEveryone => after.access_epoch += 1,
        Action::EnterMaintenance => {
            after.state_reason = Some(ask.reason.clone());
            after.maintenance_retry_s = ask.retry_s;
        }
        Action::Resume | Action::LeaveMaintenance | Action::RetryProvisioning => {
            after.state_reason = None;
            after.maintenance_retry_s = None;
        }
        // Why it was shut out or failed stays, for when it is undeleted.
        Action::Delete => {
            after.deleted_from = Some(before.state);
            after.purge_at = Some(now + grace);
        }
        Action::Undelete => {
            after.deleted_from = None;
            after.purge_at = None;
        }
        Action::BeginPurge => {
            after.deleted_from = before.deleted_from.or(Some(before.state));
            after.purge_at = Some(before.purge_at.map_or(now, |at| at.min(now)));
            after.purge_begun_at = Some(now);
        }
        Action::Update | Action::RotateCredential | Action::Activate | Action::Fail | Action::FinishPurge => {}
    }
    after
}

/// A deleted company is not purged before its time, unless by force. One that
/// never came to be has nothing to wait for.
fn check_grace(before: &company::Model, ask: &Ask, now: DateTime<Utc>) -> Result<(), Error> {
    let Some(purge_at) = before.purge_at.filter(|at| *at > now) else { return Ok(()) };
    if ask.action != Action::BeginPurge || ask.force {
        return Ok(());
    }
    let time = purge_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let message = format!("the company can be undeleted until {time}; purge it then, or with force");
    Err(Error::new(Reason::GraceNotOver, message).with("purge_time", time))
}

pub(super) fn expect_revision(before: &company::Model, revision: Option<i64>) -> Result<(), Error> {
    match revision {
        Some(revision) if revision != before.revision => {
            Err(Error::new(Reason::EtagMismatch, "somebody else has changed the company; read it again"))
        }
        _ => Ok(()),
    }
}

pub(super) fn standing(company: &company::Model) -> Standing {
    let purging = company.purge_begun_at.is_some();
    Standing { state: company.state, deleted_from: company.deleted_from, purging }
}

pub(super) fn refused(refusal: Refusal) -> Error {
    let allowed: Vec<_> = refusal.allowed.iter().map(|state| state.as_str()).collect();
    Error::new(Reason::CompanyState, refusal.to_string())
        .with("state", refusal.standing.state.as_str())
        .with("allowed", allowed.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    #[test]
    fn a_grace_ends_at_its_second() {
        let deleted = after(
            &company::Model::example(State::Active),
            &Ask::to(Action::Delete),
            State::Deleted,
            at(0),
            Duration::from_secs(10),
        );
        let purge = Ask::to(Action::BeginPurge);
        let refused = check_grace(&deleted, &purge, at(9)).expect_err("a refusal");
        assert_eq!(refused.reason(), Reason::GraceNotOver);
        assert!(check_grace(&deleted, &purge, at(10)).is_ok());
        assert!(check_grace(&deleted, &Ask { force: true, ..purge }, at(0)).is_ok());
        assert!(check_grace(&company::Model::example(State::Failed), &Ask::to(Action::BeginPurge), at(0)).is_ok());
    }

    #[test]
    fn a_suspension_makes_older_tokens_stale_and_outlives_a_deletion() {
        let ask = Ask { reason: "unpaid".to_owned(), ..Ask::to(Action::Suspend) };
        let suspended = after(&company::Model::example(State::Active), &ask, State::Suspended, at(0), Duration::ZERO);
        assert_eq!(suspended.access_epoch, 2);
        let deleted = after(&suspended, &Ask::to(Action::Delete), State::Deleted, at(1), Duration::ZERO);
        let Ok(Transition::Becomes(state)) = transition(Action::Undelete, standing(&deleted)) else {
            panic!("a deleted company can be undeleted")
        };
        let undeleted = after(&deleted, &Ask::to(Action::Undelete), state, at(2), Duration::ZERO);
        assert_eq!((undeleted.state, undeleted.state_reason.as_deref()), (State::Suspended, Some("unpaid")));
        assert_eq!((undeleted.purge_at, undeleted.deleted_from), (None, None));
    }
}
