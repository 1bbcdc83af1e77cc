//! A cache in front of a directory, which outlives the directory's outages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use moka::future::Cache;
use tenantry_ids::CompanyId;
use tokio::time::Instant;

use super::{Directory, ResolveError};
use crate::{ConfigError, Placement};

/// How long "no such tenant" is believed: long enough that a flood of requests
/// for a made-up tenant is one question, short enough that nobody who has just
/// signed up notices.
const NOT_FOUND_TTL: Duration = Duration::from_secs(1);

/// How long a stale placement is served before an unavailable directory is
/// asked again, so that an outage is not made worse by every request.
const OUTAGE_TTL: Duration = Duration::from_secs(1);

/// Refused requests of one tenant ask the directory no more often than this.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// How placements are remembered.
#[derive(Debug, Clone, Args)]
pub struct PlacementCacheConfig {
    /// Milliseconds that a placement is used without asking again.
    #[arg(long, env = "TENANTRY_PLACEMENT_TTL_MS", default_value_t = 30_000)]
    pub placement_ttl_ms: u64,
    /// The number of placements that are remembered.
    #[arg(long, env = "TENANTRY_PLACEMENT_CAPACITY", default_value_t = 100_000)]
    pub placement_capacity: u64,
    /// Seconds since it was last confirmed that a placement is still used when
    /// the directory is unavailable.
    #[arg(long, env = "TENANTRY_PLACEMENT_STALENESS_S", default_value_t = 3_600)]
    pub placement_staleness_s: u64,
}

impl Default for PlacementCacheConfig {
    fn default() -> Self {
        Self { placement_ttl_ms: 30_000, placement_capacity: 100_000, placement_staleness_s: 3_600 }
    }
}

impl PlacementCacheConfig {
    /// Refuses what cannot work, before a socket opens.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.placement_capacity == 0 {
            return Err(ConfigError::new("placement_capacity must be at least 1"));
        }
        if self.placement_staleness_s.saturating_mul(1_000) < self.placement_ttl_ms {
            return Err(ConfigError::new("placement_staleness_s must not be shorter than placement_ttl_ms"));
        }
        Ok(())
    }
}

/// Remembers what another directory answered.
///
/// However many requests want a tenant that is not known, one of them asks.
/// When the directory is unavailable, what it said last is served until the
/// configured staleness ends. Time is tokio's, so that a test can pause it.
pub struct CachedDirectory<D> {
    inner: D,
    known: Cache<CompanyId, Known>,
    ttl: Duration,
    staleness: Duration,
    /// Counts [`CachedDirectory::refresh`]: an answer to a question from before
    /// one may describe the world from before it, and is not kept as fresh.
    refreshes: AtomicU64,
}

/// An answer, and how long it needs no question.
#[derive(Clone)]
struct Known {
    answer: Result<Arc<Placement>, ResolveError>,
    /// When the directory itself confirmed the placement.
    confirmed: Instant,
    fresh_until: Instant,
}

impl<D: Directory> CachedDirectory<D> {
    /// A cache in front of `inner`.
    pub fn new(inner: D, config: &PlacementCacheConfig) -> Self {
        Self {
            inner,
            known: Cache::new(config.placement_capacity),
            ttl: Duration::from_millis(config.placement_ttl_ms),
            staleness: Duration::from_secs(config.placement_staleness_s),
            refreshes: AtomicU64::new(0),
        }
    }

    /// Where `tenant`'s database is, without copying the placement.
    pub async fn get(&self, tenant: CompanyId) -> Result<Arc<Placement>, ResolveError> {
        let known = self.known.get(&tenant).await;
        if let Some(known) = &known
            && Instant::now() < known.fresh_until
        {
            return known.answer.clone();
        }
        let entry = self
            .known
            .entry(tenant)
            .or_insert_with_if(self.ask(tenant, known), |known| known.fresh_until <= Instant::now())
            .await;
        entry.into_value().answer
    }

    /// Forgets when `tenant` was last confirmed fresh, so that the next request
    /// asks again; what is known still answers through an outage.
    pub async fn refresh(&self, tenant: CompanyId) {
        self.refreshes.fetch_add(1, Ordering::AcqRel);
        if let Some(known) = self.known.get(&tenant).await {
            self.known.insert(tenant, Known { fresh_until: Instant::now(), ..known }).await;
        }
    }

    /// [`refresh`](Self::refresh), unless the directory was asked about `tenant` so lately that a flood of refused
    /// requests would become a flood of questions.
    pub async fn refresh_unless_just_asked(&self, tenant: CompanyId) {
        let asked = self.known.get(&tenant).await.map(|known| known.confirmed);
        if asked.is_none_or(|asked| Instant::now() >= asked + MIN_REFRESH_INTERVAL) {
            self.refresh(tenant).await;
        }
    }

    /// The directory behind the cache.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    async fn ask(&self, tenant: CompanyId, known: Option<Known>) -> Known {
        let refreshes = self.refreshes.load(Ordering::Acquire);
        let answer = self.inner.resolve(tenant).await;
        let now = Instant::now();
        let fresh_for = |time| if refreshes == self.refreshes.load(Ordering::Acquire) { now + time } else { now };
        match answer {
            Ok(placement) => {
                Known { answer: Ok(Arc::new(placement)), confirmed: now, fresh_until: fresh_for(self.ttl) }
            }
            Err(error @ (ResolveError::NotFound | ResolveError::NotServed(_))) => {
                Known { answer: Err(error), confirmed: now, fresh_until: fresh_for(NOT_FOUND_TTL) }
            }
            Err(error @ ResolveError::Unavailable(_)) => match known {
                Some(known) if known.answer.is_ok() && now < known.confirmed + self.staleness => {
                    tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "serving a stale placement");
                    Known { fresh_until: (now + OUTAGE_TTL).min(known.confirmed + self.staleness), ..known }
                }
                // Only those who waited for this very question get the error.
                _ => Known { answer: Err(error), confirmed: now, fresh_until: now },
            },
        }
    }
}

#[async_trait]
impl<D: Directory> Directory for CachedDirectory<D> {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        self.get(tenant).await.map(|placement| Placement::clone(&placement))
    }
}
