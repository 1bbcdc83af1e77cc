//! SeaORM on a checked-out connection.

use std::marker::PhantomData;

use sea_orm::{ConnectionTrait, DbErr, ExecResult, QueryResult, Statement};
use tenantry_telemetry::database;
use tracing::Span;

use crate::engine::{self, exec_error, keeps_session, query_error, traced};
use crate::pool::Checkout;

/// A connection to a tenant's database: a [`TenantConn`], a
/// [`TenantTx`](crate::TenantTx) or a [`TxScope`](crate::TxScope), and nothing
/// else.
///
/// A store's functions take `&impl TenantConnection`. SeaORM's own connections
/// are not one, so a store for tenants cannot be pointed at another database.
pub trait TenantConnection: ConnectionTrait + sealed::Sealed + Send {}

pub(super) mod sealed {
    pub trait Sealed {}
}

/// A connection to the tenant's database, for this request alone.
///
/// Every statement is a transaction of its own. Dropping it gives the
/// connection back, unless it may have been left in a state that the next
/// request must not see: after an error, a cancelled statement, or any
/// statement that is not `SELECT`, `INSERT`, `UPDATE`, `DELETE`, `WITH`,
/// `REPLACE` or `VALUES`.
pub struct TenantConn<'a> {
    checkout: Checkout,
    request: PhantomData<&'a ()>,
}

impl TenantConn<'_> {
    pub(super) fn new(checkout: Checkout) -> Self {
        Self { checkout, request: PhantomData }
    }
}

/// One kind of statement on a checkout: takes the connection's turn, notes what
/// may stay behind, runs in a span, ends the turn.
macro_rules! run {
    ($checkout:expr, $span:expr, keeps: $keeps:expr, $connection:ident => $run:expr, $error:path) => {{
        let (span, keeps): (Span, bool) = ($span, $keeps);
        let mut turn = $checkout.turn().await?;
        if !keeps {
            turn.spoil();
        }
        let $connection = turn.connection()?;
        let result = traced(span, $run).await;
        turn.end(result).map_err($error)
    }};
}

impl Checkout {
    pub(super) async fn run_execute(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let keeps = keeps_session(&statement.sql);
        run!(self, self.span_of(&statement), keeps: keeps, connection => connection.execute(statement), exec_error)
    }

    /// Text may hold anything, so its connection is never given to another.
    pub(super) async fn run_text(&self, sql: &str) -> Result<ExecResult, DbErr> {
        run!(self, self.span(sql, false), keeps: false, connection => connection.execute_text(sql), exec_error)
    }

    pub(super) async fn run_query_one(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let keeps = keeps_session(&statement.sql);
        run!(self, self.span_of(&statement), keeps: keeps, connection => connection.fetch_optional(statement), query_error)
    }

    pub(super) async fn run_query_all(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let keeps = keeps_session(&statement.sql);
        run!(self, self.span_of(&statement), keeps: keeps, connection => connection.fetch_all(statement), query_error)
    }

    pub(super) async fn begin(&self, isolation: engine::Isolation) -> Result<(), DbErr> {
        let span = self.span("BEGIN", false);
        let mut turn = self.turn().await?;
        turn.in_transaction(true);
        let result = traced(span, turn.connection()?.begin(isolation)).await;
        turn.end(result).map_err(exec_error)
    }

    /// Ends the transaction, one way or the other. After an error the
    /// connection still counts as inside it, and is thrown away.
    pub(super) async fn finish(&self, commit: bool) -> Result<(), DbErr> {
        let span = self.span(if commit { "COMMIT" } else { "ROLLBACK" }, false);
        let mut turn = self.turn().await?;
        let connection = turn.connection()?;
        let finishing = async { if commit { connection.commit().await } else { connection.rollback().await } };
        let result = traced(span, finishing).await;
        if result.is_ok() {
            turn.in_transaction(false);
        }
        turn.end(result).map_err(exec_error)
    }

    /// Text that came without values may have them within.
    fn span_of(&self, statement: &Statement) -> Span {
        self.span(&statement.sql, statement.values.is_some())
    }

    fn span(&self, sql: &str, is_bound: bool) -> Span {
        database::statement(self.engine().name(), Some(self.database()), sql, is_bound)
    }
}

/// SeaORM's connection on whatever has the `run_…` functions of a checkout.
macro_rules! connection_on {
    ($type:ty, $field:ident) => {
        impl $crate::handle::connection::sealed::Sealed for $type {}
        impl $crate::handle::connection::TenantConnection for $type {}

        #[async_trait::async_trait]
        impl sea_orm::ConnectionTrait for $type {
            fn get_database_backend(&self) -> sea_orm::DbBackend {
                $crate::engine::backend(self.$field.engine())
            }

            async fn execute_raw(&self, statement: sea_orm::Statement) -> Result<sea_orm::ExecResult, sea_orm::DbErr> {
                self.$field.run_execute(statement).await
            }

            async fn execute_unprepared(&self, sql: &str) -> Result<sea_orm::ExecResult, sea_orm::DbErr> {
                self.$field.run_text(sql).await
            }

            async fn query_one_raw(
                &self,
                statement: sea_orm::Statement,
            ) -> Result<Option<sea_orm::QueryResult>, sea_orm::DbErr> {
                self.$field.run_query_one(statement).await
            }

            async fn query_all_raw(
                &self,
                statement: sea_orm::Statement,
            ) -> Result<Vec<sea_orm::QueryResult>, sea_orm::DbErr> {
                self.$field.run_query_all(statement).await
            }
        }
    };
}
pub(super) use connection_on;

connection_on!(TenantConn<'_>, checkout);
