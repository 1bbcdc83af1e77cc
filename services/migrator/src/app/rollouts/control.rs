//! What operators say to a rollout. Each is said under its lock, and saying it twice is saying it once.

use tenantry_ids::RolloutId;
use tenantry_rpc::Error;

use super::policy::Amount;
use super::{View, not_found, refused, view_of};
use crate::app::App;
use crate::store::StoreError;
use crate::store::rollouts::{self as store, Rollout, State, TargetState};

pub(crate) async fn pause(app: &App, id: RolloutId) -> Result<View, Error> {
    change(app, id, async |_, mut rollout| match rollout.state {
        State::Running => {
            rollout.state = State::Paused;
            Ok(Some(rollout))
        }
        State::Paused => Ok(None),
        State::Halted | State::Cancelled | State::Succeeded | State::Failed => {
            Err(refused(&rollout, "only a RUNNING one can be paused"))
        }
    })
    .await
}

pub(crate) async fn resume(app: &App, id: RolloutId, budget: Option<Amount>) -> Result<View, Error> {
    change(app, id, async |_, mut rollout| {
        if let Some(amount) = budget {
            let work = usize::try_from(rollout.total - rollout.skipped).unwrap_or(0);
            rollout.failure_budget = i32::try_from(amount.of(work)).unwrap_or(i32::MAX);
        }
        match rollout.state {
            State::Halted if rollout.against_budget > rollout.failure_budget => {
                let wanted = "give it a failure_budget that is not used up, or retry the failed targets";
                Err(refused(&rollout, wanted))
            }
            State::Paused | State::Halted => {
                (rollout.state, rollout.state_reason) = (State::Running, None);
                Ok(Some(rollout))
            }
            State::Running => Ok(None),
            State::Cancelled | State::Succeeded | State::Failed => {
                Err(refused(&rollout, "only a PAUSED or HALTED one can go on"))
            }
        }
    })
    .await
}

pub(crate) async fn cancel(app: &App, id: RolloutId) -> Result<View, Error> {
    let now = app.now();
    change(app, id, async |tx, mut rollout| match rollout.state {
        State::Running | State::Paused | State::Halted => {
            rollout.cancelled += store::turn_all(tx, id, TargetState::Pending, TargetState::Cancelled, now).await?;
            (rollout.state, rollout.ended_at) = (State::Cancelled, Some(now));
            Ok(Some(rollout))
        }
        State::Cancelled => Ok(None),
        State::Succeeded | State::Failed => Err(refused(&rollout, "it is finished")),
    })
    .await
}

pub(crate) async fn retry_failed(app: &App, id: RolloutId) -> Result<View, Error> {
    let now = app.now();
    change(app, id, async |tx, mut rollout| {
        if rollout.state == State::Cancelled {
            return Err(refused(&rollout, "create a new one"));
        }
        if rollout.failed == 0 {
            return Ok(None);
        }
        if !matches!(rollout.state, State::Running | State::Paused | State::Halted) {
            refuse_beside_another(tx, &rollout).await?;
        }
        store::turn_all(tx, id, TargetState::Failed, TargetState::Pending, now).await?;
        (rollout.failed, rollout.against_budget, rollout.ended_at) = (0, 0, None);
        (rollout.state, rollout.state_reason) = (State::Running, None);
        Ok(Some(rollout))
    })
    .await
}

async fn refuse_beside_another(tx: &sea_orm::DatabaseTransaction, rollout: &Rollout) -> Result<(), Error> {
    match store::active(tx).await? {
        Some(active) if active.id != rollout.id => Err(super::create::another_is_active(&active)),
        Some(_) | None => Ok(()),
    }
}

/// Reads the rollout under its lock and writes what `decide` makes of it.
async fn change<F>(app: &App, id: RolloutId, decide: F) -> Result<View, Error>
where
    F: AsyncFnOnce(&sea_orm::DatabaseTransaction, Rollout) -> Result<Option<Rollout>, Error>,
{
    let tx = app.db.begin().await?;
    let rollout = store::lock(&tx, id).await?.ok_or_else(not_found)?;
    let now = match decide(&tx, rollout.clone()).await? {
        Some(changed) => store::save(&tx, changed, app.now()).await?,
        None => rollout,
    };
    tx.commit().await.map_err(StoreError::from)?;
    app.rollouts.wake();
    view_of(app, now).await
}
