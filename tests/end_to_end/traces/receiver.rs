//! A real OTLP receiver, and what it was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{self as otlp, status::StatusCode};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// One span, in hexadecimal and text.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty where it begins a trace.
    pub(super) parent: String,
    /// The traces and spans that it is linked to.
    pub(super) links: Vec<(String, String)>,
    pub(super) failed: bool,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) schema: String,
    started: u64,
}

impl Span {
    fn line(&self) -> String {
        let kind = match self.kind {
            SpanKind::Server => "server ",
            SpanKind::Client => self.attribute("db.system.name").unwrap_or("client"),
            SpanKind::Unspecified | SpanKind::Internal | SpanKind::Producer | SpanKind::Consumer => "",
        };
        let failed = if self.failed { " FAILED" } else { "" };
        format!("{} {}: {}{failed}", self.service, kind.trim(), self.name).replace(" :", ":")
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

/// What the receiver was sent.
#[derive(Clone, Default)]
pub(crate) struct Receiver(Arc<Mutex<Sent>>);

#[derive(Default)]
struct Sent {
    spans: Vec<Span>,
    text: String,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut sent = self.0.lock().unwrap();
        sent.text += &format!("{:?}\n", request.get_ref());
        for resource in request.into_inner().resource_spans {
            let of_resource = attributes(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
            let service = of_resource.get("service.name").cloned().unwrap_or_default();
            for scope in resource.scope_spans {
                sent.spans.extend(scope.spans.into_iter().map(|span| read(span, &service, &scope.schema_url)));
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Receiver {
    pub(crate) async fn start(&self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(address)
    }

    /// Everything, with the events of spans, as text.
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().text.clone()
    }

    /// All spans, earliest first.
    pub(super) fn spans(&self) -> Vec<Span> {
        let mut spans = self.0.lock().unwrap().spans.clone();
        spans.sort_by_key(|span| span.started);
        spans
    }

    /// Those of one trace.
    pub(super) fn trace(&self, trace: &str) -> Trace {
        Trace(self.spans().into_iter().filter(|span| span.trace == trace).collect())
    }
}

fn read(span: otlp::Span, service: &str, schema: &str) -> Span {
    Span {
        service: service.to_owned(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        failed: span.status.is_some_and(|status| status.code() == StatusCode::Error),
        attributes: attributes(span.attributes),
        schema: schema.to_owned(),
        started: span.start_time_unix_nano,
        name: span.name,
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: any_value::Value| match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        any_value::Value::BoolValue(is) => is.to_string(),
        other => format!("{other:?}"),
    };
    let value = |one: KeyValue| Some((one.key, text(one.value?.value?)));
    attributes.into_iter().filter_map(value).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The spans of one trace, earliest first.
pub(super) struct Trace(pub(super) Vec<Span>);

impl Trace {
    /// The only span of this name and kind.
    pub(super) fn only(&self, kind: SpanKind, name: &str) -> anyhow::Result<&Span> {
        let mut found = self.0.iter().filter(|span| span.kind == kind && span.name == name);
        let first = found.next().with_context(|| format!("no {name}"))?;
        anyhow::ensure!(found.next().is_none(), "{name} more than once");
        Ok(first)
    }

    /// The spans below `parent`, a line each: service, database or kind, and name. In the order of their lines, and what
    /// is there several times once: how often somebody who waits looks, and when, differs.
    pub(super) fn shape(&self, parent: &str) -> String {
        let mut lines = BTreeSet::new();
        for span in self.0.iter().filter(|span| span.parent == parent) {
            let below = self.shape(&span.id);
            let below: String = below.lines().map(|line| format!("  {line}\n")).collect();
            lines.insert(format!("{}\n{below}", span.line()));
        }
        lines.into_iter().collect()
    }

    /// As [`shape`](Self::shape), every span in the order of their beginnings.
    pub(super) fn tree(&self, parent: &str) -> String {
        let spans = self.0.iter().filter(|span| span.parent == parent);
        let with_below = |span: &Span| {
            let below: String = self.tree(&span.id).lines().map(|line| format!("  {line}\n")).collect();
            format!("{}\n{below}", span.line())
        };
        spans.map(with_below).collect()
    }
}
