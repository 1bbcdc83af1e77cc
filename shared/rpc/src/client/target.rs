//! One address of a service, as it was configured.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Error};

use super::AddressError;
use super::connection::Once;
use crate::measure::Peer;
use crate::tls::{ClientTls, Connector};

/// Where https and http are, if an address does not say.
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;
/// How long a connection to a service may take, with its handshake.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a quiet connection is pinged, so that a dead peer is noticed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// How long a ping may stay unanswered: gRPC's own default. Less ends healthy connections of a busy machine.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A host and its port, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Target {
    origin: Uri,
    host: Arc<str>,
    port: u16,
    connector: Option<Connector>,
}

/// Its host and port.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Target {
    /// Of `address`, for the service `audience`. Without `tls` it has to be plaintext.
    pub(super) fn parse(address: &str, audience: &str, tls: Option<&Arc<ClientTls>>) -> Result<Self, AddressError> {
        let form = || AddressError::Form { address: address.to_owned() };
        let origin: Uri = address.parse().map_err(|_| form())?;
        let (Some(scheme), Some(host)) = (origin.scheme_str(), origin.host()) else { return Err(form()) };
        let refused = |problem: String| AddressError::Tls { address: address.to_owned(), problem };
        let (connector, default_port) = match (scheme, tls) {
            ("https", Some(tls)) => {
                let connector = tls.connector(host, audience).map_err(|error| refused(error.to_string()))?;
                (Some(connector), HTTPS_PORT)
            }
            ("https", None) => return Err(refused("nothing is known of whom to trust".to_owned())),
            ("http", Some(tls)) if !tls.allows_plaintext_to(host) => {
                return Err(AddressError::Plaintext(address.to_owned()));
            }
            ("http", _) => (None, HTTP_PORT),
            _ => return Err(form()),
        };
        let (host, port) = (host.into(), origin.port_u16().unwrap_or(default_port));
        Ok(Self { origin, host, port, connector })
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    pub(super) fn speaks_tls(&self) -> bool {
        self.connector.is_some()
    }

    pub(super) fn peer(&self) -> Peer {
        Peer { address: self.host.to_string(), port: self.port }
    }

    /// The address, where the host is one and no name.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }

    /// A channel over one connection to one of its addresses.
    #[allow(clippy::disallowed_methods)] // The one place that opens channels.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<Channel, Error> {
        // To tonic a connection that speaks TLS is made already: it must not speak TLS within it.
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?
            .origin(self.origin.clone())
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        match self.connector.clone() {
            Some(connector) => endpoint.connect_with_connector(Once::new(connector.connect(address))).await,
            None => endpoint.connect_with_connector(Once::new(in_plaintext(address))).await,
        }
    }
}

async fn in_plaintext(address: SocketAddr) -> io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// The addresses of its name, as the system resolves it.
pub(super) fn by_the_system(target: &Target) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
    let (host, port) = (target.host.clone(), target.port);
    Box::pin(async move { Ok(tokio::net::lookup_host((&*host, port)).await?.collect()) })
}
