//! The way to another service of ours: every hop carries the deadline, the trace
//! and this service's identity.

mod unsent;

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tenantry_telemetry::propagation;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::Error;
use crate::auth::ServiceIdentity;
use crate::tls::ClientTls;
use unsent::Unsent;

/// Where https is, if an address does not say.
const HTTPS_PORT: u16 = 443;
/// How long a connection to a service may take, with its handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a quiet connection is pinged, so that a dead peer is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered: gRPC's own default. Less ends healthy connections of a busy machine.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A channel to one service.
pub type ServiceChannel = InterceptedService<Unsent, Hop>;

/// An address that cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is none.
    #[error("{address:?} is no address of a service; write it like http://127.0.0.1:50051 or https://catalog:50051")]
    Form {
        /// What was given.
        address: String,
        /// Why.
        #[source]
        source: Option<tonic::transport::Error>,
    },
    /// TLS cannot be spoken with it.
    #[error("{address:?} cannot be called over TLS: {problem}")]
    Tls {
        /// What was given.
        address: String,
        /// Why.
        problem: String,
    },
    /// Everybody on the way could read it.
    #[error(
        "production refuses plaintext to {0:?}: use an https:// address, or a loopback one of a proxy that speaks TLS"
    )]
    Plaintext(String),
    /// There is no token to send, and a certificate is shown over TLS alone.
    #[error(
        "a service without a key (--service-key-file) is nobody to {0:?}: use an https:// address, where its certificate is shown"
    )]
    Nobody(String),
}

/// A channel to the service `audience` at `address`, connected when first used
/// and again whenever it was lost. `identity` signs the calls; without one they
/// are anonymous. In plaintext: [`open_with`] takes `https` too.
pub fn open(
    address: &str,
    audience: impl Into<Arc<str>>,
    identity: Option<Arc<ServiceIdentity>>,
) -> Result<ServiceChannel, AddressError> {
    channel(address, audience.into(), identity, None)
}

/// As [`open`], with what TLS is spoken with where the address is an `https` one.
pub fn open_with(
    tls: &Arc<ClientTls>,
    address: &str,
    audience: impl Into<Arc<str>>,
    identity: Option<Arc<ServiceIdentity>>,
) -> Result<ServiceChannel, AddressError> {
    channel(address, audience.into(), identity, Some(tls))
}

#[allow(clippy::disallowed_methods)] // The one place that opens channels.
fn channel(
    address: &str,
    audience: Arc<str>,
    identity: Option<Arc<ServiceIdentity>>,
    tls: Option<&Arc<ClientTls>>,
) -> Result<ServiceChannel, AddressError> {
    let form = |source| AddressError::Form { address: address.to_owned(), source };
    let uri: Uri = address.parse().map_err(|_| form(None))?;
    let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(form(None)) };
    let channel = match (scheme, tls) {
        ("https", Some(tls)) => {
            let port = uri.port_u16().unwrap_or(HTTPS_PORT);
            let refused = |problem: String| AddressError::Tls { address: address.to_owned(), problem };
            let connector = tls.connector(host, port, &audience).map_err(|error| refused(error.to_string()))?;
            // To tonic the connection is made already: it must not speak TLS within it.
            let inner = Endpoint::from_shared(format!("http://{host}:{port}")).map_err(|source| form(Some(source)))?;
            tuned(inner).origin(uri).connect_with_connector_lazy(connector)
        }
        ("https", None) => {
            let problem = "nothing is known of whom to trust".to_owned();
            return Err(AddressError::Tls { address: address.to_owned(), problem });
        }
        ("http", Some(tls)) if !tls.allows_plaintext_to(host) => {
            return Err(AddressError::Plaintext(address.to_owned()));
        }
        ("http", Some(tls)) if identity.is_none() && tls.needs_certificate() => {
            return Err(AddressError::Nobody(address.to_owned()));
        }
        ("http", _) => {
            tuned(Endpoint::from_shared(address.to_owned()).map_err(|source| form(Some(source)))?).connect_lazy()
        }
        _ => return Err(form(None)),
    };
    Ok(InterceptedService::new(Unsent::again(channel), Hop { audience, identity }))
}

fn tuned(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
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
