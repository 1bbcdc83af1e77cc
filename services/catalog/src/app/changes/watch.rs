//! One subscriber of `WatchTenants`.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tenantry_rpc::{Error, Reason};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use super::follow::{PAGE, news};
use super::hub::{Next, Subscription};
use super::{News, Revoked};
use crate::app::App;
use crate::store::{StoreError, changes as store};

/// Messages that may wait for the connection: those of a burst then leave in few frames, and not in one each.
const SENT_TOGETHER: usize = 64;

/// Something told to a subscriber, with what it can go on from afterwards.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    /// `None` while it is still being told what is in force: to go on from here would leave out the rest of that.
    pub(crate) position: Option<i64>,
    pub(crate) event: Event,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Start { heartbeat: Duration, revocations_kept: Duration },
    News(News),
    Heartbeat,
    Resync,
}

/// What a subscriber is told first, after the start.
enum Beginning {
    /// What it has missed.
    Missed(Vec<News>),
    /// It did not say where it was, or that is too long ago: what is in force.
    Anew { resync: bool, in_force: Vec<News> },
}

/// Takes a place among the subscribers and tells it everything from `position` on, or from now on.
pub(crate) fn watch(app: &Arc<App>, position: Option<i64>) -> Result<mpsc::Receiver<Result<Message, Error>>, Error> {
    let subscription = app.changes.subscribe().ok_or_else(|| {
        Error::new(Reason::Overloaded, "too many watch already; try again later").retry_after(Duration::from_secs(5))
    })?;
    let (to, messages) = mpsc::channel(SENT_TOGETHER);
    let current = app.changes.position();
    let subscriber = Subscriber { app: app.clone(), position: None, to };
    let task = async move {
        // Its only failure is that nobody listens any more.
        let _ = subscriber.run(subscription, position, current).await;
    };
    app.tasks.spawn(task);
    Ok(messages)
}

struct Subscriber {
    app: Arc<App>,
    /// What it can go on from.
    position: Option<i64>,
    to: mpsc::Sender<Result<Message, Error>>,
}

/// Nobody listens any more, or the process stops.
struct Gone;

impl Subscriber {
    async fn run(mut self, mut subscription: Subscription, from: Option<i64>, current: i64) -> Result<(), Gone> {
        // Everything from here on is in the subscription, so that what is read of the log now may overlap with it,
        // and leaves nothing out.
        let beginning = match beginning(&self.app, from).await {
            Ok(beginning) => beginning,
            Err(error) => return self.fail(error.into()).await,
        };
        self.position = match &beginning {
            Beginning::Missed(_) => from,
            Beginning::Anew { .. } => None,
        };
        self.tell(Event::Start {
            heartbeat: self.app.changes.settings.heartbeat(),
            revocations_kept: self.app.settings.revocations_kept(),
        })
        .await?;
        match beginning {
            Beginning::Missed(news) => self.tell_all(news).await?,
            Beginning::Anew { resync, in_force } => {
                if resync {
                    self.tell(Event::Resync).await?;
                }
                self.tell_all(in_force).await?;
            }
        }
        self.position = self.position.max(Some(current));
        self.tell(Event::Heartbeat).await?;
        self.go_on(&mut subscription).await
    }

    async fn go_on(&mut self, subscription: &mut Subscription) -> Result<(), Gone> {
        let period = self.app.changes.settings.heartbeat();
        let mut heartbeat = tokio::time::interval_at(Instant::now() + period, period);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let app = self.app.clone();
        loop {
            tokio::select! {
                next = subscription.next() => match next {
                    Some(Next::Entry(entry)) => {
                        self.position = self.position.max(Some(entry.position));
                        self.tell(Event::News(entry.news.clone())).await?;
                    }
                    Some(Next::Lost) => self.resync().await?,
                    None => return Ok(()),
                },
                _ = heartbeat.tick() => {
                    // Without a look at the log nobody knows that nothing has happened.
                    if app.changes.is_current(period) {
                        self.position = self.position.max(subscription.position(&app.changes));
                        self.tell(Event::Heartbeat).await?;
                    }
                }
                () = self.to.closed() => return Ok(()),
                () = app.stopping.begun() => {
                    let message = "this catalog stops; watch again";
                    let error = Error::new(Reason::ShuttingDown, message).retry_after(Duration::from_secs(1));
                    return self.fail(error).await;
                }
            }
        }
    }

    /// What was meant for the subscriber is gone.
    async fn resync(&mut self) -> Result<(), Gone> {
        let current = self.app.changes.position();
        match in_force(&self.app).await {
            Ok(in_force) => {
                self.position = None;
                self.tell(Event::Resync).await?;
                self.tell_all(in_force).await?;
                self.position = Some(current);
                self.tell(Event::Heartbeat).await
            }
            Err(error) => self.fail(error.into()).await,
        }
    }

    async fn tell_all(&self, news: Vec<News>) -> Result<(), Gone> {
        for news in news {
            self.tell(Event::News(news)).await?;
        }
        Ok(())
    }

    async fn tell(&self, event: Event) -> Result<(), Gone> {
        let message = Message { position: self.position, event };
        tokio::select! {
            biased;
            sent = self.to.send(Ok(message)) => sent.map_err(|_| Gone),
            // One that does not read must not keep the process.
            () = self.app.stopping.begun() => Err(Gone),
        }
    }

    async fn fail(&self, error: Error) -> Result<(), Gone> {
        self.to.try_send(Err(error)).map_err(|_| Gone)
    }
}

async fn beginning(app: &App, from: Option<i64>) -> Result<Beginning, StoreError> {
    let Some(from) = from else { return Ok(Beginning::Anew { resync: false, in_force: in_force(app).await? }) };
    match missed(app, from).await? {
        Some(news) => Ok(Beginning::Missed(news)),
        None => Ok(Beginning::Anew { resync: true, in_force: in_force(app).await? }),
    }
}

/// What happened since; `None` when that cannot be told in full, or is more than a subscriber may be behind.
async fn missed(app: &App, from: i64) -> Result<Option<Vec<News>>, StoreError> {
    let reaches = match store::kept(&app.db).await? {
        Some(kept) => (kept.start() - 1..=*kept.end()).contains(&from),
        // A log that has never had a row.
        None => from == 0,
    };
    if !reaches {
        return Ok(None);
    }
    let most = u64::from(app.changes.settings.watch_queue_changes);
    let rows = store::after(&app.db, from, most + 1).await?;
    if rows.len() as u64 > most {
        return Ok(None);
    }
    let mut all = Vec::with_capacity(rows.len());
    for rows in rows.chunks(PAGE) {
        all.extend(news(app, rows).await?);
    }
    Ok(Some(all))
}

/// The revocations that tokens may still be about.
async fn in_force(app: &App) -> Result<Vec<News>, StoreError> {
    let kept = TimeDelta::from_std(app.settings.revocations_kept()).unwrap_or(TimeDelta::MAX);
    let rows = store::revocations_since(&app.db, app.now() - kept).await?;
    Ok(rows.iter().filter_map(Revoked::of).map(News::Revoked).collect())
}
