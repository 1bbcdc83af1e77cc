//! A connection in use, by one request alone.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit};
use tokio::time::{Instant, timeout_at};

use super::server::Server;
use super::trim;
use crate::Engine;
use crate::engine::{Failure, PhysicalConnection};

/// The place that a connection which is not idle has in its server's budget.
///
/// Dropping it says that the connection is gone, so it moves along with the
/// connection wherever that is opened, used and closed.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) server: Arc<Server>,
    counted: bool,
    // Dropped after the count was lowered.
    _permits: Permits,
}

/// What a request must hold before it may have a connection. Either is absent
/// when nobody asked for the connection: it is only being closed.
#[derive(Debug, Default)]
pub(super) struct Permits {
    _tenant: Option<OwnedSemaphorePermit>,
    _budget: Option<OwnedSemaphorePermit>,
}

impl Permits {
    pub(super) fn of(tenant: OwnedSemaphorePermit, budget: OwnedSemaphorePermit) -> Self {
        Self { _tenant: Some(tenant), _budget: Some(budget) }
    }

    pub(super) fn for_closing(budget: OwnedSemaphorePermit) -> Self {
        Self { _tenant: None, _budget: Some(budget) }
    }
}

impl Seat {
    /// For a connection that `server` already counts as open.
    pub(super) fn new(server: Arc<Server>, permits: Permits) -> Self {
        Self { server, counted: true, _permits: permits }
    }

    /// Closes `connection` outside the request, and leaves then.
    pub(super) fn close(self, connection: PhysicalConnection) {
        let runtime = self.server.runtime.clone();
        runtime.spawn(async move {
            connection.close().await;
            drop(self);
        });
    }

    /// As [`close`](Self::close), for a connection that the server was told
    /// makes room.
    pub(super) fn close_ahead(self, connection: PhysicalConnection) {
        let runtime = self.server.runtime.clone();
        runtime.spawn(async move {
            connection.close().await;
            self.server.made_room();
            drop(self);
        });
    }

    /// As [`close`](Self::close), for a connection in the middle of something.
    fn abandon(self, connection: PhysicalConnection) {
        let runtime = self.server.runtime.clone();
        runtime.spawn(async move {
            connection.abandon().await;
            drop(self);
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if self.counted {
            self.server.closed_one();
        }
    }
}

/// A physical connection, checked out exclusively.
///
/// When dropped it goes back to the pool only if it is known to be as clean as
/// it came: every statement ran to its end without an error, none could have
/// changed the session, and no transaction is open. Otherwise it is closed in
/// the background and keeps its place in the budget until then.
#[derive(Debug)]
pub(crate) struct Checkout {
    engine: Engine,
    database: Arc<str>,
    generation: u64,
    link: Mutex<Link>,
    seat: Option<Seat>,
}

#[derive(Debug)]
struct Link {
    connection: Option<PhysicalConnection>,
    /// A statement was started and has not been seen to end.
    busy: bool,
    /// Must not be used by another request.
    spoilt: bool,
    in_transaction: bool,
}

impl Checkout {
    pub(super) fn new(seat: Seat, connection: PhysicalConnection, database: Arc<str>, generation: u64) -> Self {
        seat.server.lent(&database);
        Self {
            engine: connection.engine(),
            database,
            generation,
            link: Mutex::new(Link { connection: Some(connection), busy: false, spoilt: false, in_transaction: false }),
            seat: Some(seat),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.engine
    }

    /// The name of the database that it leads to.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Waits for the connection's turn. Requests own a connection alone, but
    /// may use it from several futures at once.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, DbErr> {
        let mut link = self.link.lock().await;
        if link.busy {
            // The future of an earlier statement was dropped half-way.
            return Err(unusable("an earlier statement on this connection was cancelled"));
        }
        if link.connection.is_none() {
            return Err(unusable("this connection is closed"));
        }
        link.busy = true;
        Ok(Turn { link, seat: self.seat.as_ref() })
    }

    /// Whether the other side answers until `patience` ends.
    pub(super) async fn answers(&self, patience: Instant) -> bool {
        let Ok(mut turn) = self.turn().await else { return false };
        let Ok(connection) = turn.connection() else { return false };
        match timeout_at(patience, connection.ping()).await {
            Ok(pong) => turn.end(pong).is_ok(),
            Err(_silent) => false,
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let Some(mut seat) = self.seat.take() else { return };
        seat.server.returned(&self.database);
        let link = self.link.get_mut();
        let Some(connection) = link.connection.take() else { return };
        if link.busy {
            seat.abandon(connection);
        } else if link.spoilt || link.in_transaction {
            seat.close(connection);
        } else {
            match seat.server.park(&self.database, self.generation, connection) {
                // Idle connections are counted by the server itself.
                Ok(()) => {
                    seat.counted = false;
                    let server = Arc::clone(&seat.server);
                    drop(seat);
                    trim(&server);
                }
                Err(connection) => seat.close(connection),
            }
        }
    }
}

/// One statement's hold on a connection.
///
/// A connection whose turn is dropped without [`end`](Self::end) stays busy:
/// the future that ran the statement was cancelled.
pub(crate) struct Turn<'a> {
    link: MutexGuard<'a, Link>,
    seat: Option<&'a Seat>,
}

impl Turn<'_> {
    pub(crate) fn connection(&mut self) -> Result<&mut PhysicalConnection, DbErr> {
        self.link.connection.as_mut().ok_or_else(|| unusable("this connection is closed"))
    }

    /// The connection may carry something over to its next user.
    pub(crate) fn spoil(&mut self) {
        self.link.spoilt = true;
    }

    pub(crate) fn in_transaction(&mut self, open: bool) {
        self.link.in_transaction = open;
    }

    /// The statement came to its end.
    pub(crate) fn end<T>(mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        self.link.busy = false;
        if let Err(error) = &result {
            self.link.spoilt = true;
            if Failure::of(error) == Failure::Link
                && let Some(seat) = self.seat
            {
                seat.server.suspect();
            }
        }
        result
    }
}

fn unusable(why: &str) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(why.to_owned()))
}
