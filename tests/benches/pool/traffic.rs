//! Who asks, and how long they waited.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tenantry_rpc::reason_of;
use tenantry_testkit::zipf::Zipf;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::fleet::{Fleet, Onlooker};
use crate::service::Service;

const EXPONENT: f64 = 1.1;
/// How often the server's own count of connections is read.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Clients that each ask again as soon as they have an answer.
#[derive(Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) clients: usize,
    /// They ask for these first tenants alone.
    pub(crate) tenants: usize,
    pub(crate) lasts: Duration,
    pub(crate) seed: u64,
}

/// One tenant that asks at a steady rate, whatever the answers take.
#[derive(Clone, Copy)]
pub(crate) struct Noise {
    pub(crate) tenant: usize,
    pub(crate) per_second: f64,
}

/// How a call met its tenant's connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// There was one already.
    Hit,
    /// One that another call was waiting for: a delayed hit, which takes what is left of that call's miss.
    Delayed,
    /// It got a new one.
    Miss,
}

/// One answer.
struct Asked {
    tenant: usize,
    took: Duration,
    met: Met,
}

/// What a crowd saw.
#[derive(Default)]
pub(crate) struct Seen {
    asked: Vec<Asked>,
    pub(crate) errors: BTreeMap<String, u32>,
    pub(crate) took: Duration,
    /// Connections, as the server counts them.
    pub(crate) most_connections: i64,
    /// Answers to the noise, which are counted nowhere else.
    pub(crate) noise: usize,
}

impl Seen {
    pub(crate) fn per_second(&self) -> f64 {
        self.asked.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn percent(&self, met: Met) -> f64 {
        self.asked.iter().filter(|asked| asked.met == met).count() as f64 * 100.0 / self.asked.len().max(1) as f64
    }

    /// In milliseconds.
    pub(crate) fn p99(&self, met: Met) -> f64 {
        self.p99_where(|asked| asked.met == met)
    }

    /// Of the hits of everybody else.
    pub(crate) fn p99_of_others(&self, tenant: usize) -> f64 {
        self.p99_where(|asked| asked.met == Met::Hit && asked.tenant != tenant)
    }

    pub(crate) fn rate_of(&self, tenant: usize) -> f64 {
        self.asked.iter().filter(|asked| asked.tenant == tenant).count() as f64 / self.took.as_secs_f64()
    }

    fn p99_where(&self, counts: impl Fn(&Asked) -> bool) -> f64 {
        let mut times: Vec<_> = self.asked.iter().filter(|asked| counts(asked)).map(|asked| asked.took).collect();
        times.sort();
        times.get(times.len() * 99 / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// The tenant that each backend was last seen to serve, and when it first did. One that was not seen before has just been
/// made.
#[derive(Default)]
pub(crate) struct Backends(Mutex<HashMap<i32, (usize, Instant)>>);

impl Backends {
    /// What a call that began at `asked` and was answered by `backend` has met.
    fn met(&self, backend: i32, tenant: usize, asked: Instant) -> Met {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&backend) {
            Some((of, first)) if *of == tenant => {
                if asked < *first {
                    Met::Delayed
                } else {
                    Met::Hit
                }
            }
            _ => {
                known.insert(backend, (tenant, Instant::now()));
                Met::Miss
            }
        }
    }
}

/// A service with those who ask it.
pub(crate) struct Stage {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) service: Arc<Service>,
    pub(crate) backends: Arc<Backends>,
}

impl Stage {
    /// Lets the crowd ask, with the noise beside it.
    pub(crate) async fn run(&self, crowd: Crowd, noise: Option<Noise>) -> anyhow::Result<Seen> {
        let done = Arc::new(AtomicBool::new(false));
        let looking = tokio::spawn(look(self.fleet.onlooker().await?, done.clone()));
        let since = Instant::now();
        let until = since + crowd.lasts;
        let mut clients = JoinSet::new();
        for client in 0..crowd.clients {
            let (service, backends) = (self.service.clone(), self.backends.clone());
            let zipf = Zipf::new(crowd.tenants, EXPONENT, crowd.seed * 1_000 + client as u64);
            clients.spawn(ask(service, backends, client, zipf, until));
        }
        let noise = noise.map(|noise| tokio::spawn(make_noise(self.service.clone(), noise, until)));
        let mut seen = Seen::default();
        while let Some(client) = clients.join_next().await {
            let (asked, errors) = client?;
            seen.asked.extend(asked);
            for error in errors {
                *seen.errors.entry(error).or_default() += 1;
            }
        }
        seen.took = since.elapsed();
        if let Some(noise) = noise {
            seen.noise = noise.await?;
        }
        done.store(true, Ordering::Release);
        seen.most_connections = looking.await??;
        Ok(seen)
    }
}

async fn ask(
    service: Arc<Service>,
    backends: Arc<Backends>,
    client: usize,
    mut zipf: Zipf,
    until: Instant,
) -> (Vec<Asked>, Vec<String>) {
    let (mut asked, mut errors) = (Vec::new(), Vec::new());
    while Instant::now() < until {
        let tenant = zipf.draw();
        let since = Instant::now();
        match service.read(client, tenant).await {
            Ok(backend) => {
                let (took, met) = (since.elapsed(), backends.met(backend, tenant, since));
                asked.push(Asked { tenant, took, met });
            }
            Err(status) => {
                let reason = reason_of(&status).map_or_else(|| format!("{status:?}"), |reason| reason.as_str().into());
                errors.push(reason);
            }
        }
    }
    (asked, errors)
}

/// Asks without waiting for answers. How many were good.
async fn make_noise(service: Arc<Service>, noise: Noise, until: Instant) -> usize {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / noise.per_second.max(0.1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut calls = JoinSet::new();
    let mut client = 0;
    while Instant::now() < until {
        ticks.tick().await;
        client += 1;
        let service = service.clone();
        calls.spawn(async move { service.read(client, noise.tenant).await.is_ok() });
    }
    calls.join_all().await.into_iter().filter(|good| *good).count()
}

async fn look(onlooker: Onlooker, done: Arc<AtomicBool>) -> anyhow::Result<i64> {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut most = 0;
    while !done.load(Ordering::Acquire) {
        ticks.tick().await;
        most = most.max(onlooker.connections().await?);
    }
    Ok(most)
}
