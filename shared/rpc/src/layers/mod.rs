//! The layers of every server, outermost first, each with its reason:
//!
//! 0. `server::web`: what is no gRPC call is answered before anything that answers in gRPC's way.
//! 1. `measure`: how long the call takes and how it ends, whichever layer ends it. Only where metrics go anywhere.
//! 2. [`trace`]: a span for the call, joined to the caller's, around everything
//!    below, so that each failure of any layer is seen and has a trace id.
//! 3. [`panics`]: a handler that panics costs its caller an error, not everybody
//!    the connection.
//! 4. [`admission`]: a limit on calls at once. Before any work is done, and never
//!    for health checks: a busy server is not a dead one.
//! 5. [`deadline`]: the caller's or the server's limit, for all that follows.
//! 6. [`authenticate`]: who calls, and whether the rule in the proto lets them.
//! 7. what a service adds, such as tenancy.

pub(crate) mod admission;
pub(crate) mod authenticate;
pub(crate) mod deadline;
pub(crate) mod panics;
pub(crate) mod trace;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tenantry_api::codec::{MessageCheck, checked};
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;

use crate::Origin;
use crate::tls::Peer;

/// A request as it arrives.
pub type HttpRequest = http::Request<Body>;
/// A response as it leaves.
pub type HttpResponse = http::Response<Body>;

/// One layer.
#[async_trait]
pub trait Middleware: Send + Sync + 'static {
    /// Answers the request, as a rule with what `next` answers.
    async fn handle(&self, request: HttpRequest, next: Next) -> HttpResponse;
}

/// The rest of the stack.
pub struct Next {
    layers: Arc<[Arc<dyn Middleware>]>,
    at: usize,
    routes: Routes,
}

impl Next {
    /// Passes the request on.
    pub async fn run(mut self, request: HttpRequest) -> HttpResponse {
        match self.layers.get(self.at).cloned() {
            Some(layer) => {
                self.at += 1;
                layer.handle(request, self).await
            }
            None => self.route(request).await,
        }
    }

    async fn route(mut self, mut request: HttpRequest) -> HttpResponse {
        let check = request.extensions_mut().remove::<PendingCheck>();
        let answer = self.routes.call(request);
        let answered = match check {
            Some(PendingCheck(check)) => checked(check, answer).await,
            None => answer.await,
        };
        match answered {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// The check of the request's messages, on its way from the access layer to the
/// server's decoder. It waits until the end of the stack: a layer between the two
/// that calls another service would make a decoder first, and take it.
#[derive(Clone)]
struct PendingCheck(MessageCheck);

/// All layers over the routes, as the service of a connection.
#[derive(Clone)]
pub(crate) struct Stack {
    layers: Arc<[Arc<dyn Middleware>]>,
    routes: Routes,
    /// Who has connected, and how many proxies are believed.
    peer: Option<(SocketAddr, u8)>,
    /// What the other end has shown of itself.
    certificate: Option<Arc<Peer>>,
}

impl Stack {
    pub(crate) fn new(layers: Vec<Arc<dyn Middleware>>, routes: Routes) -> Self {
        Self { layers: layers.into(), routes: routes.prepare(), peer: None, certificate: None }
    }

    /// For the calls of one connection.
    pub(crate) fn called_from(&self, peer: SocketAddr, trusted_hops: u8) -> Self {
        Self { peer: Some((peer, trusted_hops)), ..self.clone() }
    }

    /// For the calls of a connection whose client has shown this.
    pub(crate) fn shown(self, certificate: Option<Arc<Peer>>) -> Self {
        Self { certificate, ..self }
    }
}

impl<B> Service<http::Request<B>> for Stack
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = HttpResponse;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<HttpResponse, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        if let Some((peer, trusted_hops)) = self.peer {
            let origin = Origin::of(peer, request.headers(), trusted_hops);
            request.extensions_mut().insert(origin);
        }
        if let Some(certificate) = &self.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        let next = Next { layers: self.layers.clone(), at: 0, routes: self.routes.clone() };
        Box::pin(async move { Ok(next.run(request.map(Body::new)).await) })
    }
}

/// Whether the path belongs to gRPC's own services, which tell nothing of ours
/// and which probes and stock clients call without a token.
pub(crate) fn is_infrastructure(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")
}
