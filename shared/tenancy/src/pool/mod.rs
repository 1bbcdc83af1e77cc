//! Physical connections to many databases, within a budget per server.
//!
//! A connection belongs to one database, so thousands of tenants over a few
//! connections live by which idle ones are kept. This pool keys its connections
//! by server, database and placement generation; counts them exactly; closes
//! the one that the eviction policy names when another database needs room; and
//! keeps the slow path (logging in) from delaying the fast one. A server that cannot be
//! reached is left alone, but for one attempt at a time.

mod attempt;
mod breaker;
mod checkout;
mod config;
mod eviction;
mod figures;
mod frequency;
mod server;
mod waiter;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::Instant;

pub(crate) use checkout::Checkout;
pub use config::{EvictionPolicy, PoolConfig};

use crate::engine::ConnectSettings;
use crate::{CheckoutError, Placement};
use checkout::{Permits, Seat};
use figures::Durations;
use server::Server;
use waiter::Waiter;

/// An idle connection is asked whether it is alive after this long: firewalls
/// and servers drop what is silent.
const PING_AFTER_IDLE: Duration = Duration::from_secs(30);

/// How long the answer may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Connections to every tenant's database.
///
/// Made once per process. There is no public way to check a connection out:
/// requests have a [`TenantDb`](crate::TenantDb).
#[derive(Debug)]
pub struct Pools {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: PoolConfig,
    settings: ConnectSettings,
    durations: Durations,
    servers: Mutex<Servers>,
}

#[derive(Debug, Default)]
struct Servers {
    closed: bool,
    by_name: HashMap<String, Arc<Server>>,
}

/// What the connections of a server, or of all, are doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Connections that may be open: the budget.
    pub limit: u32,
    /// All connections: in use, idle, being opened, being closed.
    pub open: u32,
    /// Connections that wait for their database's next request.
    pub idle: u32,
    /// Connections that a request has.
    pub in_use: u32,
    /// Requests that wait for a connection.
    pub waiting: u32,
    /// Requests that have waited in vain so far.
    pub timeouts: u64,
    /// Connections that could not be opened so far.
    pub failures: u64,
    /// Connections opened so far.
    pub connects: u64,
    /// Connections closed so far to make room for another database's.
    pub evictions: u64,
    /// Requests refused so far because their server could not be reached just before.
    pub refused: u64,
    /// Servers that could not be reached, and that one request at a time tries.
    pub broken: u32,
}

impl Pools {
    /// Empty pools, on the current tokio runtime.
    pub fn new(config: PoolConfig) -> Self {
        let settings = ConnectSettings {
            connect_timeout: Duration::from_millis(config.connect_timeout_ms),
            application_name: config.application_name.clone(),
            statement_cache_capacity: config.statement_cache_capacity,
        };
        let inner = Arc::new(Inner { config, settings, durations: Durations::new(), servers: Mutex::default() });
        tokio::spawn(reap(Arc::downgrade(&inner)));
        figures::observe(&inner);
        Self { inner }
    }

    /// The totals over all servers.
    pub fn stats(&self) -> PoolStats {
        self.server_stats().into_iter().fold(PoolStats::default(), |sum, (_, stats)| PoolStats {
            limit: sum.limit + stats.limit,
            open: sum.open + stats.open,
            idle: sum.idle + stats.idle,
            in_use: sum.in_use + stats.in_use,
            waiting: sum.waiting + stats.waiting,
            timeouts: sum.timeouts + stats.timeouts,
            failures: sum.failures + stats.failures,
            connects: sum.connects + stats.connects,
            evictions: sum.evictions + stats.evictions,
            refused: sum.refused + stats.refused,
            broken: sum.broken + stats.broken,
        })
    }

    /// The figures of each server, by its name.
    pub fn server_stats(&self) -> Vec<(String, PoolStats)> {
        let servers = self.inner.servers();
        servers.by_name.iter().map(|(name, server)| (name.clone(), server.stats())).collect()
    }

    /// Refuses new requests, closes what is idle, and returns when the last
    /// connection that is in use has come back and is closed. The caller bounds
    /// the wait.
    pub async fn close_all(&self) {
        let servers: Vec<_> = {
            let mut servers = self.inner.servers();
            servers.closed = true;
            servers.by_name.values().cloned().collect()
        };
        for server in &servers {
            for connection in server.shut() {
                Seat::new(Arc::clone(server), Permits::default()).close(connection);
            }
        }
        for server in servers {
            server.drained().await;
        }
    }

    /// A connection to the placement's database, for the caller alone.
    pub(crate) async fn checkout(&self, placement: &Placement, deadline: Instant) -> Result<Checkout, CheckoutError> {
        let now = Instant::now();
        if deadline <= now {
            return Err(CheckoutError::DeadlinePassed);
        }
        let server = self.inner.server(&placement.server)?;
        let waiter = Waiter {
            queue: server.queue(placement),
            server,
            placement,
            give_up: deadline.min(now + Duration::from_millis(self.inner.config.checkout_timeout_ms)),
            deadline,
            settings: &self.inner.settings,
        };
        if waiter.queue.stale {
            tokio::spawn(drain_stale(Arc::clone(&waiter.server), Arc::clone(&waiter.queue.database)));
        }
        waiter.checkout().await
    }
}

impl Inner {
    fn servers(&self) -> std::sync::MutexGuard<'_, Servers> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self, name: &str) -> Result<Arc<Server>, CheckoutError> {
        let mut servers = self.servers();
        if servers.closed {
            return Err(CheckoutError::Closed);
        }
        if let Some(server) = servers.by_name.get(name) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(Server::new(name, &self.config, self.durations.of(name)));
        servers.by_name.insert(name.to_owned(), Arc::clone(&server));
        Ok(server)
    }
}

/// Closes connections of generations that are over. Each waits its turn in the
/// budget, as closing takes a place too.
async fn drain_stale(server: Arc<Server>, database: Arc<str>) {
    while let Ok(permit) = Arc::clone(&server.budget).acquire_owned().await {
        let Some(connection) = server.take_stale(&database) else { return };
        Seat::new(Arc::clone(&server), Permits::for_closing(permit)).close(connection);
    }
}

/// Evicts ahead, so that a request that must connect finds room and does not
/// wait for another connection's end.
fn trim(server: &Arc<Server>) {
    while server.wants_room()
        && let Ok(permit) = Arc::clone(&server.budget).try_acquire_owned()
        && let Some(connection) = server.take_victim()
    {
        Seat::new(Arc::clone(server), Permits::for_closing(permit)).close_ahead(connection);
    }
}

/// Closes what has been idle too long, until the pools are gone.
async fn reap(pools: Weak<Inner>) {
    while let Some(inner) = pools.upgrade() {
        let idle_timeout = Duration::from_secs(inner.config.idle_timeout_s);
        let servers: Vec<_> = inner.servers().by_name.values().cloned().collect();
        drop(inner);
        for server in servers {
            // Without a free place the server is busy, and evicts by itself.
            while let Ok(permit) = Arc::clone(&server.budget).try_acquire_owned() {
                let Some(before) = Instant::now().checked_sub(idle_timeout) else { break };
                let Some(connection) = server.take_expired(before) else { break };
                Seat::new(Arc::clone(&server), Permits::for_closing(permit)).close(connection);
            }
            server.forget_unused();
        }
        tokio::time::sleep((idle_timeout / 4).clamp(Duration::from_millis(250), Duration::from_secs(30))).await;
    }
}
