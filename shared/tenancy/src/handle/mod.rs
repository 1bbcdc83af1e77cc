//! The capability: the only way from a request to its tenant's database.

mod access;
mod connection;
mod transaction;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tenantry_ids::CompanyId;

pub(crate) use access::{AccessGuard, TenantAccess};
pub use connection::{TenantConn, TenantConnection};
use transaction::Open;
pub use transaction::{TenantTx, TxScope};

use crate::engine::Isolation;
use crate::{InstalledPlugin, Retryable, TenancyError};

/// One tenant's database, during one request.
///
/// It borrows the request it came from, cannot be cloned, and cannot be made
/// from anything but the extensions of a request that the tenant layer let
/// pass. The examples that must not compile are in the crate's documentation.
pub struct TenantDb<'r> {
    access: &'r TenantAccess,
}

/// How [`TenantDb::transaction_with`] runs a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxOptions {
    /// How far it is kept from those beside it.
    pub isolation: Isolation,
    /// How often it is tried altogether. At least one attempt is made.
    pub attempts: u32,
}

impl Default for TxOptions {
    fn default() -> Self {
        Self { isolation: Isolation::Default, attempts: 3 }
    }
}

impl<'r> TenantDb<'r> {
    /// The database of the tenant that the request was authenticated for;
    /// `None` when the request did not pass the tenant layer.
    pub fn from_extensions(extensions: &'r Extensions) -> Option<Self> {
        extensions.get::<TenantAccess>().map(|access| Self { access })
    }

    pub(crate) fn of(access: &'r TenantAccess) -> Self {
        Self { access }
    }

    /// Whose database this is.
    pub fn tenant(&self) -> CompanyId {
        self.access.tenant()
    }

    /// The version of the tenant's schema, as far as is known: a rollout shows a moment later.
    pub fn schema_version(&self) -> &str {
        self.access.schema_version()
    }

    /// Whether the tenant has this plugin installed, as far as is known. An RPC of the plugin need not ask: it is not
    /// reached where it is not.
    pub fn has_plugin(&self, plugin: &str) -> bool {
        self.access.plugin_version(plugin).is_some()
    }

    /// The plugins that the tenant has installed, with their versions, as far as is known.
    pub fn plugins(&self) -> &[InstalledPlugin] {
        self.access.plugins()
    }

    /// A connection for statements that each stand for themselves.
    pub async fn read(&self) -> Result<TenantConn<'_>, TenancyError> {
        Ok(TenantConn::new(self.access.checkout().await?))
    }

    /// A transaction at the server's own isolation level.
    pub async fn begin(&self) -> Result<TenantTx<'_>, TenancyError> {
        self.begin_with(Isolation::Default).await
    }

    /// A transaction at a given isolation level.
    pub async fn begin_with(&self, isolation: Isolation) -> Result<TenantTx<'_>, TenancyError> {
        TenantTx::begin(self.access.checkout().await?, isolation).await
    }

    /// Runs `work` in a transaction, commits when it succeeds, and runs it
    /// again from the start when the database says that it collided with
    /// another. So `work` must have no effect outside the transaction.
    ///
    /// `work` is a plain closure over an `async move` block, since the future of
    /// an `async` closure cannot be shown to be `Send` yet; what it uses it
    /// borrows: `let name = &name; db.transaction(|tx| async move { … })`.
    pub async fn transaction<'d, T, E, F, W>(&'d self, work: F) -> Result<T, E>
    where
        F: Fn(TxScope<'d>) -> W,
        W: Future<Output = Result<T, E>>,
        E: From<TenancyError> + Retryable,
    {
        self.transaction_with(TxOptions::default(), work).await
    }

    /// As [`transaction`](Self::transaction), with other options.
    pub async fn transaction_with<'d, T, E, F, W>(&'d self, options: TxOptions, work: F) -> Result<T, E>
    where
        F: Fn(TxScope<'d>) -> W,
        W: Future<Output = Result<T, E>>,
        E: From<TenancyError> + Retryable,
    {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(options.isolation, &work).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if attempt >= options.attempts || !error.is_retryable() {
                return Err(error);
            }
            tracing::debug!(tenant = %self.tenant(), attempt, "the transaction collided with another; running it again");
            tokio::time::sleep(pause(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt<'d, T, E, F, W>(&'d self, isolation: Isolation, work: &F) -> Result<T, E>
    where
        F: Fn(TxScope<'d>) -> W,
        W: Future<Output = Result<T, E>>,
        E: From<TenancyError>,
    {
        let open = Arc::new(Open::begin(self.access.checkout().await?, isolation).await?);
        let result = work(TxScope::new(&open)).await;
        // A scope that was put aside could still run statements: no commit then.
        let Some(open) = Arc::into_inner(open) else {
            return result.and(Err(TenancyError::Aborted.into()));
        };
        match result {
            Ok(done) => {
                open.commit().await?;
                Ok(done)
            }
            Err(error) => {
                // Before the answer, so that what it held is free by then. When
                // it fails the connection is closed, which undoes it as well.
                let _ = open.rollback().await;
                Err(error)
            }
        }
    }
}

/// Up to 4, 8, 16 … milliseconds, so that two that collided do not do so again.
fn pause(attempt: u32) -> Duration {
    let most = 4_000_u64 << attempt.saturating_sub(1).min(6);
    // A fresh RandomState hashes differently each time: randomness enough.
    Duration::from_micros(RandomState::new().hash_one(attempt) % most)
}
