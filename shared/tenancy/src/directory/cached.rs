//! A cache in front of a directory, which outlives the directory's outages.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use moka::future::Cache;
use tenantry_ids::CompanyId;
use tokio::time::Instant;

use super::freshness::{Followed, Standing, Times};
use super::{Directory, ResolveError};
use crate::{ConfigError, InstalledPlugin, Limits, Placement, TenantState};

/// How long "no such tenant" is believed: long enough that a flood of requests
/// for a made-up tenant is one question, short enough that nobody who has just
/// signed up notices.
const NOT_FOUND_TTL: Duration = Duration::from_secs(1);

/// How long a stale placement is served before an unavailable directory is
/// asked again, so that an outage is not made worse by every request.
const OUTAGE_TTL: Duration = Duration::from_secs(1);

/// Refused requests of one tenant ask the directory no more often than this.
const MIN_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Tenants share this many counters of news: enough that one's news hardly ever doubts another's answer.
const NEWS_COUNTERS: usize = 1_024;

/// How placements are remembered.
#[derive(Debug, Clone, Args)]
pub struct PlacementCacheConfig {
    /// Milliseconds that a placement is used without asking again.
    #[arg(long, env = "TENANTRY_PLACEMENT_TTL_MS", default_value_t = 30_000)]
    pub placement_ttl_ms: u64,
    /// Milliseconds that a placement is used without asking again while its changes are told.
    #[arg(long, env = "TENANTRY_PLACEMENT_WATCHED_TTL_MS", default_value_t = 600_000)]
    pub placement_watched_ttl_ms: u64,
    /// Milliseconds over which placements are asked for again after changes may have been missed, so that not all are
    /// at once.
    #[arg(long, env = "TENANTRY_PLACEMENT_RESYNC_SPREAD_MS", default_value_t = 5_000)]
    pub placement_resync_spread_ms: u64,
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
        Self {
            placement_ttl_ms: 30_000,
            placement_watched_ttl_ms: 600_000,
            placement_resync_spread_ms: 5_000,
            placement_capacity: 100_000,
            placement_staleness_s: 3_600,
        }
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
/// configured staleness ends. While somebody tells it of every change
/// ([`TenantFollower`](crate::TenantFollower)), it asks far more rarely. Time is
/// tokio's, so that a test can pause it.
pub struct CachedDirectory<D> {
    inner: D,
    known: Cache<CompanyId, Known>,
    times: Times,
    followed: RwLock<Followed>,
    /// Counts what makes an answer to an earlier question doubtful, by tenant as
    /// near as need be: it may describe the world from before, and is not kept as
    /// fresh.
    news: Vec<AtomicU64>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Something that changed about a tenant, as far as a placement holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) tenant: CompanyId,
    pub(crate) state: TenantState,
    pub(crate) access_epoch: u64,
    pub(crate) generation: u64,
    pub(crate) schema_version: String,
    pub(crate) maintenance_retry: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) plugins: Arc<[InstalledPlugin]>,
}

/// An answer, and how long it needs no question.
#[derive(Clone)]
struct Known {
    answer: Result<Arc<Placement>, ResolveError>,
    standing: Standing,
}

impl<D: Directory> CachedDirectory<D> {
    /// A cache in front of `inner`.
    pub fn new(inner: D, config: &PlacementCacheConfig) -> Self {
        Self {
            inner,
            known: Cache::new(config.placement_capacity),
            times: Times {
                ttl: Duration::from_millis(config.placement_ttl_ms),
                watched_ttl: Duration::from_millis(config.placement_watched_ttl_ms),
                staleness: Duration::from_secs(config.placement_staleness_s),
                spread: Duration::from_millis(config.placement_resync_spread_ms),
            },
            followed: RwLock::default(),
            news: (0..NEWS_COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Where `tenant`'s database is, without copying the placement.
    pub async fn get(&self, tenant: CompanyId) -> Result<Arc<Placement>, ResolveError> {
        let known = self.known.get(&tenant).await;
        if let Some(known) = &known
            && self.is_fresh(tenant, known)
        {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return known.answer.clone();
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let entry = self
            .known
            .entry(tenant)
            .or_insert_with_if(self.ask(tenant, known), |known| !self.is_fresh(tenant, known))
            .await;
        entry.into_value().answer
    }

    /// Forgets when `tenant` was last confirmed fresh, so that the next request
    /// asks again; what is known still answers through an outage.
    pub async fn refresh(&self, tenant: CompanyId) {
        self.counter(tenant).fetch_add(1, Ordering::AcqRel);
        if let Some(known) = self.known.get(&tenant).await {
            let standing = known.standing.doubted(Instant::now());
            self.known.insert(tenant, Known { standing, ..known }).await;
        }
    }

    /// [`refresh`](Self::refresh), unless the directory was asked about `tenant` so lately that a flood of refused
    /// requests would become a flood of questions.
    pub async fn refresh_unless_just_asked(&self, tenant: CompanyId) {
        let asked = self.known.get(&tenant).await.map(|known| known.standing.confirmed);
        if asked.is_none_or(|asked| Instant::now() >= asked + MIN_REFRESH_INTERVAL) {
            self.refresh(tenant).await;
        }
    }

    /// Look-ups so far that needed no question, and those that did.
    pub(crate) fn lookups(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// How many placements are known, give or take those that have just come or gone.
    pub(crate) fn entries(&self) -> u64 {
        self.known.entry_count()
    }

    /// The directory behind the cache.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Changes are told from now on. With a gap, some may have been missed: what is known from before is asked for
    /// again, each tenant at its own moment.
    pub(crate) fn follows(&self, gap: bool) {
        let now = Instant::now();
        let mut followed = self.followed.write().unwrap_or_else(PoisonError::into_inner);
        *followed = followed.begun(gap, now);
    }

    /// Changes are not told any more; the last one who did was heard then.
    pub(crate) fn follows_no_more(&self, heard: Instant) {
        let mut followed = self.followed.write().unwrap_or_else(PoisonError::into_inner);
        *followed = followed.ended(heard);
    }

    /// Takes a change in. Where the database is has to be asked for, which the next request does.
    pub(crate) async fn apply(&self, change: Change) {
        let tenant = change.tenant;
        self.counter(tenant).fetch_add(1, Ordering::AcqRel);
        let Some(known) = self.known.get(&tenant).await else { return };
        let Ok(placement) = &known.answer else {
            // There was nothing to reach; now there may be.
            return self.known.invalidate(&tenant).await;
        };
        let moved = placement.generation != change.generation;
        let standing = if moved { known.standing.doubted(Instant::now()) } else { known.standing };
        let answer = Ok(Arc::new(Placement {
            state: change.state,
            access_epoch: change.access_epoch.max(placement.access_epoch),
            schema_version: change.schema_version,
            maintenance_retry: change.maintenance_retry,
            limits: change.limits,
            plugins: change.plugins,
            ..Placement::clone(placement)
        }));
        self.known.insert(tenant, Known { answer, standing }).await;
    }

    fn is_fresh(&self, tenant: CompanyId, known: &Known) -> bool {
        self.followed().is_fresh(&known.standing, &self.times, spread_of(tenant), Instant::now())
    }

    fn followed(&self) -> Followed {
        *self.followed.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn counter(&self, tenant: CompanyId) -> &AtomicU64 {
        &self.news[spread_of(tenant) as usize % NEWS_COUNTERS]
    }

    async fn ask(&self, tenant: CompanyId, known: Option<Known>) -> Known {
        let news = self.counter(tenant).load(Ordering::Acquire);
        let asked = Instant::now();
        let answer = self.inner.resolve(tenant).await;
        let now = Instant::now();
        let undoubted = news == self.counter(tenant).load(Ordering::Acquire);
        let fresh_for = |time| if undoubted { now + time } else { now };
        match answer {
            Ok(placement) => {
                let fresh_until = fresh_for(self.times.ttl);
                let standing = Standing { confirmed: asked, fresh_until, told: undoubted };
                Known { answer: Ok(Arc::new(placement)), standing }
            }
            Err(error @ (ResolveError::NotFound | ResolveError::NotServed(_))) => {
                let standing = Standing { confirmed: asked, fresh_until: fresh_for(NOT_FOUND_TTL), told: false };
                Known { answer: Err(error), standing }
            }
            Err(error @ ResolveError::Unavailable(_)) => self.through_an_outage(tenant, known, error, now),
        }
    }

    fn through_an_outage(&self, tenant: CompanyId, known: Option<Known>, error: ResolveError, now: Instant) -> Known {
        if let Some(known) = known.filter(|known| known.answer.is_ok()) {
            let stale_at = self.followed().confirmed(&known.standing, now) + self.times.staleness;
            if now < stale_at {
                tracing::warn!(%tenant, error = &error as &dyn std::error::Error, "serving a stale placement");
                let standing = Standing { fresh_until: (now + OUTAGE_TTL).min(stale_at), ..known.standing };
                return Known { standing, ..known };
            }
        }
        // Only those who waited for this very question get the error.
        Known { answer: Err(error), standing: Standing { confirmed: now, fresh_until: now, told: false } }
    }
}

/// A number of each tenant's own, the same every time. Ids begin with their time; their end is random.
fn spread_of(tenant: CompanyId) -> u32 {
    tenant.0.as_u128() as u32
}

#[async_trait]
impl<D: Directory> Directory for CachedDirectory<D> {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        self.get(tenant).await.map(|placement| Placement::clone(&placement))
    }
}
