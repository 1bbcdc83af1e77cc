//! The traces of a rollout: one for each server's rehearsal and each attempt at a database. One for the whole would have
//! a hundred thousand spans and last for hours. All are linked to what asked for the rollout, and kept whatever the share
//! of traces that is.

use tenantry_telemetry::propagation;
use tracing::Span;
use tracing::field::Empty;

use super::attempt::Outcome;
use crate::store::rollouts::{End, Rollout, Target};

pub(super) fn of_rehearsal(rollout: &Rollout, server: &str) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "rollout rehearsal",
        "otel.status_code" = Empty,
        "error.type" = Empty,
        "tenantry.rollout" = %rollout.id,
        "tenantry.database_server" = server,
        trace_id = Empty,
    );
    linked(span, rollout)
}

pub(super) fn of_target(rollout: &Rollout, target: &Target) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "rollout target",
        "otel.status_code" = Empty,
        "error.type" = Empty,
        "tenantry.rollout" = %rollout.id,
        "tenantry.tenant" = %target.company_id,
        attempt = target.attempts,
        trace_id = Empty,
    );
    linked(span, rollout)
}

fn linked(span: Span, rollout: &Rollout) -> Span {
    if let Some(cause) = &rollout.trace_parent {
        propagation::link_text(&span, cause);
    }
    propagation::name_trace(&span);
    span
}

/// Notes on the current span that it failed for this reason.
pub(super) fn failed(reason: &str) {
    tenantry_telemetry::failed(&Span::current(), reason);
}

/// As [`failed`], where an attempt did.
pub(super) fn ended(outcome: &Outcome) {
    match &outcome.settlement.end {
        End::Failed { reason, .. } | End::Again { reason, .. } => failed(reason),
        End::Succeeded | End::Gone => {}
    }
}
