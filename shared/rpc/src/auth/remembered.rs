//! Tokens that were verified, so that the next call with the same one is a look-up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use foldhash::quality::RandomState;
use moka::Expiry;
use moka::sync::Cache;
use tokio::time::Duration;

use crate::Caller;

/// What is used no more makes room.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);
/// What one token may take, in bytes: a longer one has the room of two, or more. Ours have about 1,100.
const ROOM_BYTES: usize = 2 * 1024;

/// A verified token's bearer.
#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) caller: Caller,
    /// When the token ends, in seconds since 1970.
    pub(super) until: i64,
    /// How long it was good for when it was verified.
    pub(super) lasts: Duration,
    /// Of the keys that it was verified with.
    pub(super) generation: u64,
}

/// The last so many verified tokens, each found by the whole of itself. A hash alone would not do: a quick one lets
/// somebody look for two tokens of one hash, and SHA-256 over a token takes longer than everything else about a call's.
/// Only what was verified is here: made-up tokens take no room, and, the hash being seeded at random, nobody can choose
/// tokens that meet in it. A token that has ended goes with the table's next housekeeping.
pub(super) struct Remembering {
    known: Option<Cache<Arc<str>, Remembered, RandomState>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Remembering {
    pub(super) fn new(tokens: u64) -> Self {
        let cache = || {
            Cache::builder()
                .max_capacity(tokens)
                .weigher(|token: &Arc<str>, _| u32::try_from(token.len().div_ceil(ROOM_BYTES)).unwrap_or(u32::MAX))
                .time_to_idle(FORGOTTEN_AFTER)
                .expire_after(WhenItEnds)
                .build_with_hasher(RandomState::default())
        };
        Self { known: (tokens > 0).then(cache), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    pub(super) fn get(&self, token: &str, generation: u64) -> Option<Remembered> {
        let known = self.known.as_ref()?.get(token).filter(|known| known.generation == generation);
        let counted = if known.is_some() { &self.hits } else { &self.misses };
        counted.fetch_add(1, Ordering::Relaxed);
        known
    }

    pub(super) fn put(&self, token: &str, remembered: Remembered) {
        if let Some(cache) = &self.known {
            cache.insert(token.into(), remembered);
        }
    }

    /// Look-ups so far that found a token, and those that did not.
    pub(super) fn lookups(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// How many there are, give or take those that have just come or gone.
    pub(super) fn entries(&self) -> u64 {
        self.known.as_ref().map_or(0, Cache::entry_count)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.known.as_ref().map_or(0, |cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        })
    }
}

struct WhenItEnds;

impl Expiry<Arc<str>, Remembered> for WhenItEnds {
    fn expire_after_create(&self, _: &Arc<str>, token: &Remembered, _: Instant) -> Option<Duration> {
        Some(token.lasts)
    }
}
