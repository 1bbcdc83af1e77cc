use async_trait::async_trait;
use tenantry_api::access::AccessRules;
use tenantry_telemetry::propagation;
use tonic::{Code, Status};
use tracing::Instrument;

use super::{HttpRequest, HttpResponse, Middleware, Next, is_infrastructure};
use crate::measure::{Call, CallSpan};
use crate::{Error, Reason};

/// A server span around the call, to the end of its stream. What a library answered without our details gets them here.
pub(crate) struct Trace {
    pub(crate) service: &'static str,
    pub(crate) rules: AccessRules,
}

#[async_trait]
impl Middleware for Trace {
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse {
        let path = request.uri().path();
        if is_infrastructure(path) {
            return next.run(request).await;
        }
        let rule = self.rules.get(path);
        let streams = rule.is_some_and(|rule| rule.streams);
        let call = CallSpan::of_server(self.service, path, rule.is_some(), is_failure_of_ours);
        let span = call.span().clone();
        propagation::set_parent(&span, request.headers());
        propagation::name_trace(&span);
        let call = Call::begun(call);
        let answer = async { with_details(next.run(request).await) };
        call.answered(answer.instrument(span).await, streams)
    }
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
