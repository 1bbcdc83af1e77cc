//! What is to be seen of the queue for Argon2id.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tenantry_telemetry::metrics::{Histogram, durations, meter};
use tokio::sync::Semaphore;

pub(super) struct Figures {
    waiting: Histogram<f64>,
    hashing: Histogram<f64>,
    refusals: Arc<AtomicU64>,
}

/// The places of a semaphore, and how many there are in all.
struct Places {
    semaphore: Weak<Semaphore>,
    all: usize,
}

impl Places {
    fn of(semaphore: &Arc<Semaphore>) -> Self {
        Self { semaphore: Arc::downgrade(semaphore), all: semaphore.available_permits() }
    }

    /// `None` once nobody hashes any more.
    fn taken(&self) -> Option<i64> {
        let free = self.semaphore.upgrade()?.available_permits();
        i64::try_from(self.all.saturating_sub(free)).ok()
    }
}

impl Figures {
    /// `at_once` are places to hash, `queue` places to hash or to wait. Nobody has one yet.
    pub(super) fn of(at_once: &Arc<Semaphore>, queue: &Arc<Semaphore>) -> Self {
        let (hashing, both) = (Places::of(at_once), Places::of(queue));
        observe("tenantry.argon2.waiting", "Passwords that wait to be hashed", move || {
            Some((both.taken()? - hashing.taken()?).max(0))
        });
        let hashing = Places::of(at_once);
        observe("tenantry.argon2.running", "Passwords that are being hashed", move || hashing.taken());
        let refusals = Arc::<AtomicU64>::default();
        observe_refusals(Arc::downgrade(&refusals));
        Self {
            waiting: durations("tenantry.argon2.wait.duration", "How long passwords waited to be hashed"),
            hashing: durations("tenantry.argon2.hash.duration", "How long hashing a password took"),
            refusals,
        }
    }

    pub(super) fn refused(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, took: Duration) {
        self.waiting.record(took.as_secs_f64(), &[]);
    }

    /// For the thread that hashes.
    pub(super) fn hashing(&self) -> Histogram<f64> {
        self.hashing.clone()
    }
}

fn observe(name: &'static str, about: &'static str, read: impl Fn() -> Option<i64> + Send + Sync + 'static) {
    meter()
        .i64_observable_up_down_counter(name)
        .with_unit("{password}")
        .with_description(about)
        .with_callback(move |observer| {
            if let Some(number) = read() {
                observer.observe(number, &[]);
            }
        })
        .build();
}

fn observe_refusals(refusals: Weak<AtomicU64>) {
    meter()
        .u64_observable_counter("tenantry.argon2.refusals")
        .with_unit("{password}")
        .with_description("Passwords that were refused as too many waited")
        .with_callback(move |observer| {
            if let Some(refusals) = refusals.upgrade() {
                observer.observe(refusals.load(Ordering::Relaxed), &[]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_while_somebody_has_them_and_unknown_after_the_end() {
        let semaphore = Arc::new(Semaphore::new(3));
        let places = Places::of(&semaphore);
        assert_eq!(places.taken(), Some(0));
        let two = semaphore.try_acquire_many(2).expect("two");
        assert_eq!(places.taken(), Some(2));
        drop(two);
        assert_eq!(places.taken(), Some(0));
        drop(semaphore);
        assert_eq!(places.taken(), None);
    }
}
