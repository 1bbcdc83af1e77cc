//! Which traces are kept.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, ShouldSample};

/// The attribute that keeps a trace whatever its share: there are few rollouts, and each is worth a look.
pub(super) const ALWAYS: &str = "tenantry.rollout";
/// What spans of statements have, SeaORM's and ours.
const STATEMENT: [&str; 2] = ["db.system", "db.system.name"];

/// Follows the parent, or what has caused it; of other traces that begin here it keeps a share by their ids, and every
/// rollout's. A statement that is nobody's (a look for work, twice a second) begins none.
#[derive(Debug, Clone)]
pub(super) struct Share {
    parent_or_share: Sampler,
    /// What is not kept is recorded all the same, to be kept if it fails.
    records_the_rest: bool,
}

impl Share {
    /// Keeps a share of 0 to 1.
    pub(super) fn of(ratio: f64) -> Self {
        let share = Sampler::TraceIdRatioBased(ratio);
        Self { parent_or_share: Sampler::ParentBased(Box::new(share)), records_the_rest: false }
    }

    pub(super) fn recording_the_rest(self) -> Self {
        Self { records_the_rest: true, ..self }
    }
}

impl ShouldSample for Share {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let has = |key: &str| attributes.iter().any(|attribute| attribute.key.as_str() == key);
        let is_root = parent.is_none_or(|parent| !parent.span().span_context().is_valid());
        if is_root && STATEMENT.into_iter().any(has) {
            let trace_state = TraceState::default();
            return SamplingResult { decision: SamplingDecision::Drop, attributes: Vec::new(), trace_state };
        }
        let mut result = self.parent_or_share.should_sample(parent, trace_id, name, kind, attributes, links);
        // What it is linked to has caused it.
        let is_caused = is_root && links.iter().any(|link| link.span_context.is_sampled());
        if has(ALWAYS) || is_caused {
            result.decision = SamplingDecision::RecordAndSample;
        } else if self.records_the_rest && matches!(result.decision, SamplingDecision::Drop) {
            result.decision = SamplingDecision::RecordOnly;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

    use super::*;

    fn remote(sampled: bool) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(sampled);
        SpanContext::new(TraceId::from(7), SpanId::from(7), flags, true, TraceState::default())
    }

    fn decided(share: &Share, parent: Option<bool>, attribute: &'static str) -> SamplingDecision {
        let parent = parent.map(|sampled| Context::new().with_remote_span_context(remote(sampled)));
        let attributes = [KeyValue::new(attribute, "x")];
        share.should_sample(parent.as_ref(), TraceId::from(7), "n", &SpanKind::Internal, &attributes, &[]).decision
    }

    #[test]
    fn the_parent_decides_before_the_share_and_a_rollout_before_both() {
        use SamplingDecision::{Drop, RecordAndSample, RecordOnly};
        let (all, none) = (Share::of(1.0), Share::of(0.0));
        let recording = none.clone().recording_the_rest();
        let cases = [
            (&all, None, "a", RecordAndSample),
            (&none, None, "a", Drop),
            (&recording, None, "a", RecordOnly),
            (&all, Some(false), "a", Drop),
            (&none, Some(true), "a", RecordAndSample),
            (&recording, Some(true), "a", RecordAndSample),
            (&recording, Some(false), "a", RecordOnly),
            (&none, None, ALWAYS, RecordAndSample),
            (&none, Some(false), ALWAYS, RecordAndSample),
            (&all, None, STATEMENT[0], Drop),
            (&recording, None, STATEMENT[0], Drop),
            (&all, Some(true), STATEMENT[1], RecordAndSample),
        ];
        for (share, parent, attribute, expected) in cases {
            assert_eq!(decided(share, parent, attribute), expected, "{parent:?} {attribute}");
        }
    }

    #[test]
    fn what_a_kept_trace_has_caused_is_kept() {
        let caused_by = |sampled| {
            let links = [Link::with_context(remote(sampled))];
            Share::of(0.0).should_sample(None, TraceId::from(8), "n", &SpanKind::Internal, &[], &links).decision
        };
        assert_eq!(caused_by(true), SamplingDecision::RecordAndSample);
        assert_eq!(caused_by(false), SamplingDecision::Drop);
    }
}
