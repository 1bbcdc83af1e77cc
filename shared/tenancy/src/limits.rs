//! What each tenant may ask of this process, so that one's flood is not the others' wait.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use serde::Deserialize;
use tenantry_ids::CompanyId;
use tokio::time::{Duration, Instant};

/// A tenant that asked for nothing lately may ask for as much at once as a second allows.
const BURST: Duration = Duration::from_secs(1);
/// When a caller is told to come back who found too many requests under way: how long those take is not known.
const TURN: Duration = Duration::from_millis(250);
/// Tenants meet only those of their own shard.
const SHARDS: usize = 64;
/// A shard with fewer tenants is not looked through for those that can be forgotten.
const MIN_SWEEP: usize = 64;

/// What a tenant may ask of one process of a service; `None` is as much as it likes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests that begin within a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that are under way at the same time.
    pub concurrent_requests: Option<NonZeroU32>,
    /// Connections to its database.
    pub connections: Option<NonZeroU32>,
}

/// The limits of tenants for which the directory names none.
#[derive(Debug, Clone, Args)]
pub struct LimitConfig {
    /// Requests per second of each tenant for which the catalog names no limit; 0 is as many as come.
    #[arg(long, env = "TENANTRY_TENANT_REQUESTS_PER_SECOND", default_value_t = 0)]
    pub tenant_requests_per_second: u32,
    /// Requests under way at once of each tenant for which the catalog names no limit; 0 is as many as come.
    #[arg(long, env = "TENANTRY_TENANT_CONCURRENT_REQUESTS", default_value_t = 256)]
    pub tenant_concurrent_requests: u32,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self { tenant_requests_per_second: 0, tenant_concurrent_requests: 256 }
    }
}

/// Counts what tenants ask for.
pub(crate) struct Limiter {
    otherwise: Limits,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    tenants: HashMap<CompanyId, Usage>,
    sweep_at: usize,
}

struct Usage {
    /// When all that was asked for would have been allowed, one after the other: the generic cell rate algorithm's
    /// theoretical arrival time (ITU-T I.371).
    paid: Instant,
    under_way: u32,
}

/// A request that is under way, until it is dropped.
pub(crate) struct Turn(Option<(Arc<Limiter>, CompanyId)>);

/// Why a request may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many have begun; the next one may after this time.
    TooFast { retry_after: Duration },
    /// Too many are under way.
    TooManyAtOnce { retry_after: Duration },
}

impl Limiter {
    pub(crate) fn new(config: &LimitConfig) -> Self {
        let otherwise = Limits {
            requests_per_second: NonZeroU32::new(config.tenant_requests_per_second),
            concurrent_requests: NonZeroU32::new(config.tenant_concurrent_requests),
            connections: None,
        };
        Self { otherwise, shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Lets a request of `tenant` begin, unless its limits are reached. What is refused counts for nothing.
    pub(crate) fn begin(self: &Arc<Self>, tenant: CompanyId, limits: Limits, now: Instant) -> Result<Turn, Refused> {
        let per_second = limits.requests_per_second.or(self.otherwise.requests_per_second);
        let at_once = limits.concurrent_requests.or(self.otherwise.concurrent_requests);
        if per_second.is_none() && at_once.is_none() {
            return Ok(Turn(None));
        }
        let mut shard = self.shard(tenant);
        shard.sweep(now);
        let usage = shard.tenants.entry(tenant).or_insert(Usage { paid: now, under_way: 0 });
        if at_once.is_some_and(|most| usage.under_way >= most.get()) {
            return Err(Refused::TooManyAtOnce { retry_after: TURN });
        }
        if let Some(per_second) = per_second {
            let paid = usage.paid.max(now) + Duration::from_secs(1) / per_second.get();
            if let Some(early) = paid.checked_duration_since(now + BURST).filter(|early| !early.is_zero()) {
                return Err(Refused::TooFast { retry_after: early });
            }
            usage.paid = paid;
        }
        usage.under_way += 1;
        Ok(Turn(Some((Arc::clone(self), tenant))))
    }

    fn shard(&self, tenant: CompanyId) -> MutexGuard<'_, Shard> {
        // Ids begin with their time; their end is random.
        let shard = &self.shards[tenant.0.as_u128() as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Forgets tenants that owe nothing, each time that there are twice as many as were left the last time.
    fn sweep(&mut self, now: Instant) {
        if self.tenants.len() >= self.sweep_at.max(MIN_SWEEP) {
            self.tenants.retain(|_, usage| usage.under_way > 0 || usage.paid > now);
            self.sweep_at = self.tenants.len() * 2;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some((limiter, tenant)) = &self.0 else { return };
        if let Some(usage) = limiter.shard(*tenant).tenants.get_mut(tenant) {
            usage.under_way -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(tenant_requests_per_second: u32, tenant_concurrent_requests: u32) -> Arc<Limiter> {
        Arc::new(Limiter::new(&LimitConfig { tenant_requests_per_second, tenant_concurrent_requests }))
    }

    fn tenant(n: u128) -> CompanyId {
        CompanyId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_burst_of_one_second_begins_and_the_next_one_when_it_is_told() {
        let (limiter, now) = (limiter(4, 0), Instant::now());
        let begin = |now| limiter.begin(tenant(1), Limits::default(), now).map(drop);
        for _ in 0..4 {
            assert_eq!(begin(now), Ok(()));
        }
        let retry_after = Duration::from_millis(250);
        for _ in 0..3 {
            assert_eq!(begin(now), Err(Refused::TooFast { retry_after }), "what is refused counts for nothing");
        }
        assert_eq!(begin(now + retry_after), Ok(()));
        let soon = now + retry_after * 2 - Duration::from_millis(1);
        assert_eq!(begin(soon), Err(Refused::TooFast { retry_after: Duration::from_millis(1) }));
        let later = now + Duration::from_secs(3600);
        assert_eq!((0..9).filter(|_| begin(later).is_ok()).count(), 4, "a rest is no credit");
    }

    #[test]
    fn as_many_are_under_way_as_may_be_and_one_more_when_one_ends() {
        let (limiter, now) = (limiter(0, 2), Instant::now());
        let begin = || limiter.begin(tenant(1), Limits::default(), now);
        let (first, second) = (begin(), begin());
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(begin().err(), Some(Refused::TooManyAtOnce { retry_after: TURN }));
        drop(first);
        assert!(begin().is_ok());
    }

    #[test]
    fn a_tenant_has_its_own_limits_before_those_of_all_and_costs_no_other_tenant_anything() {
        let (limiter, now) = (limiter(1, 1), Instant::now());
        let own = Limits {
            requests_per_second: NonZeroU32::new(3),
            concurrent_requests: NonZeroU32::new(9),
            ..Limits::default()
        };
        let held: Vec<_> = (0..5).map(|_| limiter.begin(tenant(1), own, now)).collect();
        assert_eq!(held.iter().filter(|turn| turn.is_ok()).count(), 3);
        assert!(limiter.begin(tenant(1 + SHARDS as u128), Limits::default(), now).is_ok(), "of the same shard");
    }

    #[test]
    fn who_owes_nothing_is_forgotten() {
        let (limiter, now) = (limiter(1, 0), Instant::now());
        let of_one_shard = |n: usize| tenant((n * SHARDS) as u128);
        let held = limiter.begin(of_one_shard(0), Limits::default(), now);
        for n in 1..MIN_SWEEP {
            assert!(limiter.begin(of_one_shard(n), Limits::default(), now).is_ok());
        }
        let later = now + BURST;
        assert!(limiter.begin(of_one_shard(MIN_SWEEP), Limits::default(), later).is_ok());
        assert_eq!(limiter.shard(of_one_shard(0)).tenants.len(), 2, "one is under way, and one has just begun");
        drop(held);
    }
}
