//! The signing keys of this catalog and its replicas.
//!
//! They are rows of the central database. Whoever changes them locks the ring ([`keys::lock`]), so that replicas agree;
//! everybody reads them again every second or so.

mod rotation;
mod settings;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tenantry_rpc::Error;
use tenantry_rpc::auth::{JwkMembers, KeyAlgorithm, KeyError, KeyFetch, SigningError, SigningKey};
use tokio::time::Instant;

pub(crate) use rotation::{list, revoke, rotate};
pub use settings::KeySettings;

use crate::domain::{KeyFacts, KeyState, KeyTimes};
use crate::secrets::{SealError, Sealer};
use crate::store::entities::signing_key::Model;
use crate::store::{CentralDb, StoreError, keys};

/// What signs is read again by whoever needs it when nobody has for so long. As a rule somebody has.
const KEEP: Duration = Duration::from_secs(10);

/// A key ring that cannot be read or changed.
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
    times: KeyTimes,
    ring: RwLock<Option<Arc<Ring>>>,
}

struct Ring {
    read_at: Instant,
    signing: Arc<SigningKey>,
    published: Vec<JwkMembers>,
}

impl Keyring {
    pub(crate) fn new(db: CentralDb, sealer: Sealer, times: KeyTimes) -> Self {
        Self { db, sealer, times, ring: RwLock::default() }
    }

    /// The key that signs.
    pub(crate) async fn signing_key(&self) -> Result<Arc<SigningKey>, KeyringError> {
        Ok(self.ring().await?.signing.clone())
    }

    /// What is published.
    pub(crate) async fn published(&self) -> Result<Vec<JwkMembers>, KeyringError> {
        Ok(self.ring().await?.published.clone())
    }

    async fn ring(&self) -> Result<Arc<Ring>, KeyringError> {
        let kept = self.kept();
        match kept.filter(|ring| ring.read_at.elapsed() < KEEP) {
            Some(ring) => Ok(ring),
            None => self.reread().await,
        }
    }

    fn kept(&self) -> Option<Arc<Ring>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the keys as they are now.
    async fn reread(&self) -> Result<Arc<Ring>, KeyringError> {
        let read_at = Instant::now();
        let rows = keys::list(&self.db).await?;
        let current = rows.iter().rfind(|row| row.state == KeyState::Current).ok_or(KeyringError::Empty)?;
        let signing = match self.kept().filter(|ring| ring.signing.kid() == current.id.to_string()) {
            Some(ring) => ring.signing.clone(),
            None => Arc::new(self.open(current)?),
        };
        let published = rows.iter().map(public).collect::<Result<_, _>>()?;
        let ring = Arc::new(Ring { read_at, signing, published });
        let mut kept = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        // Two who read at once may write in the other order.
        if kept.as_ref().is_none_or(|kept| kept.read_at <= read_at) {
            *kept = Some(ring.clone());
        }
        Ok(ring)
    }

    fn open(&self, row: &Model) -> Result<SigningKey, KeyringError> {
        let kid = row.id.to_string();
        let opened = self.sealer.open(&owner(&kid), &row.sealed_private);
        let pkcs8 = opened.map_err(|source| KeyringError::Sealed { kid: kid.clone(), source })?;
        Ok(SigningKey::of(algorithm(row)?, kid, &pkcs8)?)
    }
}

#[async_trait]
impl KeyFetch for Keyring {
    async fn fetch(&self) -> Result<Vec<JwkMembers>, KeyError> {
        let ring = self.reread().await.map_err(|error| KeyError(error.into()))?;
        Ok(ring.published.clone())
    }
}

fn public(row: &Model) -> Result<JwkMembers, KeyringError> {
    serde_json::from_str(&row.public_jwk).map_err(|_| KeyringError::Public(row.id.to_string()))
}

fn algorithm(row: &Model) -> Result<KeyAlgorithm, KeyringError> {
    row.algorithm.parse().map_err(|_| KeyringError::Public(row.id.to_string()))
}

/// What the schedule goes by. Keys that are made here are ES256; any other was imported.
fn facts(row: &Model) -> KeyFacts {
    let imported = row.algorithm != KeyAlgorithm::Es256.as_str();
    KeyFacts { id: row.id, state: row.state, signs_from: row.not_before, goes_at: row.not_after, imported }
}

/// Whose a sealed signing key is, as associated data.
fn owner(kid: &str) -> String {
    format!("signing-key:{kid}")
}
