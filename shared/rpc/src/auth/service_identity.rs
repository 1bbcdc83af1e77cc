//! A service's own identity: a private key in a file, and the public keys of the
//! services it trusts in another.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::claims::ServiceClaims;
use super::{JwkMembers, SERVICE_TOKEN, SigningError, SigningKey, VerifyingKey};
use crate::Clock;
use crate::tls::{ClientTls, TlsConfig};

/// How long a service token lives, in seconds.
const LIFETIME_SECONDS: i64 = 300;
/// A token with less than this left is not used for another call, in seconds.
const RENEW_SECONDS: i64 = 60;
const PEM_HEAD: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_FOOT: &str = "-----END PRIVATE KEY-----";

/// A key file or trust file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{path}: {problem}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// There is neither a key nor a certificate.
    #[error(
        "this service has nothing to prove itself with: give --service-key-file, or --tls-cert-file and --tls-key-file"
    )]
    Nobody,
    /// There are neither keys nor names of services.
    #[error("no service could call: give --trusted-services-file, or --tls-client-ca-file and --tls-service-identity")]
    NobodyTrusted,
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SigningError),
}

/// The files of a service's identity.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Service identity")]
pub struct ServiceKeyFiles {
    /// This service's private key (PKCS#8 in PEM), as `generate-key` writes it. Not needed where the service calls over
    /// TLS with a certificate that proves it.
    #[arg(long, env = "TENANTRY_SERVICE_KEY_FILE")]
    pub service_key_file: Option<PathBuf>,

    /// The public keys of the services that may call (a JWK set), as `generate-key` extends it. Not needed where
    /// certificates prove them (--tls-service-identity).
    #[arg(long, env = "TENANTRY_TRUSTED_SERVICES_FILE")]
    pub trusted_services_file: Option<PathBuf>,
}

impl ServiceKeyFiles {
    /// What signs the calls of the service `name`; nothing where it shows a certificate and has no key.
    pub fn identity(
        &self,
        name: &str,
        tls: &ClientTls,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<Arc<ServiceIdentity>>, IdentityError> {
        match &self.service_key_file {
            Some(file) => Ok(Some(Arc::new(ServiceIdentity::load(name, file, clock)?))),
            None if tls.presents_certificate() => Ok(None),
            None => Err(IdentityError::Nobody),
        }
    }

    /// The services that may call with a token, where certificates need not prove all of them.
    pub fn trusted(&self, tls: &TlsConfig) -> Result<TrustedServices, IdentityError> {
        match &self.trusted_services_file {
            Some(file) => TrustedServices::load(file),
            None if tls.knows_services() => Ok(TrustedServices::default()),
            None => Err(IdentityError::NobodyTrusted),
        }
    }
}

/// Signs this service's calls to others.
pub struct ServiceIdentity {
    name: Arc<str>,
    key: SigningKey,
    clock: Arc<dyn Clock>,
    /// The last token for each audience, with its end.
    tokens: Mutex<HashMap<String, (Arc<str>, i64)>>,
}

impl ServiceIdentity {
    /// The identity of the service `name`, from its key file.
    pub fn load(name: &str, path: &Path, clock: Arc<dyn Clock>) -> Result<Self, IdentityError> {
        let pem = read(path)?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let pkcs8 = STANDARD.decode(body).map_err(|_| IdentityError::Content {
            path: path.to_owned(),
            problem: "not a private key in PEM".into(),
        })?;
        let key = SigningKey::from_pkcs8(name, &pkcs8)?;
        Ok(Self { name: name.into(), key, clock, tokens: Mutex::default() })
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A token for calls to the service `audience`, made anew before the last ends.
    pub fn token(&self, audience: &str) -> Result<Arc<str>, SigningError> {
        let now = self.clock.now().timestamp();
        let mut tokens = self.tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((token, exp)) = tokens.get(audience)
            && *exp - now > RENEW_SECONDS
        {
            return Ok(token.clone());
        }
        let exp = now + LIFETIME_SECONDS;
        let name = self.name.to_string();
        let claims = ServiceClaims { iss: name.clone(), sub: name, aud: audience.to_owned(), iat: now, exp };
        let token: Arc<str> = self.key.sign(SERVICE_TOKEN, &claims)?.into();
        tokens.insert(audience.to_owned(), (token.clone(), exp));
        Ok(token)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrustFile {
    keys: Vec<JwkMembers>,
}

/// The public keys of the services that may call, by name.
#[derive(Default)]
pub struct TrustedServices(HashMap<String, VerifyingKey>);

impl TrustedServices {
    /// From a JWK set whose key ids are service names.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        let mut services = HashMap::new();
        for jwk in read_trust(path)?.keys {
            let key = VerifyingKey::from_jwk(&jwk).ok_or_else(|| IdentityError::Content {
                path: path.to_owned(),
                problem: format!("the key of {:?} is no ES256 or RS256 key", jwk.kid),
            })?;
            services.insert(jwk.kid, key);
        }
        Ok(Self(services))
    }

    pub(super) fn key(&self, service: &str) -> Option<&VerifyingKey> {
        self.0.get(service)
    }
}

/// Makes a key for the service `name`: the private half into `key_file` (mode
/// 0600, never overwritten), the public half into `trust_file`, in place of an
/// older one of that name.
pub fn create_service_key(name: &str, key_file: &Path, trust_file: &Path) -> Result<(), IdentityError> {
    let pkcs8 = SigningKey::generate()?;
    let key = SigningKey::from_pkcs8(name, &pkcs8)?;
    let pem = format!("{PEM_HEAD}\n{}\n{PEM_FOOT}\n", STANDARD.encode(&pkcs8));
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| IdentityError::File { path, source }
    };
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(key_file)
        .and_then(|mut file| file.write_all(pem.as_bytes()))
        .map_err(file_error(key_file))?;

    // Several services may make their keys at once.
    let lock = fs::OpenOptions::new().create(true).append(true).open(trust_file).map_err(file_error(trust_file))?;
    lock.lock().map_err(file_error(trust_file))?;
    let begun = !read(trust_file)?.is_empty();
    let mut trust = if begun { read_trust(trust_file)? } else { TrustFile::default() };
    trust.keys.retain(|jwk| jwk.kid != name);
    trust.keys.push(key.public().clone());
    let json = serde_json::to_vec_pretty(&trust).map_err(|error| file_error(trust_file)(error.into()))?;
    fs::write(trust_file, json).map_err(file_error(trust_file))
}

fn read_trust(path: &Path) -> Result<TrustFile, IdentityError> {
    serde_json::from_str(&read(path)?)
        .map_err(|error| IdentityError::Content { path: path.to_owned(), problem: format!("not a JWK set: {error}") })
}

fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::File { path: path.to_owned(), source })
}
