//! One change of the schema for many databases: sealed, durable, shared by replicas.
//!
//! `create` seals the targets, `engine` drives every rollout that runs, `attempt` is what happens to one database,
//! `control` is what operators say meanwhile, and `look` is what they see.

mod attempt;
mod control;
mod create;
mod engine;
mod look;
mod policy;
mod spans;
mod turn;

pub(crate) use control::{cancel, pause, resume, retry_failed};
pub(crate) use create::{Created, NewRollout, create, take_back};
pub use engine::EngineSettings;
pub(crate) use engine::{Engine, Wake};
pub(crate) use look::{Fleet, Glance, TARGETS_LIST, View, fleet, list, parse_page, targets, view, view_of, watch};
pub(crate) use policy::{Amount, Policy, Selector};

use tenantry_ids::RolloutId;
use tenantry_migration::MigrationSet;
use tenantry_rpc::{Error, Reason};

use super::App;
use crate::store::rollouts::{self as store, Rollout, State};

fn not_found() -> Error {
    Error::new(Reason::RolloutNotFound, "there is no such rollout")
}

/// A refused transition: where the rollout is, and where it would have to be.
fn refused(rollout: &Rollout, wanted: &str) -> Error {
    let message = format!("the rollout is {}; {wanted}", word(rollout.state));
    Error::new(Reason::RolloutState, message)
}

fn word(state: State) -> &'static str {
    match state {
        State::Running => "RUNNING",
        State::Paused => "PAUSED",
        State::Halted => "HALTED",
        State::Cancelled => "CANCELLED",
        State::Succeeded => "SUCCEEDED",
        State::Failed => "FAILED",
    }
}

async fn find(app: &App, id: RolloutId) -> Result<Rollout, Error> {
    store::find(app.db.raw(), id).await?.ok_or_else(not_found)
}

/// The set that a new database is made from: the one that the fleet is at, until a canary has proven the next.
pub(crate) async fn set_for_new_databases(app: &App) -> Result<MigrationSet, Error> {
    let Some(active) = store::active(app.db.raw()).await? else { return Ok(app.tenant_set.clone()) };
    if active.set_name != app.tenant_set.name() {
        return Ok(app.tenant_set.clone());
    }
    let proven = active.rehearsed && (active.wave > 1 && active.wave_opens_at <= app.now() || active.waves == 1);
    match active.base_version.filter(|_| !proven) {
        Some(base) => app.tenant_set.up_to(&base).map_err(Error::internal),
        None => Ok(app.tenant_set.clone()),
    }
}
