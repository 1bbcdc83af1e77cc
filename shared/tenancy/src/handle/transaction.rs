//! A transaction on a tenant's database.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{DbErr, ExecResult, QueryResult, RuntimeErr, Statement};

use super::connection::connection_on;
use crate::TenancyError;
use crate::engine::{Engine, Isolation};
use crate::pool::Checkout;

/// An open transaction on the tenant's database.
///
/// Dropped without [`commit`](Self::commit), it never happened: the connection
/// is closed and the server rolls back.
///
/// After a failed statement nothing more runs in it and it cannot be
/// committed, on any engine. PostgreSQL demands that; on MySQL a deadlock has
/// already ended the transaction on the server, and the next statement would
/// be committed by itself.
pub struct TenantTx<'a> {
    open: Open,
    request: PhantomData<&'a ()>,
}

/// The transaction that [`TenantDb::transaction`](crate::TenantDb::transaction)
/// opened and will end: statements run in it, and that is all it can do.
pub struct TxScope<'a> {
    open: Arc<Open>,
    request: PhantomData<&'a ()>,
}

connection_on!(TenantTx<'_>, open);
connection_on!(TxScope<'_>, open);

impl TenantTx<'_> {
    pub(super) async fn begin(checkout: Checkout, isolation: Isolation) -> Result<Self, TenancyError> {
        Ok(Self { open: Open::begin(checkout, isolation).await?, request: PhantomData })
    }

    /// Makes everything that the transaction did last.
    pub async fn commit(self) -> Result<(), TenancyError> {
        self.open.commit().await
    }

    /// Undoes everything that the transaction did: sooner than a drop, and the
    /// connection lives on.
    pub async fn rollback(self) -> Result<(), TenancyError> {
        self.open.rollback().await
    }
}

impl TxScope<'_> {
    pub(super) fn new(open: &Arc<Open>) -> Self {
        Self { open: Arc::clone(open), request: PhantomData }
    }
}

/// A transaction between its begin and its end.
pub(super) struct Open {
    checkout: Checkout,
    failed: AtomicBool,
}

impl Open {
    pub(super) async fn begin(checkout: Checkout, isolation: Isolation) -> Result<Self, TenancyError> {
        checkout.begin(isolation).await?;
        Ok(Self { checkout, failed: AtomicBool::new(false) })
    }

    pub(super) async fn commit(self) -> Result<(), TenancyError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(TenancyError::Aborted);
        }
        self.checkout.finish(true).await.map_err(|error| match &error {
            // The server answered, so it did not commit.
            DbErr::Exec(RuntimeErr::SqlxError(cause)) if cause.as_database_error().is_some() => {
                TenancyError::Database(error)
            }
            _ => TenancyError::OutcomeUnknown(error),
        })
    }

    pub(super) async fn rollback(self) -> Result<(), TenancyError> {
        Ok(self.checkout.finish(false).await?)
    }

    fn engine(&self) -> Engine {
        self.checkout.engine()
    }

    async fn run_execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.check()?;
        self.note(self.checkout.run_execute(statement).await)
    }

    async fn run_text(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.check()?;
        self.note(self.checkout.run_text(sql).await)
    }

    async fn run_query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.check()?;
        self.note(self.checkout.run_query_one(statement).await)
    }

    async fn run_query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.check()?;
        self.note(self.checkout.run_query_all(statement).await)
    }

    fn check(&self) -> Result<(), DbErr> {
        match self.failed.load(Ordering::Acquire) {
            false => Ok(()),
            true => Err(DbErr::Exec(RuntimeErr::Internal("the transaction has failed already".to_owned()))),
        }
    }

    fn note<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if result.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        result
    }
}
