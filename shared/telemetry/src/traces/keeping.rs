//! What becomes of a span that has ended.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::database;
use crate::propagation::{TENANT, TRACE};

/// Spans of one trace that wait for its end here. A longer trace goes in parts of so many.
const MAX_WAITING: usize = 512;

/// Holds the spans of a trace until the last one that is open in this process ends, and then
///
/// - keeps them where the trace is sampled, and where something failed in it;
/// - names the tenant on those below the one that names it, which learned it later than they began;
/// - gives SeaORM's the names of the semantic conventions.
///
/// Another service of the same trace decides for itself: what it did for a call that failed only here is lost with an
/// unsampled trace.
#[derive(Debug)]
pub(super) struct Keeping<P> {
    next: P,
    traces: Mutex<HashMap<TraceId, Trace>>,
}

#[derive(Debug, Default)]
struct Trace {
    open: usize,
    failed: bool,
    ended: Vec<SpanData>,
}

impl<P: SpanProcessor> Keeping<P> {
    pub(super) fn new(next: P) -> Self {
        Self { next, traces: Mutex::default() }
    }

    fn traces(&self) -> MutexGuard<'_, HashMap<TraceId, Trace>> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The spans that need wait no longer now that this one has ended.
    fn ended(&self, span: SpanData) -> Trace {
        let id = span.span_context.trace_id();
        let mut traces = self.traces();
        let trace = traces.entry(id).or_default();
        trace.open = trace.open.saturating_sub(1);
        trace.failed |= is_failure(&span);
        trace.ended.push(span);
        if trace.open == 0 {
            return traces.remove(&id).unwrap_or_default();
        }
        let full = trace.ended.len() >= MAX_WAITING;
        let ended = if full { std::mem::take(&mut trace.ended) } else { Vec::new() };
        Trace { ended, ..*trace }
    }

    fn pass_on(&self, Trace { failed, ended, .. }: Trace) {
        let tenants = Tenants::of(&ended);
        for mut span in ended {
            if failed && !span.span_context.is_sampled() {
                span.span_context = sampled(&span.span_context);
            }
            if !span.span_context.is_sampled() {
                continue;
            }
            // Of a caller's own tenant and the one that the call is about, the latter is left.
            span.attributes.retain(|attribute| ![TENANT, TRACE].contains(&attribute.key.as_str()));
            if let Some(tenant) = tenants.of_span(span.span_context.span_id()) {
                span.attributes.push(KeyValue::new(TENANT, tenant.clone()));
            }
            database::rename(&mut span);
            self.next.on_end(span);
        }
    }
}

/// Whether it makes its trace one to look at. What failed at a database or another service may have been expected to:
/// whoever asked says.
fn is_failure(span: &SpanData) -> bool {
    matches!(span.status, Status::Error { .. }) && span.span_kind != SpanKind::Client
}

fn sampled(context: &SpanContext) -> SpanContext {
    let flags = context.trace_flags().with_sampled(true);
    SpanContext::new(context.trace_id(), context.span_id(), flags, context.is_remote(), context.trace_state().clone())
}

/// Which spans are whose, by their ancestors.
struct Tenants(HashMap<SpanId, (SpanId, Option<Value>)>);

impl Tenants {
    fn of(spans: &[SpanData]) -> Self {
        let named = |span: &SpanData| {
            let attribute = span.attributes.iter().rfind(|attribute| attribute.key.as_str() == TENANT)?;
            Some(attribute.value.clone())
        };
        let spans = spans.iter().map(|span| (span.span_context.span_id(), (span.parent_span_id, named(span))));
        Self(spans.collect())
    }

    /// The span's own tenant, or that of the nearest ancestor that has one.
    fn of_span(&self, mut id: SpanId) -> Option<&Value> {
        // No tree is deeper than it has spans: a caller may have made a ring of one.
        for _ in 0..self.0.len() {
            match self.0.get(&id)? {
                (_, Some(tenant)) => return Some(tenant),
                (parent, None) => id = *parent,
            }
        }
        None
    }
}

impl<P: SpanProcessor> SpanProcessor for Keeping<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let id = opentelemetry::trace::Span::span_context(span).trace_id();
        self.traces().entry(id).or_default().open += 1;
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let ready = self.ended(span);
        self.pass_on(ready);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        let left = std::mem::take(&mut *self.traces());
        left.into_values().for_each(|trace| self.pass_on(trace));
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::super::sampling::Share;
    use super::*;

    /// Where spans go.
    #[derive(Debug, Clone, Default)]
    struct Seen(Arc<Mutex<Vec<SpanData>>>);

    impl SpanProcessor for Seen {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().expect("a lock").push(span);
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    impl Seen {
        fn spans(&self) -> Vec<SpanData> {
            self.0.lock().expect("a lock").clone()
        }

        /// With their tenants.
        fn tenants(&self) -> BTreeMap<String, Option<String>> {
            let tenant = |span: &SpanData| {
                let tenants = span.attributes.iter().filter(|attribute| attribute.key.as_str() == TENANT);
                let tenants: Vec<_> = tenants.map(|attribute| attribute.value.to_string()).collect();
                assert!(tenants.len() < 2, "{tenants:?}");
                tenants.into_iter().next()
            };
            self.spans().iter().map(|span| (span.name.to_string(), tenant(span))).collect()
        }
    }

    fn tracing(ratio: f64) -> (SdkTracerProvider, Seen) {
        let seen = Seen::default();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Share::of(ratio).recording_the_rest())
            .with_span_processor(Keeping::new(seen.clone()))
            .build();
        (provider, seen)
    }

    /// A call with two statements below a step; it may fail, and names its tenant when the first one is over.
    fn call(provider: &SdkTracerProvider, fails: bool) {
        let tracer = provider.tracer("test");
        let call = Context::new().with_span(tracer.start_with_context("call", &Context::new()));
        let step = call.with_span(tracer.start_with_context("step", &call));
        tracer.start_with_context("first", &step).end();
        call.span().set_attribute(KeyValue::new(TENANT, "acme"));
        let other = tracer.span_builder("other").with_attributes([KeyValue::new(TENANT, "globex")]);
        let other = step.with_span(other.start_with_context(&tracer, &step));
        tracer.start_with_context("below", &other).end();
        other.span().end();
        step.span().end();
        if fails {
            call.span().set_status(Status::error(""));
        }
        call.span().end();
    }

    #[test]
    fn spans_have_the_tenant_of_their_nearest_ancestor_whenever_it_was_known() {
        let (provider, seen) = tracing(1.0);
        call(&provider, false);
        let (acme, globex) = (Some("acme".to_owned()), Some("globex".to_owned()));
        let expected = [("call", &acme), ("step", &acme), ("first", &acme), ("other", &globex), ("below", &globex)];
        assert_eq!(seen.tenants(), expected.map(|(name, tenant)| (name.to_owned(), tenant.clone())).into());
    }

    #[test]
    fn an_unsampled_trace_is_kept_whole_if_it_fails_and_not_at_all_otherwise() {
        let (provider, seen) = tracing(0.0);
        call(&provider, false);
        assert_eq!(seen.spans().len(), 0);
        call(&provider, true);
        assert_eq!(seen.spans().len(), 5);
        assert!(seen.spans().iter().all(|span| span.span_context.is_sampled()));
    }

    #[test]
    fn a_long_trace_goes_in_parts_and_what_is_open_at_the_end_is_not_waited_for() {
        let (provider, seen) = tracing(1.0);
        let tracer = provider.tracer("test");
        let stream = Context::new().with_span(tracer.start_with_context("stream", &Context::new()));
        for _ in 1..MAX_WAITING {
            tracer.start_with_context("statement", &stream).end();
        }
        assert_eq!(seen.spans().len(), 0);
        tracer.start_with_context("statement", &stream).end();
        assert_eq!(seen.spans().len(), MAX_WAITING);
        tracer.start_with_context("statement", &stream).end();
        assert_eq!(seen.spans().len(), MAX_WAITING);
        provider.shutdown().expect("a shutdown");
        assert_eq!(seen.spans().len(), MAX_WAITING + 1);
    }

    #[test]
    fn a_ring_that_a_caller_made_up_ends() {
        let (provider, seen) = tracing(1.0);
        call(&provider, false);
        let mut spans = seen.spans();
        spans.truncate(2);
        let ids: Vec<_> = spans.iter().map(|span| span.span_context.span_id()).collect();
        for (at, span) in spans.iter_mut().enumerate() {
            span.parent_span_id = ids[1 - at];
            span.attributes.clear();
        }
        assert_eq!(Tenants::of(&spans).of_span(ids[0]), None);
    }
}
