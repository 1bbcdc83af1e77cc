//! The server's end.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::Peer;
use super::files::{Loaded, Pair};
use super::identity::Identities;
use super::reload::Reloading;
use super::{Time, TlsConfig, TlsError, provider};
use crate::server::Mode;
use crate::{Clock, Shutdown};

/// What is spoken over TLS: gRPC, and plain HTTP/1.1 for documents.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// A certificate's end is looked at so often at least: the clock may have been set.
const LONGEST_NAP: Duration = Duration::from_secs(3_600);

/// The server's end of TLS.
pub(crate) struct ServerTls {
    serving: Reloading<Serving>,
    identities: Identities,
    time: Arc<Time>,
    handshake_timeout: Duration,
    reload_interval: Duration,
    /// Whether the end of the certificate is in the log.
    end_is_told: AtomicBool,
}

/// What new connections get.
pub(crate) struct Serving {
    config: Arc<ServerConfig>,
    /// How clients' certificates are verified, where they are asked for.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    pair: Pair,
}

/// A connection over which TLS is spoken.
pub(crate) struct Accepted<IO> {
    pub(crate) stream: TlsStream<IO>,
    pub(crate) peer: Option<Arc<Peer>>,
    trust: watch::Receiver<Arc<Serving>>,
}

impl ServerTls {
    /// `None` where there is no certificate to serve with.
    pub(crate) fn load(config: &TlsConfig, mode: Mode, clock: Arc<dyn Clock>) -> Result<Option<Self>, TlsError> {
        let Some(files) = config.serving_files(mode) else { return Ok(None) };
        let time = Arc::new(Time(clock));
        let (is_required, for_make) = (config.tls_require_client_cert, time.clone());
        let make = move |loaded| Serving::new(loaded, is_required, for_make.clone());
        let tls = Self {
            serving: Reloading::load("the server's TLS certificate", files, Box::new(make))?,
            identities: Identities::new(&config.tls_service_identities),
            time,
            handshake_timeout: Duration::from_millis(config.tls_handshake_timeout_ms),
            reload_interval: Duration::from_millis(config.tls_reload_interval_ms),
            end_is_told: AtomicBool::new(false),
        };
        tls.mind_the_end();
        Ok(Some(tls))
    }

    /// The handshake with a client, within its time.
    pub(crate) async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> io::Result<Accepted<IO>> {
        let mut trust = self.serving.subscribe();
        // Marked as seen: a change from here on is one of the connection's life.
        let config = trust.borrow_and_update().config.clone();
        let handshake = TlsAcceptor::from(config).accept(io);
        let stream = tokio::time::timeout(self.handshake_timeout, handshake)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long"))??;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let peer = Peer::new(chain, &self.identities).map_err(|error| io::Error::other(rustls::Error::from(error)))?;
        Ok(Accepted { stream, peer: peer.map(Arc::new), trust })
    }

    /// Resolves when the client's certificate does not count any more: it has ended, or the authorities that are trusted
    /// now do not vouch for it. Never where there is none.
    pub(crate) async fn distrusts(&self, peer: Option<&Peer>, mut trust: watch::Receiver<Arc<Serving>>) {
        let Some(peer) = peer else { return std::future::pending().await };
        loop {
            let left = peer.certificate.until.saturating_sub(self.time.0.now().timestamp());
            let Ok(left @ 0..) = u64::try_from(left) else { return };
            // The last second of it counts.
            let nap = Duration::from_secs(left.saturating_add(1)).min(LONGEST_NAP);
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                changed = trust.changed() => {
                    let serving = trust.borrow_and_update().clone();
                    // Without its sender the server is gone, and the connection with it.
                    if changed.is_err() || !serving.trusts(peer, &self.time) {
                        return;
                    }
                }
            }
        }
    }

    /// Looks at the files again and again.
    pub(crate) async fn keep_up(self: Arc<Self>, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.reload_interval) => {}
                () = shutdown.begun() => return,
            }
            let this = self.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || this.look()).await {
                tracing::error!(%error, "the server's TLS files were not looked at");
            }
        }
    }

    /// Looks at the files. Blocks on the disk.
    pub(super) fn look(&self) {
        self.serving.look();
        self.mind_the_end();
    }

    /// Says once that the certificate is over, or not begun.
    pub(super) fn mind_the_end(&self) {
        let (serving, now) = (self.serving.current(), self.time.0.now().timestamp());
        let certificate = &serving.pair.certificate;
        let is_over = now > certificate.until || now < certificate.from;
        if is_over && !self.end_is_told.swap(true, Ordering::Relaxed) {
            let (from, until) = (at(certificate.from), at(certificate.until));
            tracing::error!(
                from,
                until,
                "the server's TLS certificate does not count now, and clients refuse it: put a new one in its files"
            );
        }
        if !is_over {
            self.end_is_told.store(false, Ordering::Relaxed);
        }
    }
}

fn at(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).map_or_else(|| seconds.to_string(), |time| time.to_rfc3339())
}

impl<IO> Accepted<IO> {
    /// The stream, who is at its other end, and what tells when that counts no more.
    pub(crate) fn into_parts(self) -> (TlsStream<IO>, Option<Arc<Peer>>, watch::Receiver<Arc<Serving>>) {
        (self.stream, self.peer, self.trust)
    }
}

impl Serving {
    fn new(loaded: Loaded, is_required: bool, time: Arc<Time>) -> Result<Self, TlsError> {
        let Some(pair) = loaded.pair else {
            return Err(rustls::Error::General("there is no certificate to serve with".to_owned()).into());
        };
        let builder = ServerConfig::builder_with_details(provider(), time).with_protocol_versions(&[&TLS13, &TLS12])?;
        let (builder, clients) = match loaded.authorities {
            None => (builder.with_no_client_auth(), None),
            Some(authorities) => {
                let clients = verifier(authorities, is_required)?;
                (builder.with_client_cert_verifier(clients.clone()), Some(clients))
            }
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key.clone())));
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        if clients.is_some() {
            // A resumed session brings a certificate that nobody verifies again.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Self { config: Arc::new(config), clients, pair })
    }

    fn trusts(&self, peer: &Peer, time: &Time) -> bool {
        let (Some(clients), Some((own, between))) = (&self.clients, peer.chain.split_first()) else { return false };
        clients.verify_client_cert(own, between, time.now()).is_ok()
    }
}

fn verifier(authorities: RootCertStore, is_required: bool) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    let builder = if is_required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| rustls::Error::General(error.to_string()).into())
}
