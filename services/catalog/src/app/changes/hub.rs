//! From the one who reads the log to everybody who watches, within this process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast};
use tokio::time::Instant;

use super::{News, WatchSettings};

/// Something to tell, with the position to go on from after it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(super) news: News,
    pub(super) position: i64,
}

/// The changes as they come, for every subscriber of this process.
pub(crate) struct Changes {
    pub(super) settings: WatchSettings,
    /// One ring for all, in which each subscriber has its own place: who falls behind costs nobody else anything.
    ring: broadcast::Sender<Arc<Entry>>,
    work: Notify,
    seen: Mutex<Seen>,
    room: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    position: i64,
    /// When the log was last read.
    at: Instant,
}

/// A subscriber's place.
pub(super) struct Subscription {
    queue: broadcast::Receiver<Arc<Entry>>,
    _place: OwnedSemaphorePermit,
}

/// What a subscriber gets next.
pub(super) enum Next {
    Entry(Arc<Entry>),
    /// It fell behind; what was meant for it is gone.
    Lost,
}

impl Changes {
    pub(crate) fn new(settings: WatchSettings) -> Self {
        Self {
            ring: broadcast::channel(settings.watch_queue_changes as usize).0,
            work: Notify::new(),
            seen: Mutex::new(Seen { position: 0, at: Instant::now() }),
            room: Arc::new(Semaphore::new(settings.watch_max_subscribers)),
            settings,
        }
    }

    /// How often the logs of the central database are looked at.
    pub(crate) fn poll(&self) -> Duration {
        self.settings.poll()
    }

    /// How late a row of them may become visible.
    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience()
    }

    pub(crate) fn heartbeat(&self) -> Duration {
        self.settings.heartbeat()
    }

    /// A change was committed here.
    pub(crate) fn wake(&self) {
        self.work.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.work.notified().await;
    }

    /// Tells everybody. The position is the one to go on from once all of it was told: until then it is the earlier
    /// one, since a row may still be missing in between.
    pub(super) fn publish(&self, news: Vec<News>, position: i64) {
        let before = self.position();
        let last = news.len().saturating_sub(1);
        for (at, news) in news.into_iter().enumerate() {
            let position = if at == last { position } else { before };
            // Nobody watches: nobody is to be told.
            let _ = self.ring.send(Arc::new(Entry { news, position }));
        }
        *self.seen() = Seen { position, at: Instant::now() };
    }

    /// Where somebody who has just subscribed begins.
    pub(super) fn position(&self) -> i64 {
        self.seen().position
    }

    /// Whether the log was read within this time: if not, silence does not mean that nothing has happened.
    pub(super) fn is_current(&self, within: Duration) -> bool {
        self.seen().at.elapsed() <= within
    }

    /// A place for one more; `None` where there is none.
    pub(super) fn subscribe(&self) -> Option<Subscription> {
        let place = self.room.clone().try_acquire_owned().ok()?;
        Some(Subscription { queue: self.ring.subscribe(), _place: place })
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// The position to go on from, where everything up to it was taken; `None` while there is something to take.
    pub(super) fn position(&self, changes: &Changes) -> Option<i64> {
        // In this order: what a position covers is in the queue before the position is.
        let position = changes.position();
        self.queue.is_empty().then_some(position)
    }

    /// Waits for what comes next; `None` when nothing comes any more. Dropped while it waits, it loses nothing.
    pub(super) async fn next(&mut self) -> Option<Next> {
        match self.queue.recv().await {
            Ok(entry) => Some(Next::Entry(entry)),
            Err(RecvError::Lagged(_)) => {
                // What is left of the queue would tell half of the story.
                self.queue = self.queue.resubscribe();
                Some(Next::Lost)
            }
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tenantry_ids::CompanyId;
    use uuid::Uuid;

    use super::super::Revoked;
    use super::*;

    fn news(number: u128) -> News {
        let company = CompanyId(Uuid::from_u128(number));
        News::Revoked(Revoked { company, subject: String::new(), issued_before: DateTime::default() })
    }

    fn changes(queue: u32, subscribers: usize) -> Changes {
        let settings = WatchSettings {
            watch_queue_changes: queue,
            watch_max_subscribers: subscribers,
            ..WatchSettings::default()
        };
        Changes::new(settings)
    }

    #[tokio::test]
    async fn a_full_queue_loses_nothing_and_one_more_is_told() {
        let changes = changes(8, 1);
        let mut slow = changes.subscribe().expect("a place");
        changes.publish((0..8).map(news).collect(), 8);
        for number in 0..8 {
            let Some(Next::Entry(entry)) = slow.next().await else { panic!("{number} was lost") };
            assert_eq!(entry.news, news(number));
            assert_eq!(entry.position, if number == 7 { 8 } else { 0 });
        }
        changes.publish((8..17).map(news).collect(), 17);
        assert!(matches!(slow.next().await, Some(Next::Lost)));
        // And then it goes on with what comes.
        changes.publish(vec![news(17)], 18);
        let Some(Next::Entry(entry)) = slow.next().await else { panic!("the next one was lost") };
        assert_eq!((entry.news.clone(), entry.position, changes.position()), (news(17), 18, 18));
    }

    /// As many as the default queue holds: ten thousand tenants, and then the same half of them again.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hundred_hear_ten_thousand_in_order_and_all_of_them() {
        let changes = Changes::new(WatchSettings::default());
        let numbers: Vec<u128> = (0..10_000).chain(0..5_000).collect();
        let mut listeners = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (mut place, numbers) = (changes.subscribe().expect("a place"), numbers.clone());
            listeners.spawn(async move {
                for number in numbers {
                    let Some(Next::Entry(entry)) = place.next().await else { panic!("{number} was lost") };
                    assert_eq!(entry.news, news(number));
                }
            });
        }
        for (at, batch) in numbers.chunks(1_000).enumerate() {
            changes.publish(batch.iter().copied().map(news).collect(), at as i64);
        }
        while let Some(heard) = listeners.join_next().await {
            heard.expect("everything");
        }
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_subscriber_is_gone() {
        let changes = changes(8, 1);
        let first = changes.subscribe().expect("a place");
        assert!(changes.subscribe().is_none());
        drop(first);
        assert!(changes.subscribe().is_some());
    }
}
