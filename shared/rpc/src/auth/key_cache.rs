//! Public keys that are fetched and kept.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_api::catalog::v1::{GetJwksRequest, Jwk};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use super::{JwkMembers, VerifyingKey};
use crate::Shutdown;
use crate::client::{self, ServiceChannel};

/// How long the catalog may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Callers who may wait for a key that nobody has heard of; more are told that there is none.
const WAITING: usize = 64;

/// How the keys of tokens are kept.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Token keys")]
pub struct KeyCacheConfig {
    /// How often the keys are fetched anew, in milliseconds: the longest time in which a revoked key is still taken.
    #[arg(long, env = "TENANTRY_KEY_REFRESH_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..=3_600_000))]
    pub key_refresh_ms: u64,

    /// A key that is not known is fetched no sooner than this after the last time, in milliseconds, however many
    /// tokens name one.
    #[arg(long, env = "TENANTRY_KEY_MIN_REFETCH_MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub key_min_refetch_ms: u64,

    /// For how long a failure to fetch is the answer to everybody who needs a key that is not known, in milliseconds.
    #[arg(long, env = "TENANTRY_KEY_FAILURE_KEPT_MS", default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub key_failure_kept_ms: u64,
}

impl Default for KeyCacheConfig {
    fn default() -> Self {
        Self { key_refresh_ms: 2_000, key_min_refetch_ms: 250, key_failure_kept_ms: 500 }
    }
}

/// Keys that cannot be had at the moment.
#[derive(Debug, thiserror::Error)]
#[error("the token keys cannot be fetched")]
pub struct KeyError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Where the keys of access tokens come from.
#[async_trait]
pub trait KeySource: Send + Sync {
    /// The key with this id, if there is one.
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError>;

    /// Moves on when a key is no key any more: what was verified before has to be verified again.
    fn generation(&self) -> u64 {
        0
    }

    /// How long ago the keys were fetched, where they are.
    fn age(&self) -> Option<Duration> {
        None
    }
}

/// Who has the whole set: the catalog's own database in the catalog, the catalog everywhere else.
#[async_trait]
pub trait KeyFetch: Send + Sync {
    /// The keys that there are.
    async fn fetch(&self) -> Result<Vec<JwkMembers>, KeyError>;
}

/// The set of keys, fetched ahead of time by [`run`](Self::run) and kept for as long as no other can be had: tokens
/// are verified while the catalog is away.
pub struct KeyCache {
    from: Arc<dyn KeyFetch>,
    config: KeyCacheConfig,
    state: RwLock<State>,
    /// Held by the one who fetches.
    fetching: Mutex<()>,
    waiting: Semaphore,
    generation: AtomicU64,
    /// Whether the last time worked.
    fetches: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    keys: HashMap<String, (JwkMembers, Arc<VerifyingKey>)>,
    fetched: Option<Instant>,
    failed: Option<Instant>,
}

impl KeyCache {
    /// Keys of whoever has them.
    pub fn new(from: Arc<dyn KeyFetch>, config: KeyCacheConfig) -> Self {
        super::ring_provider::install();
        Self {
            from,
            config,
            state: RwLock::default(),
            fetching: Mutex::new(()),
            waiting: Semaphore::new(WAITING),
            generation: AtomicU64::new(0),
            fetches: watch::Sender::new(false),
        }
    }

    /// The catalog's keys, by gRPC.
    pub fn of_catalog(channel: ServiceChannel, config: KeyCacheConfig) -> Self {
        Self::new(Arc::new(Catalog(KeyServiceClient::new(channel))), config)
    }

    /// Fetches ahead of time until the shutdown begins.
    pub async fn run(&self, shutdown: Shutdown) {
        let mut warned = false;
        while !shutdown.has_begun() {
            match self.refresh().await {
                Ok(()) => warned = false,
                Err(error) if !warned => {
                    warned = true;
                    tracing::warn!(%error, cause = %error.0, "the token keys stay as they are");
                }
                Err(error) => tracing::debug!(%error, "the token keys still stay as they are"),
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(self.config.key_refresh_ms)) => {}
                () = shutdown.begun() => {}
            }
        }
    }

    /// Fetches now.
    pub async fn refresh(&self) -> Result<(), KeyError> {
        let _alone = self.fetching.lock().await;
        self.fetch().await
    }

    /// Whether the keys could be fetched when it was last tried.
    pub fn fetches(&self) -> watch::Receiver<bool> {
        self.fetches.subscribe()
    }

    /// How long ago the keys were fetched; `None` before that.
    pub fn age(&self) -> Option<Duration> {
        self.times().0.map(|fetched| fetched.elapsed())
    }

    /// Fetches, unless the keys are no older than this or it has just failed: for those who look when they need a key,
    /// and not all the time.
    pub async fn refresh_if_older(&self, age: Duration) -> Result<(), KeyError> {
        let _alone = self.fetching.lock().await;
        if self.age().is_some_and(|known| known <= age) {
            return Ok(());
        }
        self.check_failure()?;
        self.fetch().await
    }

    async fn fetch(&self) -> Result<(), KeyError> {
        match self.from.fetch().await {
            Ok(keys) => {
                self.take(keys);
                self.fetches.send_if_modified(|works| !std::mem::replace(works, true));
                Ok(())
            }
            Err(error) => {
                self.state.write().unwrap_or_else(PoisonError::into_inner).failed = Some(Instant::now());
                self.fetches.send_if_modified(|works| std::mem::replace(works, false));
                Err(error)
            }
        }
    }

    fn take(&self, jwks: Vec<JwkMembers>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut keys = HashMap::with_capacity(jwks.len());
        for jwk in jwks {
            let kept = state.keys.get(&jwk.kid).filter(|(known, _)| *known == jwk).map(|(_, key)| key.clone());
            match kept.or_else(|| VerifyingKey::from_jwk(&jwk).map(Arc::new)) {
                Some(key) => drop(keys.insert(jwk.kid.clone(), (jwk, key))),
                None => tracing::warn!(kid = jwk.kid, "a published key is of no use here"),
            }
        }
        let all_stay = state.keys.values().all(|(jwk, _)| keys.get(&jwk.kid).is_some_and(|(now, _)| now == jwk));
        *state = State { keys, fetched: Some(Instant::now()), failed: None };
        if !all_stay {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    fn known(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.keys.get(kid).map(|(_, key)| key.clone())
    }

    /// When the keys were fetched, and when that failed since.
    fn times(&self) -> (Option<Instant>, Option<Instant>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (state.fetched, state.failed)
    }

    fn check_failure(&self) -> Result<(), KeyError> {
        let kept = Duration::from_millis(self.config.key_failure_kept_ms);
        match self.times().1 {
            Some(failed) if failed.elapsed() < kept => Err(KeyError("they could not be fetched just now".into())),
            Some(_) | None => Ok(()),
        }
    }

    /// Fetches for somebody with a key id that is not known, unless somebody else has meanwhile.
    async fn look_again(&self) -> Result<(), KeyError> {
        let asked = Instant::now();
        let _alone = self.fetching.lock().await;
        let (fetched, _) = self.times();
        if fetched.is_some_and(|fetched| fetched > asked) {
            return Ok(());
        }
        self.check_failure()?;
        if let Some(fetched) = fetched {
            tokio::time::sleep_until(fetched + Duration::from_millis(self.config.key_min_refetch_ms)).await;
        }
        self.fetch().await
    }
}

#[async_trait]
impl KeySource for KeyCache {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        if let Some(key) = self.known(kid) {
            return Ok(Some(key));
        }
        self.check_failure()?;
        // Whoever sends made-up ids gets a refusal sooner than a place in a queue.
        let Ok(_place) = self.waiting.try_acquire() else {
            return match self.times().0 {
                Some(_) => Ok(None),
                None => Err(KeyError("they have not been fetched yet".into())),
            };
        };
        self.look_again().await?;
        Ok(self.known(kid))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn age(&self) -> Option<Duration> {
        KeyCache::age(self)
    }
}

struct Catalog(KeyServiceClient<ServiceChannel>);

#[async_trait]
impl KeyFetch for Catalog {
    async fn fetch(&self) -> Result<Vec<JwkMembers>, KeyError> {
        let asked = client::request(GetJwksRequest {}, Instant::now() + FETCH_TIMEOUT);
        let answer = self.0.clone().get_jwks(asked).await.map_err(|status| KeyError(status.into()))?;
        Ok(answer.into_inner().keys.into_iter().map(JwkMembers::from).collect())
    }
}

impl From<Jwk> for JwkMembers {
    fn from(jwk: Jwk) -> Self {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let (crv, x, y, n, e) = (some(jwk.crv), some(jwk.x), some(jwk.y), some(jwk.n), some(jwk.e));
        Self { kid: jwk.kid, kty: jwk.kty, alg: jwk.alg, use_: jwk.r#use, crv, x, y, n, e }
    }
}

impl From<JwkMembers> for Jwk {
    fn from(jwk: JwkMembers) -> Self {
        let [crv, x, y, n, e] = [jwk.crv, jwk.x, jwk.y, jwk.n, jwk.e].map(Option::unwrap_or_default);
        Self { kid: jwk.kid, kty: jwk.kty, alg: jwk.alg, r#use: jwk.use_, crv, x, y, n, e }
    }
}

#[cfg(test)]
#[path = "key_cache_tests.rs"]
mod tests;
