//! The keys of issuers: found by discovery, kept for each, and fetched no more often than the settings say, however
//! many tokens come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tenantry_ids::IssuerId;
use tenantry_rpc::auth::{
    JwkMembers, KeyAlgorithm, KeyCache, KeyCacheConfig, KeyError, KeyFetch, KeySource, VerifyingKey,
};
use tokio_util::task::TaskTracker;
use url::Url;

use super::fetch::Fetcher;
use super::{IssuerSettings, texts};
use crate::domain::{IssuerUrl, PlainHttp};
use crate::store::entities::issuer::Model;

/// Keys of one issuer that are looked at; more are left out.
const MOST_KEYS: usize = 100;
/// Issuers whose keys are kept; with more, all are fetched anew. Far more than anybody registers.
const MOST_ISSUERS: usize = 1_000;

/// The keys of all issuers, as this process knows them.
pub(crate) struct IssuerKeys {
    fetcher: Arc<Fetcher>,
    settings: IssuerSettings,
    plain_http: PlainHttp,
    tasks: TaskTracker,
    /// With the revision that they are of: an issuer that was changed may have others.
    kept: Mutex<HashMap<IssuerId, (i64, Arc<KeptKeys>)>>,
}

impl IssuerKeys {
    /// Fetches nothing yet; what is wrong with the settings. What is fetched behind a caller is one of `tasks`.
    pub(crate) fn new(settings: IssuerSettings, plain_http: PlainHttp, tasks: TaskTracker) -> Result<Self, String> {
        settings.validate()?;
        let fetcher = Arc::new(Fetcher::new(&settings)?);
        Ok(Self { fetcher, settings, plain_http, tasks, kept: Mutex::default() })
    }

    /// Whether http will do.
    pub(crate) fn plain_http(&self) -> PlainHttp {
        self.plain_http
    }

    /// An issuer's keys.
    pub(super) fn of(&self, issuer: &Model) -> Arc<KeptKeys> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, keys)) = kept.get(&issuer.id).filter(|(revision, _)| *revision == issuer.revision) {
            return keys.clone();
        }
        if kept.len() >= MOST_ISSUERS {
            kept.clear();
        }
        let published = Published {
            issuer: issuer.issuer_url.clone(),
            hosts: texts(&issuer.key_hosts),
            plain_http: self.plain_http,
            fetcher: self.fetcher.clone(),
        };
        let settings = &self.settings;
        let config = KeyCacheConfig {
            key_min_refetch_ms: settings.issuer_key_min_refetch_ms,
            key_failure_kept_ms: settings.issuer_key_failure_kept_ms,
            ..KeyCacheConfig::default()
        };
        let keys = Arc::new(KeptKeys {
            cache: Arc::new(KeyCache::new(Arc::new(published), config)),
            refresh: Duration::from_secs(settings.issuer_key_refresh_s),
            staleness: Duration::from_secs(settings.issuer_key_staleness_s),
            is_refreshing: Arc::default(),
            tasks: self.tasks.clone(),
        });
        kept.insert(issuer.id, (issuer.revision, keys.clone()));
        keys
    }
}

/// The keys of one issuer. Old ones are fetched anew behind whoever asks, and go on to be taken while that fails, up to
/// a bound.
pub(super) struct KeptKeys {
    cache: Arc<KeyCache>,
    refresh: Duration,
    staleness: Duration,
    is_refreshing: Arc<AtomicBool>,
    tasks: TaskTracker,
}

#[async_trait]
impl KeySource for KeptKeys {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        match self.cache.age() {
            Some(age) if age > self.staleness => self.cache.refresh_if_older(self.staleness).await?,
            Some(age) if age > self.refresh => self.refresh_behind(),
            Some(_) | None => {}
        }
        self.cache.key(kid).await
    }
}

impl KeptKeys {
    fn refresh_behind(&self) {
        if self.is_refreshing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (cache, refresh, is_refreshing) = (self.cache.clone(), self.refresh, self.is_refreshing.clone());
        self.tasks.spawn(async move {
            if let Err(error) = cache.refresh_if_older(refresh).await {
                tracing::warn!(%error, cause = %error.0, "an issuer's keys stay as they are");
            }
            is_refreshing.store(false, Ordering::Release);
        });
    }
}

/// What an issuer publishes.
struct Published {
    issuer: String,
    hosts: Vec<String>,
    plain_http: PlainHttp,
    fetcher: Arc<Fetcher>,
}

#[async_trait]
impl KeyFetch for Published {
    async fn fetch(&self) -> Result<Vec<JwkMembers>, KeyError> {
        let issuer = IssuerUrl::parse(&self.issuer, self.plain_http).map_err(|problem| KeyError(problem.into()))?;
        let described = self.document(&issuer.discovery()).await?;
        // OpenID Connect Discovery 1.0, section 4.3: or somebody else's document would do.
        if described["issuer"] != self.issuer {
            return Err(KeyError("its discovery document is another issuer's".into()));
        }
        let at = described["jwks_uri"].as_str().unwrap_or_default();
        let at = issuer.key_set(at, &self.hosts, self.plain_http).map_err(|problem| KeyError(problem.into()))?;
        let set = self.document(&at).await?;
        let keys = set["keys"].as_array().ok_or_else(|| KeyError("its key set has no keys".into()))?;
        Ok(keys.iter().take(MOST_KEYS).filter_map(members).collect())
    }
}

impl Published {
    async fn document(&self, at: &Url) -> Result<Value, KeyError> {
        let failed = |error: &dyn std::fmt::Display| {
            tracing::warn!(issuer = self.issuer, url = %at, cause = %error, "an issuer's document cannot be had");
        };
        let bytes = self.fetcher.get(at).await.map_err(|error| {
            failed(&error);
            KeyError(error.into())
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            failed(&error);
            KeyError(error.into())
        })
    }
}

/// A published key, where it is one to verify with. What it does not say follows from its type (RFC 7517, section 4:
/// `use` and `alg` are optional); what it says otherwise makes it none.
fn members(key: &Value) -> Option<JwkMembers> {
    let text = |name: &str| key[name].as_str().map(str::to_owned);
    let (kty, crv) = (text("kty")?, text("crv"));
    let fitting = match (kty.as_str(), crv.as_deref()) {
        ("EC", Some("P-256")) => KeyAlgorithm::Es256,
        ("RSA", None) => KeyAlgorithm::Rs256,
        ("OKP", Some("Ed25519")) => KeyAlgorithm::EdDsa,
        _ => return None,
    };
    let says_else = |name: &str, expected: &dyn Fn(&str) -> bool| !key[name].as_str().is_none_or(expected);
    if says_else("use", &|word| word == "sig") || says_else("alg", &|alg| alg.parse() == Ok(fitting)) {
        return None;
    }
    Some(JwkMembers {
        kid: text("kid").filter(|kid| !kid.is_empty())?,
        kty,
        alg: fitting.as_str().to_owned(),
        use_: "sig".to_owned(),
        crv,
        x: text("x"),
        y: text("y"),
        n: text("n"),
        e: text("e"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_taken_for_what_they_are_good_for() {
        let rsa = json!({ "kid": "r", "kty": "RSA", "n": "n", "e": "AQAB", "x5c": ["a certificate"] });
        assert!(members(&rsa).is_some_and(|jwk| jwk.alg == "RS256" && jwk.use_ == "sig"));
        let ec = json!({ "kid": "e", "kty": "EC", "crv": "P-256", "x": "x", "y": "y", "use": "sig", "alg": "ES256" });
        assert!(members(&ec).is_some_and(|jwk| jwk.alg == "ES256"));
        let ed = json!({ "kid": "d", "kty": "OKP", "crv": "Ed25519", "x": "x", "alg": "Ed25519" });
        assert!(members(&ed).is_some_and(|jwk| jwk.alg == "EdDSA"));
        let changed = |base: &Value, name: &str, value: &str| {
            let mut key = base.clone();
            key[name] = value.into();
            key
        };
        let bad = [
            changed(&rsa, "use", "enc"),
            changed(&rsa, "alg", "RS512"),
            changed(&rsa, "alg", "HS256"),
            changed(&rsa, "kid", ""),
            changed(&ec, "alg", "RS256"),
            changed(&ec, "crv", "P-384"),
            changed(&ed, "crv", "X25519"),
            json!({ "kid": "s", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "RSA", "n": "n", "e": "AQAB" }),
            json!("a text"),
            json!(null),
        ];
        for key in bad {
            assert!(members(&key).is_none(), "{key}");
        }
    }
}
