//! The way to another service of ours: every hop carries the deadline, the trace
//! and this service's identity.

mod connection;
mod places;
mod target;
mod unsent;

use std::sync::Arc;

use tenantry_telemetry::propagation;
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Status};

use crate::Error;
use crate::auth::ServiceIdentity;
pub use crate::measure::ServiceChannel;
use crate::tls::ClientTls;
use places::Places;
use target::Target;
pub(crate) use unsent::Unsent;

/// An address that cannot be called.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It is none.
    #[error("{address:?} is no address of a service; write it like http://127.0.0.1:50051 or https://catalog:50051")]
    Form {
        /// What was given.
        address: String,
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

/// A channel to the service `audience` at `addresses`, one or several with commas
/// between them, connected when first used and again whenever it was lost. Every
/// address of their names takes its turn. `identity` signs the calls; without one
/// they are anonymous. In plaintext: [`open_with`] takes `https` too.
pub fn open(
    addresses: &str,
    audience: impl Into<Arc<str>>,
    identity: Option<Arc<ServiceIdentity>>,
) -> Result<ServiceChannel, AddressError> {
    channel(addresses, audience.into(), identity, None)
}

/// As [`open`], with what TLS is spoken with where an address is an `https` one.
pub fn open_with(
    tls: &Arc<ClientTls>,
    addresses: &str,
    audience: impl Into<Arc<str>>,
    identity: Option<Arc<ServiceIdentity>>,
) -> Result<ServiceChannel, AddressError> {
    channel(addresses, audience.into(), identity, Some(tls))
}

fn channel(
    addresses: &str,
    audience: Arc<str>,
    identity: Option<Arc<ServiceIdentity>>,
    tls: Option<&Arc<ClientTls>>,
) -> Result<ServiceChannel, AddressError> {
    let target = |address: &str| {
        let target = Target::parse(address.trim(), &audience, tls)?;
        if identity.is_none() && !target.speaks_tls() && tls.is_some_and(|tls| tls.needs_certificate()) {
            return Err(AddressError::Nobody(address.to_owned()));
        }
        Ok(target)
    };
    let targets = addresses.split(',').map(target).collect::<Result<Vec<_>, _>>()?;
    let peer = targets.first().map(Target::peer).unwrap_or_default();
    let channel = Unsent::again(Places::new(targets, Box::new(target::by_the_system)));
    Ok(ServiceChannel::new(InterceptedService::new(channel, Hop { audience, identity }), peer))
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
