//! One who watches events.
//!
//! Each reads the log for itself, at its own pace, so that nobody who is slow loses anything or costs another anything;
//! what they share is to be told that there is something to read.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tenantry_ids::CompanyId;
use tenantry_rpc::{Error, Reason, Violations};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

use crate::app::{App, log};
use crate::domain::Tail;
use crate::store::entities::event;
use crate::store::{StoreError, events};

/// Messages that may wait for the connection.
const SENT_TOGETHER: usize = 64;

/// Events that are read at once. Few, since what they say can be long.
const PAGE: usize = 100;

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// After this position.
    After(i64),
}

/// What is told; what is empty lets all through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interest {
    pub(crate) company: Option<CompanyId>,
    pub(crate) kinds: Vec<String>,
}

impl Interest {
    fn covers(&self, event: &event::Model) -> bool {
        let company = self.company.is_none() || event.company_id == self.company;
        company && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }
}

/// Something told, with the position to go on from afterwards.
pub(crate) struct Message {
    pub(crate) position: i64,
    pub(crate) told: Told,
}

pub(crate) enum Told {
    Start { heartbeat: Duration, kept_days: u16 },
    Event(Box<event::Model>),
    Heartbeat,
}

/// Takes a place among those who watch, and tells everything from there on.
pub(crate) async fn watch(
    app: &Arc<App>,
    beginning: Beginning,
    interest: Interest,
) -> Result<mpsc::Receiver<Result<Message, Error>>, Error> {
    let place = app.event_log.room.clone().try_acquire_owned().map_err(|_| {
        Error::new(Reason::Overloaded, "too many watch already; try again later").retry_after(Duration::from_secs(5))
    })?;
    let tail = begin(app, beginning).await?;
    let (to, messages) = mpsc::channel(SENT_TOGETHER);
    let watcher = Watcher { app: app.clone(), interest, tail, to, _place: place };
    app.tasks.spawn(watcher.run());
    Ok(messages)
}

/// Where the reading begins, with everything read that is not to be told.
async fn begin(app: &App, beginning: Beginning) -> Result<Tail, Error> {
    let removed = events::removed_through(&app.db).await?;
    match beginning {
        Beginning::Oldest => Ok(Tail::at(removed)),
        Beginning::After(position) if position < removed => Err(expired()),
        Beginning::After(position) => {
            let newest = events::newest(&app.db).await?.max(removed);
            let mut violations = Violations::new();
            violations.check(position <= newest, "cursor", "must be a cursor of this log, which is not so far");
            violations.into_result()?;
            Ok(Tail::at(position))
        }
        Beginning::Now => {
            // From before what transactions that are under way could still show; what is there already is not told.
            let before = events::last_before(&app.db, app.now() - app.changes.patience()).await?;
            let mut tail = Tail::at(before.unwrap_or(removed).max(removed));
            while !read(app, &mut tail).await?.is_last {}
            Ok(tail)
        }
    }
}

fn expired() -> Error {
    let message = "events after this cursor were removed, since they are not kept for so long; begin anew with \
                   from_beginning, and take what you know as out of date";
    Error::new(Reason::CursorExpired, message)
}

async fn read(app: &App, tail: &mut Tail) -> Result<log::Look<event::Model>, StoreError> {
    let patience = TimeDelta::from_std(app.changes.patience()).unwrap_or(TimeDelta::MAX);
    let read = |ranges, limit| events::within(&app.db, ranges, limit);
    log::look(tail, PAGE, (app.now(), patience), read, |row| row.sequence).await
}

struct Watcher {
    app: Arc<App>,
    interest: Interest,
    tail: Tail,
    to: mpsc::Sender<Result<Message, Error>>,
    _place: OwnedSemaphorePermit,
}

/// Why nothing more is told.
enum Stop {
    /// Nobody listens any more, or nobody reads while the process stops.
    Gone,
    Failed(Error),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Watcher {
    async fn run(mut self) {
        let Err(Stop::Failed(error)) = self.tell_on().await else { return };
        tokio::select! {
            biased;
            // Its only failure is that nobody listens any more.
            _ = self.to.send(Err(error)) => {}
            () = self.app.stopping.begun() => {}
        }
    }

    async fn tell_on(&mut self) -> Result<(), Stop> {
        let app = self.app.clone();
        let (period, poll) = (app.changes.heartbeat(), app.changes.poll());
        let mut heartbeat = tokio::time::interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut head = app.event_log.head.subscribe();
        let kept_days = app.event_log.settings.events_kept_days;
        self.tell(self.tail.position(), Told::Start { heartbeat: period, kept_days }).await?;
        // The first one says that everything that was missed is told.
        let mut is_beat = true;
        loop {
            // In this order: what comes after the look wakes it again.
            head.mark_unchanged();
            self.tell_news().await?;
            if is_beat {
                self.tell(self.tail.position(), Told::Heartbeat).await?;
            }
            let has_gaps = self.tail.gaps().next().is_some();
            is_beat = tokio::select! {
                _ = head.changed() => false,
                () = tokio::time::sleep(poll), if has_gaps => false,
                _ = heartbeat.tick() => true,
                () = self.to.closed() => return Err(Stop::Gone),
                () = app.stopping.begun() => return Err(Stop::Failed(stopping())),
            };
        }
    }

    /// Tells everything that is there and was not told.
    async fn tell_news(&mut self) -> Result<(), Stop> {
        loop {
            let mut next = self.tail.clone();
            let look = read(&self.app, &mut next).await?;
            // After the rows: if some of them were gone by then, this says so.
            if events::removed_through(&self.app.db).await? > self.tail.position() {
                return Err(Stop::Failed(expired()));
            }
            for (row, position) in look.rows {
                if self.interest.covers(&row) {
                    self.tell(position, Told::Event(Box::new(row))).await?;
                }
            }
            self.tail = next;
            if look.is_last {
                return Ok(());
            }
        }
    }

    async fn tell(&self, position: i64, told: Told) -> Result<(), Stop> {
        tokio::select! {
            biased;
            sent = self.to.send(Ok(Message { position, told })) => sent.map_err(|_| Stop::Gone),
            // One that does not read must not keep the process.
            () = self.app.stopping.begun() => Err(Stop::Gone),
        }
    }
}

fn stopping() -> Error {
    Error::new(Reason::ShuttingDown, "this catalog stops; watch again").retry_after(Duration::from_secs(1))
}
