//! An attempt to open a connection, as the server's breaker sees it.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::breaker::{Admitted, Breaker, Changed};
use super::server::Server;
use crate::engine::is_servers_failure;
use crate::{CheckoutError, Engine};

/// The breaker let it through. Dropped before its end is known, it leaves its turn to the next one.
pub(super) struct Attempt {
    server: Arc<Server>,
    admitted: Option<Admitted>,
}

impl Attempt {
    /// Fails at once while nobody is to try.
    pub(super) fn begin(server: &Arc<Server>, engine: Engine) -> Result<Self, CheckoutError> {
        let admitted = match engine {
            Engine::Postgres | Engine::MySql => Some(
                breaker(server).admit(Instant::now()).map_err(|retry_after| CheckoutError::Broken { retry_after })?,
            ),
            // Behind files there is no server: each tenant's is its own.
            Engine::Sqlite => None,
        };
        Ok(Self { server: Arc::clone(server), admitted })
    }

    /// Whether one would fail at once now.
    pub(super) fn would_begin(server: &Server) -> Result<(), CheckoutError> {
        match breaker(server).refuses(Instant::now()) {
            Some(retry_after) => Err(CheckoutError::Broken { retry_after }),
            None => Ok(()),
        }
    }

    /// What a tenant has done itself, such as a wrong password or a database that is missing, only shows that the server
    /// answers.
    pub(super) fn ended<T>(mut self, outcome: &Result<T, sqlx::Error>) {
        let Some(admitted) = self.admitted.take() else { return };
        let changed = match outcome {
            Err(error) if is_servers_failure(error) => {
                // A fresh RandomState hashes differently each time: randomness enough.
                let luck = RandomState::new().hash_one(()) as u32;
                breaker(&self.server).failed(admitted, Instant::now(), luck)
            }
            Ok(_) | Err(_) => breaker(&self.server).answered(),
        };
        let server = &*self.server.name;
        match changed {
            Changed::Nothing => {}
            Changed::Opened(wait) => {
                let error = outcome.as_ref().err().map(|error| error as &dyn std::error::Error);
                tracing::warn!(server, ?wait, error, "the database server cannot be reached; connecting waits");
            }
            Changed::Closed => tracing::info!(server, "the database server can be reached again"),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(admitted) = self.admitted.take() {
            breaker(&self.server).given_up(admitted, Instant::now());
        }
    }
}

fn breaker(server: &Server) -> MutexGuard<'_, Breaker> {
    // No step of it is half done when it panics.
    server.breaker.lock().unwrap_or_else(PoisonError::into_inner)
}
