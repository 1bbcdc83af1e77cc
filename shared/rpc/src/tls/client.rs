//! The client's end.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::certificate::Certificate;
use super::config::is_loopback;
use super::files::{Files, Loaded, Pair, PairFiles};
use super::identity::{Identities, TlsIdentity};
use super::reload::Reloading;
use super::{Time, TlsConfig, TlsError, provider};
use crate::SystemClock;
use crate::server::{Mode, ServerConfig};

/// What a client speaks TLS with.
#[derive(Debug, Clone, Default)]
pub struct ClientTlsSettings {
    /// The authorities that servers are believed by; without it, this system's own.
    pub ca_file: Option<std::path::PathBuf>,
    /// What is shown to servers that ask.
    pub pair: Option<PairFiles>,
    /// Names in certificates that are services.
    pub identities: Vec<TlsIdentity>,
}

/// The client's end of TLS, for every call of a process.
pub struct ClientTls {
    trusting: Reloading<Trusting>,
    system: OnceLock<Arc<RootCertStore>>,
    identities: Identities,
    time: Arc<Time>,
    presents: bool,
    rules: Rules,
}

/// What is taken amiss.
#[derive(Clone, Copy)]
struct Rules {
    /// A private key that everybody on the machine may read is refused.
    guards_key: bool,
    /// Calls in plaintext may leave this machine.
    allows_plaintext: bool,
    /// Whoever calls has to be known.
    is_service: bool,
}

/// What new connections get.
struct Trusting {
    /// `None` is the system's.
    authorities: Option<Arc<RootCertStore>>,
    pair: Option<Pair>,
}

impl ClientTls {
    /// For a service: what its configuration says, and no plaintext off this machine in production, unless a mesh is
    /// said to encrypt it.
    pub fn of_service(config: &ServerConfig) -> Result<Arc<Self>, TlsError> {
        let is_production = config.mode == Mode::Production;
        let allows_plaintext = !is_production || config.mesh;
        Self::load(settings_of(&config.tls), Rules { guards_key: is_production, allows_plaintext, is_service: true })
    }

    /// For a service's program that asks about the service.
    pub(crate) fn of_probe(config: &TlsConfig) -> Result<Arc<Self>, TlsError> {
        Self::of_command(settings_of(config))
    }

    /// For a command of an operator's, or a test.
    pub fn of_command(settings: ClientTlsSettings) -> Result<Arc<Self>, TlsError> {
        Self::load(settings, Rules { guards_key: false, allows_plaintext: true, is_service: false })
    }

    fn load(settings: ClientTlsSettings, rules: Rules) -> Result<Arc<Self>, TlsError> {
        let ClientTlsSettings { ca_file, pair, identities } = settings;
        let presents = pair.is_some();
        let files = Files { pair, authorities: ca_file, guards_key: rules.guards_key };
        let make = |loaded: Loaded| Ok(Trusting { authorities: loaded.authorities.map(Arc::new), pair: loaded.pair });
        Ok(Arc::new(Self {
            trusting: Reloading::load("what TLS to other services is set up from", files, Box::new(make))?,
            system: OnceLock::new(),
            identities: Identities::new(&identities),
            time: Arc::new(Time(Arc::new(SystemClock))),
            presents,
            rules,
        }))
    }

    /// Whether there is a certificate to show.
    pub fn presents_certificate(&self) -> bool {
        self.presents
    }

    /// Whether a call to this host may be in plaintext.
    pub(crate) fn allows_plaintext_to(&self, host: &str) -> bool {
        self.rules.allows_plaintext || is_loopback(host)
    }

    /// Whether calls without a token have to show a certificate.
    pub(crate) fn needs_certificate(&self) -> bool {
        self.rules.is_service
    }

    /// A way to make connections to `host` for a service. The authorities have to be there.
    pub(crate) fn connector(self: &Arc<Self>, host: &str, service: &str) -> Result<Connector, ConnectorError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectorError::Host)?;
        self.authorities(&self.trusting.current())?;
        Ok(Connector { tls: self.clone(), host: host.into(), name, service: service.into() })
    }

    fn authorities(&self, trusting: &Trusting) -> Result<Arc<RootCertStore>, TlsError> {
        if let Some(authorities) = trusting.authorities.as_ref().or_else(|| self.system.get()) {
            return Ok(authorities.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(found.certs);
        if added == 0 {
            let why = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
            return Err(TlsError::NoSystemRoots(why));
        }
        Ok(self.system.get_or_init(|| Arc::new(store)).clone())
    }

    /// With what the files hold now: a certificate that was replaced must not be shown to a server that knows only the
    /// new one, and connections are rare enough to look each time.
    pub(super) fn config(&self, service: &Arc<str>) -> Result<ClientConfig, TlsError> {
        self.trusting.look();
        let trusting = self.trusting.current();
        let verifier = ServiceVerifier {
            authorities: self.authorities(&trusting)?,
            identities: self.identities.clone(),
            service: service.clone(),
            algorithms: provider().signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_details(provider(), self.time.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .dangerous() // Nothing is left out: see the verifier.
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &trusting.pair {
            Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn settings_of(config: &TlsConfig) -> ClientTlsSettings {
    ClientTlsSettings {
        ca_file: config.tls_ca_file.clone(),
        pair: config.own_pair(),
        identities: config.tls_service_identities.clone(),
    }
}

/// An https address that cannot be called.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    #[error("the host is no name and no address")]
    Host,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Makes TLS connections to one service.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Arc<ClientTls>,
    host: Arc<str>,
    name: ServerName<'static>,
    service: Arc<str>,
}

impl Connector {
    /// A connection to one of the host's addresses.
    pub(crate) async fn connect(self, address: SocketAddr) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
        let (tls, service) = (self.tls.clone(), self.service.clone());
        let config = tokio::task::spawn_blocking(move || tls.config(&service)).await.map_err(io::Error::other)?;
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let tls = tokio_rustls::TlsConnector::from(Arc::new(config.map_err(io::Error::other)?));
        let stream = tls.connect(self.name.clone(), tcp).await.inspect_err(|error| {
            let (service, host) = (&*self.service, &*self.host);
            tracing::warn!(service, host, %error, "no TLS connection to a service");
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "the server does not speak HTTP/2"));
        }
        Ok(TokioIo::new(stream))
    }
}

/// Verifies servers as rustls does, but takes a certificate that is the wanted service by the operator's list as well as
/// one for the address's host: a SPIFFE certificate has no host names.
#[derive(Debug)]
struct ServiceVerifier {
    authorities: Arc<RootCertStore>,
    identities: Identities,
    service: Arc<str>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ServiceVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let (authorities, all) = (&self.authorities, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&parsed, authorities, intermediates, now, all)?;
        if let Err(other_name) = verify_server_name(&parsed, server_name) {
            let names = Certificate::read(end_entity)?.names;
            if !self.identities.are(&names, &self.service) {
                return Err(other_name);
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
