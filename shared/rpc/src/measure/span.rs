use tonic::Code;
use tracing::Span;
use tracing::field::Empty;

use super::Watch;
use super::method::{OTHER, SYSTEM, name_of};

/// The span of a call, to its end.
pub(crate) struct CallSpan {
    span: Span,
    is_error: fn(Code) -> bool,
}

impl CallSpan {
    /// Of a call at this path that `service` answers. Where it comes from is to be set. What strangers make up is
    /// one method, as for the figures.
    pub(crate) fn of_server(service: &'static str, path: &str, is_known: bool, is_error: fn(Code) -> bool) -> Self {
        let asked = path.trim_start_matches('/');
        let method = if is_known { asked } else { OTHER };
        let span = tracing::info_span!(
            "rpc",
            "otel.name" = method,
            "otel.kind" = "server",
            "otel.status_code" = Empty,
            "rpc.system.name" = SYSTEM,
            "rpc.method" = method,
            "rpc.method_original" = (!is_known).then_some(asked),
            "rpc.response.status_code" = Empty,
            "error.type" = Empty,
            "tenantry.service" = service,
            trace_id = Empty,
            "tenantry.tenant" = Empty,
            "tenantry.caller" = Empty,
        );
        Self { span, is_error }
    }

    /// Of a call at this path of the service at `address`.
    pub(crate) fn of_client(path: &str, address: &str, port: u16, is_error: fn(Code) -> bool) -> Self {
        let method = path.trim_start_matches('/');
        let span = tracing::info_span!(
            "call",
            "otel.name" = method,
            "otel.kind" = "client",
            "otel.status_code" = Empty,
            "rpc.system.name" = SYSTEM,
            "rpc.method" = method,
            "rpc.response.status_code" = Empty,
            "error.type" = Empty,
            "server.address" = address,
            "server.port" = port,
        );
        Self { span, is_error }
    }

    /// Of a call that is somebody else's to trace.
    pub(crate) fn none(is_error: fn(Code) -> bool) -> Self {
        Self { span: Span::none(), is_error }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }
}

impl Watch for CallSpan {
    fn ended(&mut self, code: Code) {
        self.span.record("rpc.response.status_code", name_of(code));
        if (self.is_error)(code) {
            tenantry_telemetry::failed(&self.span, name_of(code));
        }
    }
}
