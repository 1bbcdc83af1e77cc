//! What companies may ask for, by what they have booked.

use serde_json::{Value, json};
use tenantry_ids::EventId;
use tenantry_rpc::{Context, Error, Reason};

use super::App;
use super::attempt::{Attempt, repeat};
use crate::domain::Limits;
use crate::store::entities::plan::Model;
use crate::store::{CentralTx, changes, events, plans};

/// A plan as it is to be.
pub(crate) struct Wanted {
    pub(crate) name: String,
    /// It is to be of this revision.
    pub(crate) revision: Option<i64>,
    /// Only these of its limits change; `None` stays as it is.
    pub(crate) requests_per_second: Option<i32>,
    pub(crate) concurrent_requests: Option<i32>,
    pub(crate) connections: Option<i32>,
    /// It need not be there yet.
    pub(crate) allow_missing: bool,
}

pub(crate) async fn get(app: &App, name: &str) -> Result<Model, Error> {
    plans::find(&app.db, name).await?.ok_or_else(not_found)
}

pub(crate) async fn list(app: &App) -> Result<Vec<Model>, Error> {
    Ok(plans::all(&app.db).await?)
}

/// Changes a plan, or makes it, and tells the data plane of every company that has booked it.
pub(crate) async fn update(app: &App, context: &Context, wanted: &Wanted) -> Result<Model, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_update(app, &actor, wanted)).await?;
    app.changes.wake();
    get(app, &wanted.name).await
}

async fn attempt_update(app: &App, actor: &str, wanted: &Wanted) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let now = app.now();
    let Some(before) = plans::find(&tx, &wanted.name).await? else {
        if !wanted.allow_missing {
            return Err(not_found().into());
        }
        let (name, created_at, updated_at) = (wanted.name.clone(), now, now);
        let Limits { requests_per_second, concurrent_requests, connections } = wanted.applied_to(Limits::default());
        let row =
            Model { name, requests_per_second, concurrent_requests, connections, revision: 1, created_at, updated_at };
        let after = row.limits().to_json();
        plans::insert(&tx, row).await?;
        return tell(app, tx, "plan.created", actor, (&wanted.name, json!({ "after": after }))).await;
    };
    expect_revision(&before, wanted.revision)?;
    let limits = wanted.applied_to(before.limits());
    if limits == before.limits() {
        return Ok(());
    }
    let Limits { requests_per_second, concurrent_requests, connections } = limits;
    let after = Model { requests_per_second, concurrent_requests, connections, ..before.clone() };
    if !plans::save(&tx, &before, after, now).await? {
        return Err(Attempt::Again);
    }
    let payload = json!({ "before": before.limits().to_json(), "after": limits.to_json() });
    tell(app, tx, "plan.updated", actor, (&wanted.name, payload)).await
}

/// Removes a plan. Companies keep its name, and have no limits by it any more.
pub(crate) async fn delete(app: &App, context: &Context, name: &str, revision: Option<i64>) -> Result<(), Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_deletion(app, &actor, name, revision)).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt_deletion(app: &App, actor: &str, name: &str, revision: Option<i64>) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let before = plans::find(&tx, name).await?.ok_or_else(not_found)?;
    expect_revision(&before, revision)?;
    if !plans::remove(&tx, &before).await? {
        return Err(Attempt::Again);
    }
    tell(app, tx, "plan.deleted", actor, (name, json!({ "before": before.limits().to_json() }))).await
}

/// Commits, with the event and what the data plane has to hear of.
async fn tell(
    app: &App,
    tx: CentralTx,
    kind: &'static str,
    actor: &str,
    (name, mut payload): (&str, Value),
) -> Result<(), Attempt> {
    payload["plan"] = name.into();
    let now = app.now();
    let event = events::NewEvent { id: EventId::new(&*app.ids), company: None, kind, actor, payload };
    events::append(&tx, event, now).await?;
    changes::append(&tx, plans::companies_on(&tx, name).await?, now).await?;
    Ok(tx.commit().await?)
}

impl Wanted {
    fn applied_to(&self, before: Limits) -> Limits {
        Limits {
            requests_per_second: self.requests_per_second.unwrap_or(before.requests_per_second),
            concurrent_requests: self.concurrent_requests.unwrap_or(before.concurrent_requests),
            connections: self.connections.unwrap_or(before.connections),
        }
    }
}

fn expect_revision(plan: &Model, revision: Option<i64>) -> Result<(), Error> {
    if revision.is_none_or(|revision| revision == plan.revision) {
        return Ok(());
    }
    Err(Error::new(Reason::EtagMismatch, "somebody else has changed the plan; read it again"))
}

fn not_found() -> Error {
    Error::new(Reason::PlanNotFound, "there is no plan of this name; list them, or update it with allow_missing")
}
