//! Tokens that were verified, so that the next call with the same one is a look-up.

use moka::sync::Cache;
use tokio::time::Duration;

use crate::Caller;

/// What is used no more makes room.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(900);

/// A verified token's bearer.
#[derive(Clone)]
pub(super) struct Remembered {
    pub(super) caller: Caller,
    /// When the token ends, in seconds since 1970.
    pub(super) until: i64,
    /// Of the keys that it was verified with.
    pub(super) generation: u64,
}

/// The last so many verified tokens, by their digest: the tokens themselves are nowhere in memory for longer than
/// their call. Only what was verified is here, so that made-up tokens take no room.
pub(super) struct Remembering(Option<Cache<Digest, Remembered>>);

pub(super) type Digest = [u8; 32];

impl Remembering {
    pub(super) fn new(tokens: u64) -> Self {
        let cache = || Cache::builder().max_capacity(tokens).time_to_idle(FORGOTTEN_AFTER).build();
        Self((tokens > 0).then(cache))
    }

    /// SHA-256: whoever could make two tokens of one digest could pass one off for the other.
    pub(super) fn digest(token: &str) -> Digest {
        let mut digest = [0; 32];
        digest.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, token.as_bytes()).as_ref());
        digest
    }

    pub(super) fn get(&self, digest: &Digest, generation: u64) -> Option<Remembered> {
        self.0.as_ref()?.get(digest).filter(|known| known.generation == generation)
    }

    pub(super) fn put(&self, digest: Digest, remembered: Remembered) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, remembered);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> u64 {
        self.0.as_ref().map_or(0, |cache| {
            cache.run_pending_tasks();
            cache.entry_count()
        })
    }
}
