//! Many tenants through few connections: our eviction beside a plain LRU, both beside the same road without a miss, and
//! one noisy tenant beside the others.
//!
//! `cargo xtask bench pool`. TENANTRY_BENCH_TENANTS says how many databases there are (2,000, which take 15 GB),
//! TENANTRY_BENCH_SECONDS how long each measurement lasts (60), TENANTRY_BENCH_CONNECTIONS what the budget is (100), and
//! TENANTRY_BENCH_CLIENTS how many ask at once (32). The promises: at least 1.3 times the throughput of the LRU, hits'
//! p99 at most twice that of the road without a miss, and never more connections than the budget. A call that waits for
//! the connection that another call misses is a delayed hit, and shown as such.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // A benchmark is no service.

mod fleet;
mod service;
mod traffic;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tenantry_tenancy::{EvictionPolicy, PoolConfig};

use crate::fleet::Fleet;
use crate::service::Service;
use crate::traffic::{Crowd, Met, Noise, Seen, Stage};

/// The tenant that becomes noisy, by how much it is wanted: busy, and not the busiest.
const NOISY: usize = 9;
/// How noisy: so many times its share.
const TIMES: f64 = 10.0;

struct Bench {
    fleet: Arc<Fleet>,
    crowd: Crowd,
    budget: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (tenants, seconds) = (number("TENANTRY_BENCH_TENANTS", 2_000), number("TENANTRY_BENCH_SECONDS", 60));
    let (budget, clients) = (number("TENANTRY_BENCH_CONNECTIONS", 100), number("TENANTRY_BENCH_CLIENTS", 32));
    let budget_of_connections = u32::try_from(budget)?;
    let since = Instant::now();
    let fleet = Fleet::make(tenants).await?;
    println!("{tenants} databases made in {:.0} s", since.elapsed().as_secs_f64());
    let crowd = Crowd { clients, tenants, lasts: Duration::from_secs(seconds as u64), seed: 1 };
    let bench = Bench { fleet, crowd, budget: budget_of_connections };

    println!("Zipf 1.1, {clients} clients, {budget} connections, {seconds} s each");
    println!(
        "  {:<22} {:>9} {:>8} {:>8} {:>10} {:>11} {:>10} {:>7} {:>12}",
        "", "calls/s", "misses", "delayed", "p99 hit", "p99 delayed", "p99 miss", "errors", "connections"
    );
    // So few that each can keep as many connections as it wants.
    let few = Crowd { tenants: (budget / 10).max(1), ..crowd };
    let floor = bench.measure("without a miss", few, EvictionPolicy::Frequency).await?;
    let lru = bench.measure("LRU", crowd, EvictionPolicy::Lru).await?;
    let ours = bench.measure("ours", crowd, EvictionPolicy::Frequency).await?;
    println!(
        "  ours: {:.2} of the LRU's throughput, {:.3} of that without a miss; p99 of hits {:.2} of the LRU's, {:.2} of that without a miss",
        ours.per_second() / lru.per_second(),
        ours.per_second() / floor.per_second(),
        ours.p99(Met::Hit) / lru.p99(Met::Hit),
        ours.p99(Met::Hit) / floor.p99(Met::Hit)
    );
    bench.noisy().await
}

impl Bench {
    async fn stage(&self, eviction: EvictionPolicy) -> anyhow::Result<Stage> {
        // "Near the number of cores", which the server shares with us.
        let connects = number("TENANTRY_BENCH_CONNECTS_IN_FLIGHT", std::thread::available_parallelism()?.get());
        let connects_in_flight_per_server = u32::try_from(connects)?;
        let pool = PoolConfig { connections_per_server: self.budget, eviction, ..PoolConfig::default() };
        let pool = PoolConfig { connects_in_flight_per_server, ..pool };
        let pool = PoolConfig { connections_per_tenant: pool.connections_per_tenant.min(self.budget), ..pool };
        let service = Arc::new(Service::start(self.fleet.clone(), self.crowd.clients, pool).await?);
        Ok(Stage { fleet: self.fleet.clone(), service, backends: Arc::default() })
    }

    /// A sixth of the time is not measured: at first everything is a miss.
    async fn warm(&self, stage: &Stage, crowd: Crowd) -> anyhow::Result<()> {
        let warming = Crowd { lasts: (crowd.lasts / 6).max(Duration::from_secs(1)), seed: crowd.seed + 1, ..crowd };
        stage.run(warming, None).await.map(drop)
    }

    async fn measure(&self, name: &str, crowd: Crowd, eviction: EvictionPolicy) -> anyhow::Result<Seen> {
        let stage = self.stage(eviction).await?;
        self.warm(&stage, crowd).await?;
        let before = stage.service.stats();
        let seen = stage.run(crowd, None).await?;
        let opened = stage.service.stats().connects - before.connects;
        self.close(stage).await?;
        println!(
            "  {name:<22} {:>9.0} {:>6.1} % {:>6.1} % {:>7.2} ms {:>8.2} ms {:>7.2} ms {:>7} {:>12}",
            seen.per_second(),
            seen.percent(Met::Miss),
            seen.percent(Met::Delayed),
            seen.p99(Met::Hit),
            seen.p99(Met::Delayed),
            seen.p99(Met::Miss),
            seen.errors.values().sum::<u32>(),
            seen.most_connections
        );
        println!("  {:<22} {opened} connections opened{}", "", errors(&seen));
        self.within_budget(&seen)?;
        Ok(seen)
    }

    /// The same crowd before one tenant is noisy, and while it is.
    async fn noisy(&self) -> anyhow::Result<()> {
        let tenant = NOISY.min(self.fleet.tenants.len() - 1);
        let stage = self.stage(EvictionPolicy::Frequency).await?;
        self.warm(&stage, self.crowd).await?;
        let before = stage.run(self.crowd, None).await?;
        // Beside what the crowd asks of it.
        let per_second = before.rate_of(tenant) * (TIMES - 1.0);
        let crowd = Crowd { seed: self.crowd.seed + 2, ..self.crowd };
        let during = stage.run(crowd, Some(Noise { tenant, per_second })).await?;
        self.close(stage).await?;
        println!("one tenant at {TIMES} times its share, {per_second:.0} calls/s more");
        for (name, seen) in [("before", &before), ("meanwhile", &during)] {
            println!(
                "  {name:<22} {:>9.0} calls/s, the others' hits' p99 {:.2} ms, misses {:.1} %, of the noise {} answered{}",
                seen.per_second(),
                seen.p99_of_others(tenant),
                seen.percent(Met::Miss),
                seen.noise,
                errors(seen)
            );
            self.within_budget(seen)?;
        }
        Ok(())
    }

    fn within_budget(&self, seen: &Seen) -> anyhow::Result<()> {
        let most = seen.most_connections;
        anyhow::ensure!(most <= i64::from(self.budget), "the server saw {most} connections");
        Ok(())
    }

    async fn close(&self, stage: Stage) -> anyhow::Result<()> {
        let service = Arc::into_inner(stage.service).ok_or_else(|| anyhow::anyhow!("somebody still asks"))?;
        service.stop().await
    }
}

fn errors(seen: &Seen) -> String {
    seen.errors.iter().map(|(reason, times)| format!(", {times} times {reason}")).collect()
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
