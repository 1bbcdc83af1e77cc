//! The way of one request to a connection.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tenantry_telemetry::database;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::attempt::Attempt;
use super::checkout::{Checkout, Permits, Seat};
use super::server::{Queue, Room, Server, Taken};
use super::{PING_AFTER_IDLE, PING_TIMEOUT, trim};
use crate::engine::{ConnectSettings, PhysicalConnection, is_crowded, is_refusal, traced};
use crate::{CheckoutError, Endpoint, Placement};

/// A request for a connection.
pub(super) struct Waiter<'a> {
    pub(super) server: Arc<Server>,
    pub(super) queue: Queue,
    pub(super) placement: &'a Placement,
    pub(super) settings: &'a ConnectSettings,
    /// When the caller stops caring.
    pub(super) deadline: Instant,
    /// When waiting ends: the deadline, or the checkout timeout before it.
    pub(super) give_up: Instant,
}

/// Where the connection comes from.
enum Source {
    Idle(Taken),
    New(Room, OwnedSemaphorePermit, Attempt),
}

impl Waiter<'_> {
    pub(super) async fn checkout(self) -> Result<Checkout, CheckoutError> {
        let _waiting = Waiting::new(&self.server);
        let since = Instant::now();
        let got = self.connection().await;
        match &got {
            Ok(_) => self.server.times.waited(since.elapsed()),
            Err(CheckoutError::Broken { .. }) => self.server.count(|stats| stats.refused += 1),
            Err(CheckoutError::Exhausted) => self.server.count(|stats| stats.timeouts += 1),
            Err(_) => {}
        }
        got
    }

    async fn connection(&self) -> Result<Checkout, CheckoutError> {
        loop {
            let (permits, source) = self.reserve().await?;
            let seat = Seat::new(Arc::clone(&self.server), permits);
            match source {
                Source::New(room, connecting, attempt) => {
                    trim(&self.server);
                    return self.open(room, seat, connecting, attempt).await;
                }
                Source::Idle(taken) => {
                    let must_answer = taken.suspect || taken.since.elapsed() > PING_AFTER_IDLE;
                    let database = Arc::clone(&self.queue.database);
                    let checkout = Checkout::new(seat, taken.connection, database, self.placement.generation);
                    let patience = self.give_up.min(Instant::now() + PING_TIMEOUT);
                    if !must_answer || checkout.answers(patience).await {
                        return Ok(checkout);
                    }
                    // Dead, and on its way out. The next one, then.
                }
            }
        }
    }

    /// First the tenant's own limit, so that one tenant's crowd waits for
    /// itself. Then, with an idle connection in sight, a place in the budget.
    /// Without, a turn to connect comes *before* the place in the budget: those
    /// who wait to log in hold nothing that a request with a warm connection
    /// needs.
    async fn reserve(&self) -> Result<(Permits, Source), CheckoutError> {
        let tenant = self.permit(&self.queue.permits).await?;
        // Keeps its place in the queue while the tenant's own connections that
        // come back are looked at.
        let mut connecting = pin!(self.permit(&self.server.connecting));
        loop {
            if self.server.has_idle(&self.queue.database, self.placement.generation) {
                let budget = self.permit(&self.server.budget).await?;
                if let Some(taken) = self.take() {
                    return Ok((Permits::of(tenant, budget), Source::Idle(taken)));
                }
                // Somebody else was faster, or it was evicted.
            }
            Attempt::would_begin(&self.server)?;
            let connecting = tokio::select! {
                permit = &mut connecting => permit?,
                () = self.queue.returned.notified() => continue,
            };
            let budget = self.permit(&self.server.budget).await?;
            let source = match self.take() {
                Some(taken) => Source::Idle(taken),
                None => {
                    let attempt = Attempt::begin(&self.server, self.placement.endpoint.engine())?;
                    Source::New(self.server.make_room().ok_or(CheckoutError::Closed)?, connecting, attempt)
                }
            };
            return Ok((Permits::of(tenant, budget), source));
        }
    }

    async fn permit(&self, semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, CheckoutError> {
        match timeout_at(self.give_up, Arc::clone(semaphore).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(CheckoutError::Closed),
            Err(_elapsed) => Err(CheckoutError::Exhausted),
        }
    }

    fn take(&self) -> Option<Taken> {
        self.server.take(&self.queue.database, self.placement.generation)
    }

    /// Opens a connection in a task of its own: when the request is cancelled
    /// meanwhile, the eviction still ends before the connect begins, and the
    /// new connection serves the next request.
    async fn open(
        &self,
        room: Room,
        seat: Seat,
        connecting: OwnedSemaphorePermit,
        attempt: Attempt,
    ) -> Result<Checkout, CheckoutError> {
        let Placement { generation, endpoint, database: name, .. } = self.placement;
        let (generation, endpoint, name) = (*generation, endpoint.clone(), name.clone());
        let (database, settings) = (Arc::clone(&self.queue.database), self.settings.clone());
        // Of the request that waits, though the connection may serve another one.
        let span = database::connecting(endpoint.engine().name(), &name);
        let opening = self.server.runtime.spawn(async move {
            if let Room::Evicted(connection) = room {
                connection.close().await;
            }
            let since = Instant::now();
            let connected = traced(span, connect(&endpoint, &name, &settings)).await;
            attempt.ended(&connected);
            drop(connecting);
            let connection = connected.map_err(|error| {
                seat.server.count(|stats| stats.failures += 1);
                match is_refusal(&error) {
                    true => CheckoutError::Refused(error),
                    false => CheckoutError::Connect(error),
                }
            })?;
            seat.server.times.connected(since.elapsed());
            seat.server.count(|stats| stats.connects += 1);
            Ok(Checkout::new(seat, connection, database, generation))
        });
        match timeout_at(self.give_up, opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(stopped)) => Err(CheckoutError::Connect(sqlx::Error::Io(std::io::Error::other(stopped)))),
            Err(_elapsed) if self.deadline <= self.give_up => Err(CheckoutError::DeadlinePassed),
            Err(_elapsed) => Err(CheckoutError::Connect(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
        }
    }
}

/// Connects, and tries again while the server says that it is full: others
/// share it, and its own count of our connections may lag behind ours.
async fn connect(
    endpoint: &Endpoint,
    database: &str,
    settings: &ConnectSettings,
) -> Result<PhysicalConnection, sqlx::Error> {
    let give_up = Instant::now() + settings.connect_timeout;
    let mut pause = Duration::from_millis(5);
    loop {
        match PhysicalConnection::connect(endpoint, database, settings).await {
            Err(error) if is_crowded(&error) && Instant::now() + pause < give_up => {
                tracing::debug!(error = &error as &dyn std::error::Error, "the server is full; connecting again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(250));
            }
            connected => return connected,
        }
    }
}

/// Counts a request as waiting while it lives.
struct Waiting<'a>(&'a Server);

impl<'a> Waiting<'a> {
    fn new(server: &'a Server) -> Self {
        server.count(|stats| stats.waiting += 1);
        Self(server)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.count(|stats| stats.waiting -= 1);
    }
}
