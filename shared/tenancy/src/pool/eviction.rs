//! Which idle connection makes room for another database's.
//!
//! Everything that decides is in this one small type.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::frequency::{Frequency, name_of};
use super::{EvictionPolicy, PoolConfig};

/// The newest part of the idle connections that is kept whatever the counts say: whoever begins to work asks again
/// within a moment. Costs 1 % more misses where nobody does.
const NEWEST_KEPT: usize = 8;

/// The oldest so many are looked at, however large the budget: they are looked at under the server's lock.
const LOOKED_AT: usize = 256;

/// Idle connections, and how often each was wanted.
#[derive(Debug)]
pub(super) struct Eviction {
    /// By when they were parked.
    parked: BTreeMap<u64, Parked>,
    /// `None` for the policy that does not ask.
    frequency: Option<Frequency>,
}

#[derive(Debug)]
struct Parked {
    database: Arc<str>,
    name: u64,
}

impl Eviction {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let frequency = match config.eviction {
            EvictionPolicy::Frequency => Some(Frequency::new(config.connections_per_server)),
            EvictionPolicy::Lru => None,
        };
        Self { parked: BTreeMap::new(), frequency }
    }

    /// A request wants a connection of `database`, which would be the `nth` of those in use.
    pub(super) fn wanted(&mut self, database: &str, nth: u32) {
        if let Some(frequency) = &mut self.frequency {
            frequency.want(name_of(database), nth);
        }
    }

    /// Connection `id` of `database` is idle from now on. Ids only grow.
    pub(super) fn parked(&mut self, id: u64, database: Arc<str>) {
        let name = name_of(&database);
        self.parked.insert(id, Parked { database, name });
    }

    /// Connection `id` is no longer idle.
    pub(super) fn taken(&mut self, id: u64) {
        self.parked.remove(&id);
    }

    /// Nothing is idle any more.
    pub(super) fn clear(&mut self) {
        self.parked.clear();
    }

    /// The idle connection to close when room is needed: of the least wanted the one that has been idle longest.
    ///
    /// Of a database's connections the last is as much worth as it is often that all are in use at once, which is why
    /// a crowd's connections do not outlive it by their database's fame. `connections` tells how many a database has.
    pub(super) fn victim(&self, connections: impl Fn(&str) -> u32) -> Option<(u64, Arc<str>)> {
        let Some(frequency) = &self.frequency else { return self.oldest() };
        let candidates = (self.parked.len() - self.parked.len() / NEWEST_KEPT).min(LOOKED_AT);
        let worth = |parked: &Parked| frequency.of(parked.name, connections(&parked.database));
        // The first of several that are least: the oldest.
        let (id, victim) = self.parked.iter().take(candidates).min_by_key(|(_, parked)| worth(parked))?;
        Some((*id, Arc::clone(&victim.database)))
    }

    /// The connection that has been idle longest, whatever the policy.
    pub(super) fn oldest(&self) -> Option<(u64, Arc<str>)> {
        self.parked.first_key_value().map(|(id, parked)| (*id, Arc::clone(&parked.database)))
    }

    /// The number of idle connections.
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tenantry_testkit::zipf::Zipf;

    use super::*;

    const BUDGET: usize = 100;
    const TENANTS: usize = 2_000;

    /// A pool of one connection for each database, one request after the other.
    struct Pool {
        eviction: Eviction,
        idle: HashMap<usize, u64>,
        next_id: u64,
        asked: u32,
        missed: u32,
    }

    impl Pool {
        fn new(eviction: EvictionPolicy) -> Self {
            let config = PoolConfig { connections_per_server: BUDGET as u32, eviction, ..PoolConfig::default() };
            Self { eviction: Eviction::new(&config), idle: HashMap::new(), next_id: 0, asked: 0, missed: 0 }
        }

        fn ask(&mut self, tenant: usize) {
            let database = format!("tenant_{tenant}");
            self.asked += 1;
            self.eviction.wanted(&database, 1);
            match self.idle.remove(&tenant) {
                Some(id) => self.eviction.taken(id),
                None => {
                    self.missed += 1;
                    if self.idle.len() == BUDGET {
                        let (id, database) = self.eviction.victim(|_| 1).unwrap();
                        self.eviction.taken(id);
                        let tenant: usize = database.strip_prefix("tenant_").unwrap().parse().unwrap();
                        assert_eq!(self.idle.remove(&tenant), Some(id));
                    }
                }
            }
            self.idle.insert(tenant, self.next_id);
            self.eviction.parked(self.next_id, database.into());
            self.next_id += 1;
        }

        fn misses_of(&mut self, tenants: impl Iterator<Item = usize>) -> f64 {
            (self.asked, self.missed) = (0, 0);
            tenants.for_each(|tenant| self.ask(tenant));
            f64::from(self.missed) / f64::from(self.asked)
        }
    }

    fn traffic(seed: u64, requests: usize) -> impl Iterator<Item = usize> {
        let mut zipf = Zipf::new(TENANTS, 1.1, seed);
        std::iter::repeat_with(move || zipf.draw()).take(requests)
    }

    #[test]
    fn misses_less_than_the_least_recently_used() {
        let [ours, lru] = [EvictionPolicy::Frequency, EvictionPolicy::Lru].map(|policy| {
            let mut pool = Pool::new(policy);
            pool.misses_of(traffic(1, 20_000));
            pool.misses_of(traffic(2, 50_000))
        });
        let oracle = 1.0 - Zipf::new(TENANTS, 1.1, 0).share_of_first(BUDGET);
        assert!(ours < 0.295 && ours < 0.77 * lru, "ours {ours}, LRU {lru}");
        assert!(ours < 1.05 * oracle, "ours {ours}, oracle {oracle}");
    }

    #[test]
    fn others_become_the_busy_ones() {
        let mut pool = Pool::new(EvictionPolicy::Frequency);
        let before = pool.misses_of(traffic(1, 50_000));
        let hot = pool.idle.keys().filter(|tenant| **tenant < 50).count();
        assert!(hot >= 48, "{hot}");
        let turned = |seed, requests| traffic(seed, requests).map(|tenant| TENANTS - 1 - tenant);
        pool.misses_of(turned(2, 20_000));
        let after = pool.misses_of(turned(3, 50_000));
        assert!(after < before + 0.01, "before {before}, after {after}");
        let stayed = pool.idle.keys().filter(|tenant| **tenant < 50).count();
        assert!(stayed <= 2, "{stayed} of yesterday are still there");
    }

    #[test]
    fn who_was_parked_last_stays_a_moment() {
        let mut pool = Pool::new(EvictionPolicy::Frequency);
        (0..3).for_each(|_| (0..BUDGET).for_each(|tenant| pool.ask(tenant)));
        pool.ask(BUDGET);
        pool.ask(BUDGET + 1);
        assert!(pool.idle.contains_key(&BUDGET), "seen once, and wanted again in a moment");
        let most = BUDGET / NEWEST_KEPT;
        (0..most).for_each(|tenant| pool.ask(BUDGET + 2 + tenant));
        assert!(!pool.idle.contains_key(&BUDGET), "only so many are kept for being new");
    }

    #[test]
    fn a_crowds_connections_go_before_another_databases_only_one() {
        let mut eviction = Eviction::new(&PoolConfig::default());
        (0..50).for_each(|_| eviction.wanted("famous", 1));
        (1..=10).for_each(|nth| eviction.wanted("famous", nth));
        (0..3).for_each(|_| eviction.wanted("quiet", 1));
        eviction.parked(0, "quiet".into());
        (1..=10).for_each(|id| eviction.parked(id, "famous".into()));
        let mut famous = 10;
        while let Some((id, database)) =
            eviction.victim(|database| if database == "famous" { famous } else { 1 }).filter(|_| eviction.len() > 2)
        {
            assert_eq!(&*database, "famous");
            eviction.taken(id);
            famous -= 1;
        }
        let last = eviction.victim(|_| 1).unwrap();
        assert_eq!(last, (0, "quiet".into()), "but not the first, which is wanted most");
    }

    #[test]
    fn only_so_many_are_looked_at() {
        for (policy, victim) in [(EvictionPolicy::Frequency, LOOKED_AT as u64 - 1), (EvictionPolicy::Lru, 0)] {
            let config = PoolConfig { connections_per_server: 1_000, eviction: policy, ..PoolConfig::default() };
            let mut eviction = Eviction::new(&config);
            for id in 0..1_000 {
                let database: Arc<str> = format!("tenant_{id}").into();
                // The last that is looked at, and all after it, were never wanted.
                let wanted = if id < LOOKED_AT as u64 - 1 { 5 } else { 0 };
                (0..wanted).for_each(|_| eviction.wanted(&database, 1));
                eviction.parked(id, database);
            }
            assert_eq!(eviction.victim(|_| 1).unwrap().0, victim);
        }
        assert!(Eviction::new(&PoolConfig::default()).victim(|_| 1).is_none());
    }
}
