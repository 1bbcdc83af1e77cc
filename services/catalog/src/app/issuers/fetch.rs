//! What issuers publish, fetched by HTTPS: one small document at a time, from where an operator said, and no further.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes};
use hyper::header::{ACCEPT, CONTENT_ENCODING, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri, client};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use url::Url;

use super::IssuerSettings;

/// A document that was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it took longer than {} ms", .0.as_millis())]
    Late(Duration),
    #[error("no connection")]
    Connect(#[from] std::io::Error),
    #[error("its name is none for a certificate")]
    Name(#[from] InvalidDnsNameError),
    #[error("it speaks no HTTP")]
    Http(#[from] hyper::Error),
    #[error("no request can be made of its URL")]
    Request(#[from] hyper::http::Error),
    #[error("it answered {0}, where only 200 will do: redirects are not followed")]
    Status(StatusCode),
    #[error("it sent more than {0} bytes")]
    TooLong(usize),
    #[error("its answer is compressed, which was not asked for")]
    Encoded,
}

/// Fetches documents.
pub(super) struct Fetcher {
    tls: TlsConnector,
    timeout: Duration,
    most_bytes: usize,
}

impl Fetcher {
    /// With the certificate authorities of browsers, and those of the configuration.
    pub(super) fn new(settings: &IssuerSettings) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = &settings.issuer_ca_file {
            let problem = |why: &dyn std::fmt::Display| format!("--issuer-ca-file {}: {why}", file.display());
            let certificates = CertificateDer::pem_file_iter(file).map_err(|error| problem(&error))?;
            let before = roots.len();
            for certificate in certificates {
                let certificate = certificate.map_err(|error| problem(&error))?;
                roots.add(certificate).map_err(|error| problem(&error))?;
            }
            if roots.len() == before {
                return Err(problem(&"there is no certificate in PEM in it"));
            }
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            timeout: Duration::from_millis(settings.issuer_fetch_timeout_ms),
            most_bytes: settings.issuer_max_document_bytes,
        })
    }

    /// The document there. Whether the place will do is the caller's to judge.
    pub(super) async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let fetched = tokio::time::timeout(self.timeout, self.connect_and_get(url)).await;
        fetched.map_err(|_| FetchError::Late(self.timeout))?
    }

    async fn connect_and_get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        // A URL has an IPv6 address in brackets, which are no part of it.
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(443))).await?;
        if url.scheme() != "https" {
            return self.ask(stream, url).await;
        }
        let name = ServerName::try_from(host.to_owned())?;
        self.ask(self.tls.connect(name, stream).await?, url).await
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        url: &Url,
    ) -> Result<Vec<u8>, FetchError> {
        let (mut sender, connection) = client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let target: Uri = url[url::Position::BeforePath..].parse().map_err(hyper::http::Error::from)?;
        let request = Request::get(target)
            .header(HOST, &url[url::Position::BeforeHost..url::Position::AfterPort])
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, "tenantry-catalog")
            .body(Empty::<Bytes>::new())?;
        let exchange = async {
            let answer = sender.send_request(request).await?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status(answer.status()));
            }
            if answer.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
                return Err(FetchError::Encoded);
            }
            self.read(answer.into_body()).await
        };
        tokio::pin!(exchange);
        tokio::select! {
            done = &mut exchange => done,
            ended = connection => {
                ended?;
                exchange.await
            }
        }
    }

    /// Reads on only for as long as there is room, whatever the answer said of its length.
    async fn read(
        &self,
        mut body: impl Body<Data = Bytes, Error = hyper::Error> + Unpin,
    ) -> Result<Vec<u8>, FetchError> {
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            if data.len() > self.most_bytes - read.len() {
                return Err(FetchError::TooLong(self.most_bytes));
            }
            read.extend_from_slice(&data);
        }
        Ok(read)
    }
}
