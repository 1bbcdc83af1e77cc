//! W3C trace context in and out of HTTP headers.

use std::fmt;

use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TraceContextExt;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The attribute of everything that is done for one company.
pub(crate) const TENANT: &str = "tenantry.tenant";

/// The field with the trace's id, which log lines have from their spans. To a span itself it is no news.
pub(crate) const TRACE: &str = "trace_id";

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes the caller's span, as its headers name it, the parent of `span`.
pub fn set_parent(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    // It fails only where no OpenTelemetry layer listens, and then there is nothing to join.
    let _ = span.set_parent(parent);
}

/// Whether the headers of a call name a trace.
pub fn is_named_by(headers: &HeaderMap) -> bool {
    headers.contains_key(TRACEPARENT)
}

/// Writes the current span into the headers of a call to another service.
pub fn inject(headers: &mut HeaderMap) {
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut HeaderInjector(headers));
}

/// The current span as the text of a `traceparent` header, to be kept with work
/// that is done later, if there is a trace.
pub fn traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject(&mut headers);
    headers.get(TRACEPARENT)?.to_str().ok().map(str::to_owned)
}

/// Makes the span that [`traceparent`] wrote the parent of `span`: somebody waits for what it does.
pub fn set_parent_text(span: &Span, traceparent: &str) {
    if let Ok(value) = traceparent.parse() {
        set_parent(span, &HeaderMap::from_iter([(TRACEPARENT, value)]));
    }
}

/// Links `span` to the span that [`traceparent`] wrote: that one has caused it, and is over.
pub fn link_text(span: &Span, traceparent: &str) {
    let Ok(value) = traceparent.parse() else { return };
    let headers = HeaderMap::from_iter([(TRACEPARENT, value)]);
    let cause = TraceContextPropagator::new().extract(&HeaderExtractor(&headers));
    span.add_link(cause.span().span_context().clone());
}

/// Names the tenant that the current call is about, on its span. What is below gets it from there.
pub fn concerns(tenant: impl fmt::Display) {
    Span::current().record(TENANT, tracing::field::display(tenant));
}

/// Names its trace on `span`, which has room for it, for log lines. To be called once its parent and links are set.
pub fn name_trace(span: &Span) {
    if let Some(id) = trace_id_of(span) {
        span.record(TRACE, id);
    }
}

/// The current trace's id, as 32 hex digits, if there is a trace.
pub fn trace_id() -> Option<String> {
    trace_id_of(&Span::current())
}

fn trace_id_of(span: &Span) -> Option<String> {
    let context = span.context();
    let span = context.span();
    let id = span.span_context().trace_id();
    (id != opentelemetry::TraceId::INVALID).then(|| id.to_string())
}
