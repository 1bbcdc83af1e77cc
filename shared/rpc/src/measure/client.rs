use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tenantry_telemetry::metrics::{self, Histogram, KeyValue};
use tenantry_telemetry::propagation;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Status, TimeoutExpired};
use tower::Service;
use tracing::{Instrument, Span};

use super::ending::{Call, Measured, Watch};
use super::method::Method;
use super::span::CallSpan;
use crate::client::{Hop, Unsent};

/// Methods that one channel tells apart: more than any of ours has. The rest is one.
const MAX_METHODS: usize = 256;

/// A channel to one service.
#[derive(Clone)]
pub struct ServiceChannel {
    inner: InterceptedService<Unsent, Hop>,
    peer: Arc<Peer>,
    measuring: Option<Arc<Measuring>>,
}

/// Whom a channel leads to, as its first address says.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) port: u16,
}

struct Measuring {
    durations: Histogram<f64>,
    of_peer: [KeyValue; 2],
    methods: RwLock<HashMap<Box<str>, Arc<Method>>>,
    other: Arc<Method>,
    active: Arc<AtomicI64>,
}

impl ServiceChannel {
    pub(crate) fn new(inner: InterceptedService<Unsent, Hop>, peer: Peer) -> Self {
        let measuring = metrics::are_exported().then(|| Arc::new(Measuring::of(&peer)));
        Self { inner, peer: Arc::new(peer), measuring }
    }
}

impl fmt::Debug for ServiceChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Peer { address, port } = &*self.peer;
        write!(f, "ServiceChannel({address}:{port})")
    }
}

impl Measuring {
    fn of(peer: &Peer) -> Self {
        let of_peer =
            [KeyValue::new("server.address", peer.address.clone()), KeyValue::new("server.port", i64::from(peer.port))];
        Self {
            durations: metrics::durations("rpc.client.call.duration", "How long calls to other services took"),
            methods: RwLock::default(),
            other: Arc::new(Method::other(&of_peer)),
            of_peer,
            active: Arc::default(),
        }
    }

    fn begin(&self, path: &str) -> Measured {
        Measured::begin(self.durations.clone(), self.method(path), is_error, self.active.clone())
    }

    fn method(&self, path: &str) -> Arc<Method> {
        let known = self.methods.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        known.unwrap_or_else(|| {
            let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
            if methods.len() >= MAX_METHODS {
                return self.other.clone();
            }
            let new = || Arc::new(Method::new(path, true, &self.of_peer));
            methods.entry(path.into()).or_insert_with(new).clone()
        })
    }
}

/// What watches a call that is made.
struct Made {
    span: CallSpan,
    measured: Option<Measured>,
}

impl Watch for Made {
    fn ended(&mut self, code: Code) {
        self.span.ended(code);
        if let Some(measured) = &mut self.measured {
            measured.ended(code);
        }
    }
}

/// To a client every code but one is an error.
fn is_error(code: Code) -> bool {
    code != Code::Ok
}

impl Service<http::Request<Body>> for ServiceChannel {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = request.uri().path();
        // A caller that names the trace itself has spans of its own.
        let is_traced = Span::current().is_none() && propagation::is_named_by(request.headers());
        let span = match is_traced {
            true => CallSpan::none(is_error),
            false => CallSpan::of_client(path, &self.peer.address, self.peer.port, is_error),
        };
        let within = span.span().clone();
        let measured = self.measuring.as_ref().map(|measuring| measuring.begin(path));
        let call = Call::begun(Made { span, measured });
        let answer = within.in_scope(|| self.inner.call(request)).instrument(within);
        Box::pin(async move {
            match answer.await {
                // A client is told how it ended after the message.
                Ok(response) => Ok(call.answered(response.map(Body::new), true)),
                Err(error) => {
                    call.end(code_of(&*error));
                    Err(error)
                }
            }
        })
    }
}

/// What became of a call that was not answered.
fn code_of(error: &(dyn Error + 'static)) -> Code {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            return Code::DeadlineExceeded;
        }
        if let Some(status) = error.downcast_ref::<Status>() {
            return status.code();
        }
        cause = error.source();
    }
    Code::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_of_a_channel_are_told_apart_up_to_a_number() {
        let measuring = Measuring::of(&Peer { address: "catalog".into(), port: 443 });
        let name = |path: &str| measuring.method(path).ended(Code::Ok, false)[1].value.to_string();
        for number in 0..MAX_METHODS {
            assert_eq!(name(&format!("/a.B/{number}")), format!("a.B/{number}"));
        }
        assert_eq!((name("/a.B/more"), name("/a.B/0")), ("_OTHER".to_owned(), "a.B/0".to_owned()));
        let peer: Vec<_> = measuring.of_peer.iter().map(|one| one.value.to_string()).collect();
        assert_eq!(peer, ["catalog", "443"]);
    }
}
