//! What one turn of the engine does under the lock of a rollout's row.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sea_orm::DatabaseTransaction;

use super::attempt::Outcome;
use crate::store::StoreError;
use crate::store::claims::{self, Claim};
use crate::store::rollouts::{self as store, Known, Rollout, Settlement, State, Target};

/// The longest that ends are gathered into one transaction.
const GATHER_AT_MOST: Duration = Duration::from_millis(50);

/// How long to wait for more ends: a quarter of what the shortest of these `took`, so that hardly anything waits for it.
pub(super) fn gathering(took: impl Iterator<Item = Duration>) -> Duration {
    took.min().map_or(Duration::ZERO, |took| (took / 4).min(GATHER_AT_MOST))
}

/// One query for all of them, not one a target.
pub(super) async fn with_claims(
    tx: &DatabaseTransaction,
    targets: Vec<Target>,
) -> Result<Vec<(Target, Option<Claim>)>, StoreError> {
    let mut known = claims::of_databases(tx, targets.iter().map(|target| target.database_id)).await?;
    let with_claim = |target: Target| {
        let claim = known.remove(&target.database_id);
        (target, claim)
    };
    Ok(targets.into_iter().map(with_claim).collect())
}

/// Writes what has ended, like with like, unless another replica has the target by now: then what that one finds in the
/// database's ledger counts.
pub(super) async fn settle(
    tx: &DatabaseTransaction,
    rollout: &mut Rollout,
    known: &mut Known,
    ends: &[Outcome],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let held = &mut known.held;
    let (ours, lost): (Vec<_>, Vec<_>) = ends.iter().partition(|Outcome { target, .. }| {
        held.iter().any(|held| held.position == target.position && held.fence == target.fence)
    });
    for Outcome { target, .. } in lost {
        tracing::info!(position = target.position, "another replica has taken this target over");
    }
    let mut alike: Vec<(&Settlement, Vec<&Target>)> = Vec::new();
    for Outcome { target, settlement } in ours {
        held.retain(|held| held.position != target.position);
        match alike.iter_mut().find(|(one, _)| *one == settlement) {
            Some((_, targets)) => targets.push(target),
            None => alike.push((settlement, vec![target])),
        }
    }
    for (settlement, targets) in alike {
        store::settle(tx, rollout, &targets, settlement, now).await?;
    }
    Ok(())
}

pub(super) fn halt_over_budget(rollout: &mut Rollout) {
    if rollout.state == State::Running && rollout.against_budget > rollout.failure_budget {
        let reason = format!("{} targets failed, and {} may", rollout.against_budget, rollout.failure_budget);
        (rollout.state, rollout.state_reason) = (State::Halted, Some(reason));
    }
}

/// To the next wave, or to the end, when nothing of this one is left.
pub(super) async fn advance(
    tx: &DatabaseTransaction,
    rollout: &mut Rollout,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    if store::is_open(tx, rollout.id, rollout.wave).await? {
        return Ok(());
    }
    if rollout.wave < rollout.waves {
        rollout.wave += 1;
        rollout.wave_opens_at = now + Duration::from_millis(rollout.soak_ms.unsigned_abs());
    } else {
        rollout.state = if rollout.failed > 0 { State::Failed } else { State::Succeeded };
        rollout.ended_at = Some(now);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_ends_are_waited_for_in_proportion_and_never_long() {
        let of_ms = |took: &[u64]| gathering(took.iter().copied().map(Duration::from_millis));
        assert_eq!(of_ms(&[8, 40]), Duration::from_millis(2));
        assert_eq!(of_ms(&[200, 900]), GATHER_AT_MOST);
        assert_eq!(of_ms(&[60_000]), GATHER_AT_MOST);
        assert_eq!(of_ms(&[]), Duration::ZERO);
    }
}
