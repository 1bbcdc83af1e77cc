//! Which idle connection makes room for another database's.
//!
//! Everything that decides is in this one small type, so that a policy which
//! also counts how often a database is wanted can take its place.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Least recently used first.
#[derive(Debug, Default)]
pub(super) struct Eviction {
    /// Idle connections by when they were parked.
    parked: BTreeMap<u64, Arc<str>>,
}

impl Eviction {
    /// Connection `id` of `database` is idle from now on. Ids only grow.
    pub(super) fn parked(&mut self, id: u64, database: Arc<str>) {
        self.parked.insert(id, database);
    }

    /// Connection `id` is no longer idle.
    pub(super) fn taken(&mut self, id: u64) {
        self.parked.remove(&id);
    }

    /// The idle connection to close when room is needed.
    pub(super) fn victim(&self) -> Option<(u64, Arc<str>)> {
        self.oldest()
    }

    /// The connection that has been idle longest, whatever the policy.
    pub(super) fn oldest(&self) -> Option<(u64, Arc<str>)> {
        self.parked.first_key_value().map(|(id, database)| (*id, Arc::clone(database)))
    }

    /// The number of idle connections.
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }
}
