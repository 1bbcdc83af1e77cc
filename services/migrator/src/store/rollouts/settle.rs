//! What became of a target, written by whoever still has it.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter};

use super::entities::target::{Column, Entity};
use super::{Rollout, StoreError, Target, TargetState};
use crate::app::plugins::plugin_of;
use crate::store::{claims, plugins};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Succeeded,
    /// Its database is not there any more because it was dropped on purpose.
    Gone,
    /// To be tried again at this time.
    Again {
        at: DateTime<Utc>,
        reason: &'static str,
        message: String,
    },
    Failed {
        reason: &'static str,
        message: String,
        against_budget: bool,
    },
}

/// Writes the end of an attempt, and counts it in `rollout`. False when another replica has the target by now: then
/// nothing is written, and what that one finds in the database's ledger counts.
pub(crate) async fn settle(
    tx: &impl ConnectionTrait,
    rollout: &mut Rollout,
    target: &Target,
    end: &End,
    changes: i32,
    version: Option<&str>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let (state, reason, message, not_before) = match end {
        End::Succeeded => (TargetState::Succeeded, None, None, None),
        End::Gone => (TargetState::Skipped, None, None, None),
        End::Again { at, reason, message } => (TargetState::Pending, Some(*reason), Some(message), Some(*at)),
        End::Failed { reason, message, .. } => (TargetState::Failed, Some(*reason), Some(message), None),
    };
    let duration = target.started_at.map(|started| (now - started).num_milliseconds());
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::Changes, Expr::col(Column::Changes).add(changes))
        .col_expr(Column::ErrorReason, Expr::value(reason))
        .col_expr(Column::ErrorMessage, Expr::value(message.map(String::as_str)))
        .col_expr(Column::NotBefore, Expr::value(not_before.unwrap_or(now)))
        .col_expr(Column::LeaseHolder, Expr::value(None::<String>))
        .col_expr(Column::LeaseUntil, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::FinishedAt, Expr::value(now))
        .col_expr(Column::DurationMs, Expr::value(duration))
        .filter(Column::RolloutId.eq(target.rollout_id))
        .filter(Column::Position.eq(target.position))
        .filter(Column::State.eq(TargetState::Running))
        .filter(Column::Fence.eq(target.fence));
    if update.exec(tx).await?.rows_affected == 0 {
        return Ok(false);
    }
    match end {
        End::Succeeded => rollout.succeeded += 1,
        End::Gone => rollout.skipped += 1,
        End::Again { .. } => {}
        End::Failed { against_budget, .. } => {
            rollout.failed += 1;
            rollout.against_budget += i32::from(*against_budget);
        }
    }
    let failed = matches!(end, End::Failed { .. }).then_some(rollout.id);
    if version.is_some() || matches!(end, End::Succeeded | End::Failed { .. }) {
        match (plugin_of(&rollout.set_name), version) {
            (None, _) => claims::note_rollout(tx, target.database_id, version, failed, now).await?,
            (Some(plugin), Some(version)) => {
                plugins::note_version(tx, (target.database_id, plugin), version, now).await?;
            }
            (Some(_), None) => {}
        }
    }
    Ok(true)
}
