//! What became of targets, written by whoever still has them.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{CaseStatement, Expr, SimpleExpr};
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

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settlement {
    pub(crate) end: End,
    /// Migrations applied or taken back that were not counted yet.
    pub(crate) changes: i32,
    /// The version that the database has now, where that can be told.
    pub(crate) version: Option<String>,
}

/// Writes the same end of one or several attempts, and counts it in `rollout`. As the holder of these targets, which
/// nobody else takes as long as the rollout is locked.
pub(crate) async fn settle(
    tx: &impl ConnectionTrait,
    rollout: &mut Rollout,
    targets: &[&Target],
    settlement: &Settlement,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let Settlement { end, changes, version } = settlement;
    let (state, reason, message, not_before) = match end {
        End::Succeeded => (TargetState::Succeeded, None, None, None),
        End::Gone => (TargetState::Skipped, None, None, None),
        End::Again { at, reason, message } => (TargetState::Pending, Some(*reason), Some(message), Some(*at)),
        End::Failed { reason, message, .. } => (TargetState::Failed, Some(*reason), Some(message), None),
    };
    Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::Changes, Expr::col(Column::Changes).add(*changes))
        .col_expr(Column::ErrorReason, Expr::value(reason))
        .col_expr(Column::ErrorMessage, Expr::value(message.map(String::as_str)))
        .col_expr(Column::NotBefore, Expr::value(not_before.unwrap_or(now)))
        .col_expr(Column::LeaseHolder, Expr::value(None::<String>))
        .col_expr(Column::LeaseUntil, Expr::value(None::<DateTime<Utc>>))
        .col_expr(Column::FinishedAt, Expr::value(now))
        .col_expr(Column::DurationMs, durations(targets, now))
        .filter(Column::RolloutId.eq(rollout.id))
        .filter(Column::Position.is_in(targets.iter().map(|target| target.position)))
        .exec(tx)
        .await?;
    let ended = i32::try_from(targets.len()).unwrap_or(i32::MAX);
    match end {
        End::Succeeded => rollout.succeeded += ended,
        End::Gone => rollout.skipped += ended,
        End::Again { .. } => {}
        End::Failed { against_budget, .. } => {
            rollout.failed += ended;
            rollout.against_budget += if *against_budget { ended } else { 0 };
        }
    }
    let failed = matches!(end, End::Failed { .. }).then_some(rollout.id);
    if version.is_some() || matches!(end, End::Succeeded | End::Failed { .. }) {
        let databases = targets.iter().map(|target| target.database_id);
        match (plugin_of(&rollout.set_name), version.as_deref()) {
            (None, version) => claims::note_rollout(tx, databases, version, failed, now).await?,
            (Some(plugin), Some(version)) => {
                for database in databases {
                    plugins::note_version(tx, (database, plugin), version, now).await?;
                }
            }
            (Some(_), None) => {}
        }
    }
    Ok(())
}

/// In milliseconds, each its own.
fn durations(targets: &[&Target], now: DateTime<Utc>) -> SimpleExpr {
    let of = |target: &Target| target.started_at.map(|started| (now - started).num_milliseconds());
    let case = targets.iter().fold(CaseStatement::new(), |case, target| {
        case.case(Expr::col(Column::Position).eq(target.position), Expr::value(of(target)))
    });
    case.into()
}
