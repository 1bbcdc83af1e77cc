//! The signing keys of this catalog and its replicas.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tenantry_ids::{IdSource, KeyId};
use tenantry_rpc::auth::{JwkMembers, KeyError, KeySource, SigningError, SigningKey, VerifyingKey};
use tenantry_rpc::{Clock, Error};
use tokio::time::Instant;

use crate::secrets::{SealError, Sealer};
use crate::store::entities::signing_key::{Model, State};
use crate::store::{CentralDb, StoreError, keys};

/// How long the ring is used before it is read again.
const KEEP: Duration = Duration::from_secs(30);
/// An unknown key id reads the ring again no sooner than this.
const MIN_REREAD: Duration = Duration::from_secs(1);

/// A key ring that cannot be read or begun.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The central database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key does not open.
    #[error("signing key {kid} cannot be used")]
    Sealed {
        /// The key's id.
        kid: String,
        /// Why.
        source: SealError,
    },
    /// A key is no key.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The public half is no JWK.
    #[error("signing key {0} has no usable public key")]
    Public(String),
    /// There is no current key.
    #[error("there is no current signing key")]
    Empty,
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Store(error) => error.into(),
            KeyringError::Sealed { .. } | KeyringError::Signing(_) | KeyringError::Public(_) | KeyringError::Empty => {
                Error::internal(error)
            }
        }
    }
}

/// The keys, read from the central database and kept for a while.
pub(crate) struct Keyring {
    db: CentralDb,
    sealer: Sealer,
    ring: RwLock<Option<Arc<Ring>>>,
}

struct Ring {
    read_at: Instant,
    signing: Arc<SigningKey>,
    published: Vec<(JwkMembers, Arc<VerifyingKey>)>,
}

impl Keyring {
    pub(crate) fn new(db: CentralDb, sealer: Sealer) -> Self {
        Self { db, sealer, ring: RwLock::default() }
    }

    /// Makes the first key where there is none. Two replicas that start at once
    /// make one each, which is harmless: both are published.
    pub(crate) async fn ensure_key(&self, ids: &dyn IdSource, clock: &dyn Clock) -> Result<(), KeyringError> {
        if !keys::list(&self.db).await?.is_empty() {
            return Ok(());
        }
        let id = KeyId::new(ids);
        let kid = id.to_string();
        let pkcs8 = zeroize::Zeroizing::new(SigningKey::generate()?);
        let key = SigningKey::from_pkcs8(&kid, &pkcs8)?;
        let sealed = self
            .sealer
            .seal(&owner(&kid), &pkcs8)
            .map_err(|source| KeyringError::Sealed { kid: kid.clone(), source })?;
        let public_jwk = serde_json::to_string(key.public()).map_err(|_| KeyringError::Public(kid))?;
        let now = clock.now();
        let row = Model {
            id,
            algorithm: "ES256".to_owned(),
            state: State::Current,
            public_jwk,
            sealed_private: sealed,
            not_before: now,
            not_after: None,
            created_at: now,
        };
        Ok(keys::insert(&self.db, row).await?)
    }

    /// The key that signs.
    pub(crate) async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyringError> {
        Ok(self.ring(KEEP).await?.signing.clone())
    }

    /// What is published.
    pub(crate) async fn published(&self) -> Result<Vec<JwkMembers>, KeyringError> {
        Ok(self.ring(KEEP).await?.published.iter().map(|(jwk, _)| jwk.clone()).collect())
    }

    async fn ring(&self, newer_than: Duration) -> Result<Arc<Ring>, KeyringError> {
        let kept = self.ring.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(ring) = kept.filter(|ring| ring.read_at.elapsed() < newer_than) {
            return Ok(ring);
        }
        let ring = Arc::new(self.read().await?);
        *self.ring.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(ring.clone());
        Ok(ring)
    }

    async fn read(&self) -> Result<Ring, KeyringError> {
        let rows = keys::list(&self.db).await?;
        let current = rows.iter().rfind(|row| row.state == State::Current).ok_or(KeyringError::Empty)?;
        let kid = current.id.to_string();
        let opened = self.sealer.open(&owner(&kid), &current.sealed_private);
        let pkcs8 = opened.map_err(|source| KeyringError::Sealed { kid: kid.clone(), source })?;
        let signing = Arc::new(SigningKey::from_pkcs8(kid, &pkcs8)?);
        let published = rows.iter().map(public).collect::<Result<_, _>>()?;
        Ok(Ring { read_at: Instant::now(), signing, published })
    }
}

fn public(row: &Model) -> Result<(JwkMembers, Arc<VerifyingKey>), KeyringError> {
    let bad = || KeyringError::Public(row.id.to_string());
    let jwk: JwkMembers = serde_json::from_str(&row.public_jwk).map_err(|_| bad())?;
    let key = VerifyingKey::from_jwk(&jwk).ok_or_else(bad)?;
    Ok((jwk, Arc::new(key)))
}

/// Whose a sealed signing key is, as associated data.
fn owner(kid: &str) -> String {
    format!("signing-key:{kid}")
}

#[async_trait]
impl KeySource for Keyring {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        let find = |ring: &Ring| ring.published.iter().find(|(jwk, _)| jwk.kid == kid).map(|(_, key)| key.clone());
        let known = find(&*self.ring(KEEP).await.map_err(|error| KeyError(error.into()))?);
        if known.is_some() {
            return Ok(known);
        }
        Ok(find(&*self.ring(MIN_REREAD).await.map_err(|error| KeyError(error.into()))?))
    }
}
