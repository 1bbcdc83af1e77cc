//! Public keys, and where they come from.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_api::catalog::v1::{GetJwksRequest, GetJwksResponse};
use tokio::time::Instant;

use crate::client::{self, ServiceChannel};

/// How long the catalog may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// An ES256 public key as the members of a JWK (RFC 7517, RFC 7518).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkMembers {
    /// Key id.
    pub kid: String,
    /// Key type; `EC`.
    pub kty: String,
    /// The one algorithm that the key is good for; `ES256`.
    pub alg: String,
    /// Its use; `sig`.
    #[serde(rename = "use")]
    pub use_: String,
    /// Curve; `P-256`.
    pub crv: String,
    /// Coordinate, base64url.
    pub x: String,
    /// Coordinate, base64url.
    pub y: String,
}

impl JwkMembers {
    pub(super) fn es256(kid: String, x: String, y: String) -> Self {
        Self { kid, kty: "EC".into(), alg: "ES256".into(), use_: "sig".into(), crv: "P-256".into(), x, y }
    }
}

/// A public key that verifies ES256 signatures.
pub struct VerifyingKey(pub(super) DecodingKey);

impl VerifyingKey {
    /// From a JWK; `None` unless it is an ES256 key on P-256 of full length.
    pub fn from_jwk(jwk: &JwkMembers) -> Option<Self> {
        let fits = jwk.kty == "EC" && jwk.alg == "ES256" && jwk.crv == "P-256" && jwk.use_ == "sig";
        let full = jwk.x.len() == COORDINATE_CHARS && jwk.y.len() == COORDINATE_CHARS;
        if fits && full { DecodingKey::from_ec_components(&jwk.x, &jwk.y).ok().map(Self) } else { None }
    }
}

/// 32 bytes in base64url without padding.
const COORDINATE_CHARS: usize = 43;

/// Keys that cannot be had at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the token keys cannot be fetched")]
pub struct KeyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the keys of access tokens come from: the catalog's own key ring in the
/// catalog, the catalog's key set everywhere else.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key with this id, if there is one.
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError>;
}

/// The catalog's key set, fetched by gRPC and kept.
pub struct RemoteKeys {
    client: KeyServiceClient<ServiceChannel>,
    state: RwLock<Fetched>,
    fetching: tokio::sync::Mutex<()>,
    min_refetch: Duration,
}

#[derive(Default)]
struct Fetched {
    keys: HashMap<String, Arc<VerifyingKey>>,
    at: Option<Instant>,
}

impl RemoteKeys {
    /// Keys from the catalog behind `channel`. An unknown key id fetches the set
    /// again, but never sooner than `min_refetch` after the last time: a stream
    /// of made-up key ids must not become a stream of calls.
    pub fn new(channel: ServiceChannel, min_refetch: Duration) -> Self {
        Self {
            client: KeyServiceClient::new(channel),
            state: RwLock::default(),
            fetching: tokio::sync::Mutex::new(()),
            min_refetch,
        }
    }

    fn known(&self, kid: &str) -> (Option<Arc<VerifyingKey>>, Option<Instant>) {
        let state = self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        (state.keys.get(kid).cloned(), state.at)
    }

    async fn fetch(&self) -> Result<(), KeyError> {
        let asked = client::request(GetJwksRequest {}, Instant::now() + FETCH_TIMEOUT);
        let answer = self.client.clone().get_jwks(asked).await.map_err(|status| KeyError(status.into()))?;
        let keys = parse(answer.into_inner());
        let mut state = self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *state = Fetched { keys, at: Some(Instant::now()) };
        Ok(())
    }
}

#[async_trait]
impl KeySource for RemoteKeys {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        if let (Some(key), _) = self.known(kid) {
            return Ok(Some(key));
        }
        let _one_at_a_time = self.fetching.lock().await;
        let (key, at) = self.known(kid);
        let fresh = at.is_some_and(|at| at.elapsed() < self.min_refetch);
        if key.is_some() || fresh {
            return Ok(key);
        }
        self.fetch().await?;
        Ok(self.known(kid).0)
    }
}

fn parse(answer: GetJwksResponse) -> HashMap<String, Arc<VerifyingKey>> {
    answer
        .keys
        .into_iter()
        .filter_map(|key| {
            let jwk = JwkMembers {
                kid: key.kid,
                kty: key.kty,
                alg: key.alg,
                use_: key.r#use,
                crv: key.crv,
                x: key.x,
                y: key.y,
            };
            VerifyingKey::from_jwk(&jwk).map(|verifying| (jwk.kid, Arc::new(verifying)))
        })
        .collect()
}
