//! One database server's budget.
//!
//! Two counts keep it exact. `open` counts connections, whatever they are
//! doing, and never exceeds the budget. The `budget` semaphore has as many
//! permits, and every connection that is **not** idle holds one: in use, being
//! opened, being closed. So whoever holds a permit and no connection yet finds
//! either room or an idle connection to evict, and never has to wait again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::breaker::Breaker;
use super::eviction::Eviction;
use super::figures::Times;
use super::{PoolConfig, PoolStats};
use crate::Placement;
use crate::engine::PhysicalConnection;

/// One server's connections.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: String,
    limit: u32,
    /// Room that is kept free, while there are idle connections, for the next
    /// ones to be opened.
    reserve: u32,
    per_database: usize,
    pub(super) budget: Arc<Semaphore>,
    pub(super) connecting: Arc<Semaphore>,
    pub(super) breaker: Mutex<Breaker>,
    state: Mutex<State>,
    /// Told when the last connection of a closed server is gone.
    drained: Notify,
    pub(super) times: Times,
    /// Where connections are opened and closed, outside any request.
    pub(super) runtime: Handle,
}

#[derive(Debug)]
struct State {
    open: u32,
    /// Connections that are being closed to keep the reserve.
    closing_ahead: u32,
    /// The next idle connection's id; also a clock of parkings.
    next_id: u64,
    /// Idle connections with a smaller id may be dead: another one was.
    suspect_below: u64,
    closed: bool,
    databases: HashMap<Arc<str>, Database>,
    eviction: Eviction,
    stats: PoolStats,
}

#[derive(Debug)]
struct Database {
    /// The newest generation that a placement named.
    generation: u64,
    /// As many as there are in all: connections in use, and requests that are on their way to one.
    permits: Arc<Semaphore>,
    most: usize,
    /// Connections that requests have.
    in_use: u32,
    returned: Arc<Notify>,
    idle: Vec<Idle>,
}

#[derive(Debug)]
struct Idle {
    id: u64,
    generation: u64,
    since: Instant,
    connection: PhysicalConnection,
}

/// What a request for a database waits on.
pub(super) struct Queue {
    pub(super) database: Arc<str>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) returned: Arc<Notify>,
    /// Idle connections of an older generation exist.
    pub(super) stale: bool,
}

/// An idle connection that was taken.
pub(super) struct Taken {
    pub(super) connection: PhysicalConnection,
    pub(super) since: Instant,
    /// It was idle when another connection to the server turned out dead.
    pub(super) suspect: bool,
}

/// How a permit became a place for a connection that must still be opened.
pub(super) enum Room {
    Free,
    Evicted(PhysicalConnection),
}

impl Server {
    pub(super) fn new(name: &str, config: &PoolConfig, times: Times) -> Self {
        let (limit, connecting) = (config.connections_per_server, config.connects_in_flight_per_server);
        let state = State {
            open: 0,
            closing_ahead: 0,
            next_id: 0,
            suspect_below: 0,
            closed: false,
            databases: HashMap::new(),
            eviction: Eviction::new(config),
            stats: PoolStats::default(),
        };
        Self {
            name: name.to_owned(),
            limit,
            // A small budget cannot spare any.
            reserve: connecting.min(limit / 8),
            per_database: config.connections_per_tenant as usize,
            budget: Arc::new(Semaphore::new(limit as usize)),
            connecting: Arc::new(Semaphore::new(connecting as usize)),
            breaker: Mutex::new(Breaker::new(config)),
            state: Mutex::new(state),
            drained: Notify::new(),
            times,
            runtime: Handle::current(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding the lock; if it did, the counts would
        // still be the best there are.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to queue for the placement's database.
    pub(super) fn queue(&self, placement: &Placement) -> Queue {
        let (database, generation) = (placement.database.as_str(), placement.generation);
        let most = placement.limits.connections.map_or(self.per_database, |most| most.get() as usize);
        let mut state = self.state();
        let name = match state.databases.get_key_value(database) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(database),
        };
        let known = state.databases.entry(Arc::clone(&name)).or_insert_with(|| Database {
            generation,
            permits: Arc::new(Semaphore::new(most)),
            most,
            in_use: 0,
            returned: Arc::default(),
            idle: Vec::new(),
        });
        known.generation = known.generation.max(generation);
        known.allow(most);
        let queue = Queue {
            database: name,
            permits: Arc::clone(&known.permits),
            returned: Arc::clone(&known.returned),
            stale: known.idle.iter().any(|idle| idle.generation < known.generation),
        };
        let nth = known.in_use + 1;
        state.eviction.wanted(database, nth);
        queue
    }

    pub(super) fn has_idle(&self, database: &str, generation: u64) -> bool {
        let state = self.state();
        state.databases.get(database).is_some_and(|known| known.idle.iter().any(|idle| idle.generation == generation))
    }

    /// Takes the idle connection of `database` that was used last: the others
    /// age, and the idle timeout finds them.
    pub(super) fn take(&self, database: &str, generation: u64) -> Option<Taken> {
        let mut state = self.state();
        let known = state.databases.get_mut(database)?;
        let position = known.idle.iter().rposition(|idle| idle.generation == generation)?;
        let idle = known.idle.remove(position);
        state.eviction.taken(idle.id);
        Some(Taken { suspect: idle.id < state.suspect_below, since: idle.since, connection: idle.connection })
    }

    /// Takes an idle connection of a generation that is over.
    pub(super) fn take_stale(&self, database: &str) -> Option<PhysicalConnection> {
        let mut state = self.state();
        let known = state.databases.get_mut(database)?;
        let position = known.idle.iter().position(|idle| idle.generation < known.generation)?;
        let idle = known.idle.remove(position);
        state.eviction.taken(idle.id);
        Some(idle.connection)
    }

    /// Takes the longest idle connection if it has been idle since `before`.
    pub(super) fn take_expired(&self, before: Instant) -> Option<PhysicalConnection> {
        let mut state = self.state();
        // A connection is only ever parked with a newer id and a later time.
        let (id, database) = state.eviction.oldest()?;
        let known = state.databases.get(&database)?;
        known.idle.iter().find(|idle| idle.id == id).filter(|idle| idle.since < before)?;
        state.remove(id, &database)
    }

    /// Makes room for one more connection. The caller holds a permit of the
    /// budget and no connection; `None` means that the server is closed.
    pub(super) fn make_room(&self) -> Option<Room> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if state.open < self.limit {
            state.open += 1;
            return Some(Room::Free);
        }
        state.evict().map(Room::Evicted)
    }

    /// Whether an idle connection should be closed to keep the reserve.
    pub(super) fn wants_room(&self) -> bool {
        let state = self.state();
        state.eviction.len() > 0 && self.limit - state.open + state.closing_ahead < self.reserve
    }

    /// Takes the connection to close for the reserve, if it is still needed.
    pub(super) fn take_victim(&self) -> Option<PhysicalConnection> {
        let mut state = self.state();
        if self.limit - state.open + state.closing_ahead >= self.reserve {
            return None;
        }
        let connection = state.evict()?;
        state.closing_ahead += 1;
        Some(connection)
    }

    /// A connection that was closed for the reserve is about to be gone.
    pub(super) fn made_room(&self) {
        self.state().closing_ahead -= 1;
    }

    /// Makes a connection idle, or gives it back when it must be closed: its
    /// generation is over, or the server is closed.
    pub(super) fn park(
        &self,
        database: &Arc<str>,
        generation: u64,
        connection: PhysicalConnection,
    ) -> Result<(), PhysicalConnection> {
        let mut state = self.state();
        let id = state.next_id;
        if state.closed {
            return Err(connection);
        }
        let Some(known) = state.databases.get_mut(database) else { return Err(connection) };
        if generation < known.generation {
            return Err(connection);
        }
        known.idle.push(Idle { id, generation, since: Instant::now(), connection });
        let returned = Arc::clone(&known.returned);
        state.next_id += 1;
        state.eviction.parked(id, Arc::clone(database));
        drop(state);
        returned.notify_one();
        Ok(())
    }

    /// A connection turned out to be dead: those that are idle now may be too.
    pub(super) fn suspect(&self) {
        let mut state = self.state();
        state.suspect_below = state.next_id;
    }

    /// A connection is gone.
    pub(super) fn closed_one(&self) {
        let mut state = self.state();
        state.open -= 1;
        if state.open == 0 {
            self.drained.notify_waiters();
        }
    }

    /// Forgets databases that nobody uses.
    pub(super) fn forget_unused(&self) {
        let unused = |known: &Database| known.idle.is_empty() && Arc::strong_count(&known.permits) == 1;
        self.state().databases.retain(|_, known| !unused(known));
    }

    /// Refuses everybody from now on, and gives the idle connections away.
    pub(super) fn shut(&self) -> Vec<PhysicalConnection> {
        let mut state = self.state();
        state.closed = true;
        state.eviction.clear();
        let idle = state.databases.values_mut().flat_map(|known| known.idle.drain(..));
        let connections = idle.map(|idle| idle.connection).collect();
        for known in state.databases.values() {
            known.permits.close();
        }
        self.budget.close();
        self.connecting.close();
        connections
    }

    /// Waits until the last connection of a closed server is gone.
    pub(super) async fn drained(&self) {
        loop {
            let mut notified = std::pin::pin!(self.drained.notified());
            notified.as_mut().enable();
            if self.state().open == 0 {
                return;
            }
            notified.await;
        }
    }

    /// A request has a connection of `database` from now on.
    pub(super) fn lent(&self, database: &str) {
        self.in_use(database, |count| *count += 1);
    }

    /// A request's connection is about to be idle, or closed.
    pub(super) fn returned(&self, database: &str) {
        self.in_use(database, |count| *count -= 1);
    }

    fn in_use(&self, database: &str, change: impl Fn(&mut u32)) {
        let mut state = self.state();
        change(&mut state.stats.in_use);
        // It is known for as long as a request holds one of its permits.
        if let Some(known) = state.databases.get_mut(database) {
            change(&mut known.in_use);
        }
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut PoolStats)) {
        change(&mut self.state().stats);
    }

    pub(super) fn stats(&self) -> PoolStats {
        let broken = !self.breaker.lock().unwrap_or_else(PoisonError::into_inner).is_closed();
        let state = self.state();
        let (limit, idle) = (self.limit, state.eviction.len() as u32);
        PoolStats { limit, open: state.open, idle, broken: u32::from(broken), ..state.stats }
    }
}

impl Database {
    fn connections(&self) -> u32 {
        self.in_use + self.idle.len() as u32
    }

    /// Has as many permits as the tenant may have connections. Those that are out come back first: what cannot be
    /// taken away now is when the next request queues.
    fn allow(&mut self, most: usize) {
        if most > self.most {
            self.permits.add_permits(most - self.most);
            self.most = most;
        } else {
            self.most -= self.permits.forget_permits(self.most - most);
        }
    }
}

impl State {
    fn evict(&mut self) -> Option<PhysicalConnection> {
        let known = |database: &str| self.databases.get(database);
        let (id, database) = self.eviction.victim(|database| known(database).map_or(0, Database::connections))?;
        let connection = self.remove(id, &database)?;
        self.stats.evictions += 1;
        Some(connection)
    }

    fn remove(&mut self, id: u64, database: &str) -> Option<PhysicalConnection> {
        self.eviction.taken(id);
        let known = self.databases.get_mut(database)?;
        let position = known.idle.iter().position(|idle| idle.id == id)?;
        Some(known.idle.remove(position).connection)
    }
}
