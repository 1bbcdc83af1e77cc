//! The way to another service of ours: every hop carries the deadline, the trace
//! and this service's identity.

use std::sync::Arc;
use std::time::Duration;

use tenantry_telemetry::propagation;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::Error;
use crate::auth::ServiceIdentity;

/// How long a connection to a service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a quiet connection is pinged, so that a dead peer is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered: gRPC's own default. Less ends healthy connections of a busy machine.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A channel to one service.
pub type ServiceChannel = InterceptedService<Channel, Hop>;

/// An address that is none.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is no address of a service; write it like http://127.0.0.1:50051")]
pub struct AddressError {
    address: String,
    #[source]
    source: tonic::transport::Error,
}

/// A channel to the service `audience` at `address`, connected when first used
/// and again whenever it was lost. `identity` signs the calls; without one they
/// are anonymous.
#[allow(clippy::disallowed_methods)] // The one place that opens channels.
pub fn open(
    address: &str,
    audience: impl Into<Arc<str>>,
    identity: Option<Arc<ServiceIdentity>>,
) -> Result<ServiceChannel, AddressError> {
    let endpoint = Endpoint::from_shared(address.to_owned())
        .map_err(|source| AddressError { address: address.to_owned(), source })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    Ok(InterceptedService::new(endpoint.connect_lazy(), Hop { audience: audience.into(), identity }))
}

/// A request to another service that ends at `deadline`.
pub fn request<T>(body: T, deadline: Instant) -> Request<T> {
    let mut request = Request::new(body);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    request
}

/// Adds to each call what a hop has to carry.
#[derive(Clone)]
pub struct Hop {
    audience: Arc<str>,
    identity: Option<Arc<ServiceIdentity>>,
}

impl Interceptor for Hop {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let mut headers = std::mem::take(request.metadata_mut()).into_headers();
        propagation::inject(&mut headers);
        if let Some(identity) = &self.identity {
            let token = identity.token(&self.audience).map_err(Error::internal)?;
            let bearer = format!("Bearer {token}").parse().map_err(Error::internal)?;
            headers.insert(http::header::AUTHORIZATION, bearer);
        }
        *request.metadata_mut() = MetadataMap::from_headers(headers);
        Ok(request)
    }
}
