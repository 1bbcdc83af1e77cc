//! Somebody else who issues tokens: keys of each sort, and a small server for what it publishes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};
use tenantry_rpc::auth::SigningKey;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring as provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The audience that its tokens have.
pub(crate) const CLIENT: &str = "https://api.example/tenantry";
pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(super) const KEY_SET: &str = "/keys";

/// An authority for certificates of this machine.
pub(crate) struct Authority(rcgen::Issuer<'static, KeyPair>, String);

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self(rcgen::Issuer::new(params, key), pem))
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> &str {
        &self.1
    }

    fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &self.0)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// What it answers to one path.
#[derive(Clone)]
pub(super) enum Answer {
    Json(Value),
    /// As it is, head and all.
    Raw(String),
    /// Nothing, and the connection stays.
    Silence,
}

/// A key of the issuer's.
pub(super) enum Key {
    Es(EcdsaKeyPair),
    Rs(Box<RsaKeyPair>),
    Ed(Ed25519KeyPair),
}

impl Key {
    pub(super) fn es() -> Self {
        let pkcs8 = SigningKey::generate().expect("a key");
        let random = SystemRandom::new();
        Self::Es(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random).expect("a key"))
    }

    pub(super) fn rs() -> Self {
        let der = SigningKey::der_of_pem(include_str!("../keys/rs256.pem")).expect("a key");
        Self::Rs(Box::new(RsaKeyPair::from_pkcs8(&der).expect("a key")))
    }

    pub(super) fn ed() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
    }

    pub(super) fn alg(&self) -> &'static str {
        match self {
            Self::Es(_) => "ES256",
            Self::Rs(_) => "RS256",
            Self::Ed(_) => "EdDSA",
        }
    }

    pub(super) fn jwk(&self, kid: &str) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match self {
            Self::Es(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (text(&point[1..33]), text(&point[33..]));
                json!({ "kid": kid, "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": x, "y": y })
            }
            Self::Rs(pair) => {
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                // As some publish it: neither use nor alg, and a certificate that is nobody's concern.
                json!({ "kid": kid, "kty": "RSA", "n": text(&public.n), "e": text(&public.e), "x5c": ["MII"] })
            }
            Self::Ed(pair) => {
                json!({ "kid": kid, "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        }
    }

    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let random = SystemRandom::new();
        let signature = match self {
            Self::Es(pair) => pair.sign(&random, signed.as_bytes()).expect("a signature").as_ref().to_vec(),
            Self::Rs(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).expect("a signature");
                signature
            }
            Self::Ed(pair) => pair.sign(signed.as_bytes()).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

#[derive(Default)]
struct Shelf {
    answers: HashMap<String, Answer>,
    asked: HashMap<String, usize>,
}

/// An issuer on a port of this machine, until it is dropped.
pub(crate) struct Issuer {
    /// As its tokens say it.
    pub(crate) url: String,
    pub(super) key: Key,
    shelf: Arc<Mutex<Shelf>>,
    server: tokio::task::JoinHandle<()>,
}

impl Issuer {
    /// Over https with a certificate of the authority's, or over http. With one ES256 key, `k`.
    pub(crate) async fn start(authority: Option<&Authority>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let tls = authority.map(Authority::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shelf = Arc::<Mutex<Shelf>>::default();
        let server = tokio::spawn(serve(listener, tls, shelf.clone()));
        let issuer = Self { url: format!("{scheme}://localhost:{port}"), key: Key::es(), shelf, server };
        issuer.describe(&issuer.url, &format!("{}{KEY_SET}", issuer.url));
        issuer.publish(&[issuer.key.jwk("k")]);
        Ok(issuer)
    }

    pub(super) fn describe(&self, issuer: &str, jwks_uri: &str) {
        self.answer(DISCOVERY, Answer::Json(json!({ "issuer": issuer, "jwks_uri": jwks_uri })));
    }

    pub(super) fn publish(&self, keys: &[Value]) {
        self.answer(KEY_SET, Answer::Json(json!({ "keys": keys })));
    }

    pub(super) fn answer(&self, path: &str, answer: Answer) {
        self.shelf.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// How often it was asked for this.
    pub(super) fn asked(&self, path: &str) -> usize {
        self.shelf.lock().unwrap().asked.get(path).copied().unwrap_or_default()
    }

    pub(super) fn header(&self) -> Value {
        json!({ "alg": self.key.alg(), "typ": "JWT", "kid": "k" })
    }

    /// Claims that are as they should be, with these.
    pub(super) fn claims(&self, changes: Value) -> Value {
        let now = now();
        with(&json!({ "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 600 }), changes)
    }

    /// A good token with these claims.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.key.sign(&self.header(), &self.claims(claims))
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed()
}

/// The first with the members of the second.
pub(super) fn with(base: &Value, changes: Value) -> Value {
    let mut all = base.clone();
    for (name, value) in changes.as_object().expect("an object") {
        all[name] = value.clone();
    }
    all
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shelf: Arc<Mutex<Shelf>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, shelf) = (tls.clone(), shelf.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        answer(stream, &shelf).await;
                    }
                }
                None => answer(stream, &shelf).await,
            }
        });
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, shelf: &Mutex<Shelf>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let known = {
        let mut shelf = shelf.lock().unwrap();
        *shelf.asked.entry(path.clone()).or_default() += 1;
        shelf.answers.get(&path).cloned()
    };
    let text = match known {
        Some(Answer::Json(value)) => ok(&value.to_string()),
        Some(Answer::Raw(text)) => text,
        Some(Answer::Silence) => return tokio::time::sleep(Duration::from_secs(600)).await,
        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}
