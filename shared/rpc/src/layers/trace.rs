use async_trait::async_trait;
use tenantry_telemetry::propagation;
use tonic::{Code, Status};
use tracing::{Instrument, Span, field};

use super::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};
use crate::{Error, Reason};

/// A server span (OpenTelemetry semantic conventions for RPC, 1.37) around the
/// call. What a library answered without our details gets them here.
pub(crate) struct Trace {
    pub(crate) service: &'static str,
}

#[async_trait]
impl Middleware for Trace {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        if is_infrastructure(request.uri().path()) {
            return next.run(request).await;
        }
        let span = server_span(self.service, &request);
        propagation::set_parent(&span, request.headers());
        async {
            let response = with_details(next.run(request).await);
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            let span = Span::current();
            span.record("rpc.grpc.status_code", code as i32);
            if is_failure_of_ours(code) {
                span.record("otel.status_code", "ERROR");
            }
            response
        }
        .instrument(span)
        .await
    }
}

fn server_span(service: &'static str, request: &HttpRequest) -> Span {
    let method = request.uri().path().trim_start_matches('/');
    let (rpc_service, rpc_method) = method.split_once('/').unwrap_or((method, ""));
    tracing::info_span!(
        "rpc",
        "otel.name" = method,
        "otel.kind" = "server",
        "otel.status_code" = field::Empty,
        "rpc.system" = "grpc",
        "rpc.service" = rpc_service,
        "rpc.method" = rpc_method,
        "rpc.grpc.status_code" = field::Empty,
        "tenantry.service" = service,
        "tenantry.tenant" = field::Empty,
        "tenantry.caller" = field::Empty,
    )
}

/// The codes that the conventions call a server's error.
pub(crate) fn is_failure_of_ours(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn with_details(response: HttpResponse) -> HttpResponse {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => {
            Status::from(explained(&status)).into_http()
        }
        Some(_) | None => response,
    }
}

/// The error of ours for what tonic or the codec answered by itself.
fn explained(status: &Status) -> Error {
    match status.code() {
        Code::Unimplemented => {
            Error::new(Reason::UnknownMethod, "there is no such method here; list the methods by server reflection")
        }
        Code::InvalidArgument => Error::new(Reason::MalformedMessage, status.message().to_owned()),
        Code::OutOfRange | Code::ResourceExhausted => Error::new(Reason::MalformedMessage, "the message is too large"),
        Code::Cancelled | Code::DeadlineExceeded => deadline_exceeded(),
        Code::Ok
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => {
            Error::internal(format!("a library answered {:?}: {}", status.code(), status.message()))
        }
    }
}

pub(crate) fn deadline_exceeded() -> Error {
    Error::new(Reason::DeadlineExceeded, "not done within the deadline; try again with a longer one")
}
