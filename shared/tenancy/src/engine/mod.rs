//! One physical connection, whatever the engine.
//!
//! The connections are sqlx's own, not taken from an sqlx pool: that pool pings
//! on every release and knows one database only.

mod mysql;
mod postgres;
mod sqlite;
mod statement;

use std::time::Duration;

use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection, SqliteConnection};
use tokio::time::Instant;

pub(crate) use statement::keeps_session;
pub(crate) use tenantry_store::{Failure, is_conflict, is_crowded, is_refusal, is_servers_failure, traced};

use crate::Endpoint;
pub(crate) use crate::Engine;

/// How long saying goodbye to a server may take before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server's backend is given at least, after the goodbye, to be gone and no longer count.
///
/// The protocol has an exact sign, the server's end of the socket closing, but sqlx lets nobody see it. Measured on
/// PostgreSQL 15 with the role's `CONNECTION LIMIT` at the budget, on two cores at a load of 5 to 7: without a pause up
/// to one replacement in 150 came before the old backend had gone, after 2 ms one in 600, after this long none in 9,000.
/// What still slips through, a full server refuses, and it is tried again (see [`is_crowded`]).
const SETTLE: Duration = Duration::from_millis(10);

/// A backend that is slow to answer is slow to end: it gets so many times longer than its last answer took.
const SETTLE_PER_ANSWER: u32 = 4;

/// What a new connection is opened with.
#[derive(Debug, Clone)]
pub(crate) struct ConnectSettings {
    pub(crate) connect_timeout: Duration,
    pub(crate) application_name: String,
    pub(crate) statement_cache_capacity: usize,
}

/// An open connection, owned.
#[derive(Debug)]
pub(crate) enum PhysicalConnection {
    Postgres(PgConnection),
    MySql(MySqlConnection),
    Sqlite(SqliteConnection),
}

/// The same expression for each engine: sqlx's API is generic over them, but
/// not object safe.
macro_rules! on_each {
    ($self:expr, $connection:ident => $body:expr) => {
        match $self {
            PhysicalConnection::Postgres($connection) => $body,
            PhysicalConnection::MySql($connection) => $body,
            PhysicalConnection::Sqlite($connection) => $body,
        }
    };
}

/// How far a transaction is kept from those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// As the server is configured. SQLite is always serializable.
    #[default]
    Default,
    /// `REPEATABLE READ`.
    RepeatableRead,
    /// `SERIALIZABLE`.
    Serializable,
}

impl PhysicalConnection {
    /// Connects to `database` within the connect timeout.
    pub(crate) async fn connect(
        endpoint: &Endpoint,
        database: &str,
        settings: &ConnectSettings,
    ) -> Result<Self, sqlx::Error> {
        let connecting = async {
            match endpoint {
                Endpoint::Postgres { host, port, user, password } => {
                    let login = Login { host, port: *port, user, password };
                    postgres::connect(login, database, settings).await.map(Self::Postgres)
                }
                Endpoint::MySql { host, port, user, password } => {
                    let login = Login { host, port: *port, user, password };
                    mysql::connect(login, database, settings).await.map(Self::MySql)
                }
                Endpoint::Sqlite { path } => sqlite::connect(path, settings).await.map(Self::Sqlite),
            }
        };
        match tokio::time::timeout(settings.connect_timeout, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Postgres(_) => Engine::Postgres,
            Self::MySql(_) => Engine::MySql,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// Runs one prepared statement.
    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<ExecResult, sqlx::Error> {
        let (sql, values) = parts(statement);
        on_each!(self, connection => {
            let query = sqlx::query_with(sql, values);
            query.execute(&mut *connection).await.map(ExecResult::from)
        })
    }

    /// Runs text, which may hold several statements, without preparing it.
    pub(crate) async fn execute_text(&mut self, sql: &str) -> Result<ExecResult, sqlx::Error> {
        let sql = AssertSqlSafe(sql);
        on_each!(self, connection => connection.execute(sql).await.map(ExecResult::from))
    }

    /// The first row of one prepared statement.
    pub(crate) async fn fetch_optional(&mut self, statement: Statement) -> Result<Option<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        on_each!(self, connection => {
            let query = sqlx::query_with(sql, values);
            query.fetch_optional(&mut *connection).await.map(|row| row.map(QueryResult::from))
        })
    }

    /// Every row of one prepared statement.
    pub(crate) async fn fetch_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>, sqlx::Error> {
        let (sql, values) = parts(statement);
        on_each!(self, connection => {
            let query = sqlx::query_with(sql, values);
            query.fetch_all(&mut *connection).await.map(|rows| rows.into_iter().map(QueryResult::from).collect())
        })
    }

    /// Opens a transaction.
    pub(crate) async fn begin(&mut self, isolation: Isolation) -> Result<(), sqlx::Error> {
        let level = match isolation {
            Isolation::Default => None,
            Isolation::RepeatableRead => Some("ISOLATION LEVEL REPEATABLE READ"),
            Isolation::Serializable => Some("ISOLATION LEVEL SERIALIZABLE"),
        };
        match (self.engine(), level) {
            // A deferred transaction that reads first and writes later fails
            // with SQLITE_BUSY at once when another has written meanwhile.
            (Engine::Sqlite, _) => self.execute_text("BEGIN IMMEDIATE").await?,
            (Engine::Postgres | Engine::MySql, None) => self.execute_text("BEGIN").await?,
            (Engine::Postgres, Some(level)) => self.execute_text(&format!("BEGIN {level}")).await?,
            (Engine::MySql, Some(level)) => {
                self.execute_text(&format!("SET TRANSACTION {level}")).await?;
                self.execute_text("BEGIN").await?
            }
        };
        Ok(())
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.execute_text("COMMIT").await.map(|_| ())
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), sqlx::Error> {
        self.execute_text("ROLLBACK").await.map(|_| ())
    }

    /// Whether the other side still answers.
    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        on_each!(self, connection => connection.ping().await)
    }

    /// Says goodbye, and returns when the server's side is gone as well. The
    /// connection must be between statements.
    pub(crate) async fn close(self) {
        match self {
            Self::Postgres(connection) => say_goodbye(connection).await,
            Self::MySql(connection) => say_goodbye(connection).await,
            Self::Sqlite(connection) => drop(connection.close().await),
        }
    }

    /// Ends a connection whose last statement may still be running, and returns
    /// only when the server's side of it is gone as well: until then its place
    /// in the budget is taken.
    pub(crate) async fn abandon(self) {
        match self {
            Self::Postgres(connection) => postgres::abandon(connection).await,
            Self::MySql(connection) => mysql::abandon(connection).await,
            // Closing waits for the connection's own thread, which finishes
            // its statement first.
            Self::Sqlite(connection) => drop(connection.close().await),
        }
    }
}

/// Says goodbye to a server between two statements, and gives its backend the time to be gone.
async fn say_goodbye<C: Connection>(mut connection: C) {
    let asked = Instant::now();
    let closing = async {
        connection.ping().await?;
        let answer = asked.elapsed();
        connection.close().await.map(|()| answer)
    };
    match tokio::time::timeout(CLOSE_TIMEOUT, closing).await {
        Ok(Ok(answer)) => tokio::time::sleep(SETTLE + answer * SETTLE_PER_ANSWER).await,
        // It was dead already, which is as closed as it gets.
        Ok(Err(error)) => tracing::debug!(error = &error as &dyn std::error::Error, "closing a dead connection"),
        Err(_) => tracing::debug!("the server did not take the goodbye in time"),
    }
}

/// Who logs in where.
#[derive(Clone, Copy)]
struct Login<'a> {
    host: &'a str,
    port: u16,
    user: &'a str,
    password: &'a secrecy::SecretString,
}

/// SeaORM's backend for `engine`.
pub(crate) fn backend(engine: Engine) -> DbBackend {
    match engine {
        Engine::Postgres => DbBackend::Postgres,
        Engine::MySql => DbBackend::MySql,
        Engine::Sqlite => DbBackend::Sqlite,
    }
}

/// A failure as SeaORM reports one of a statement that returns no rows.
pub(crate) fn exec_error(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

/// A failure as SeaORM reports one of a statement that returns rows.
pub(crate) fn query_error(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

/// Every statement comes from SeaORM's builder or from a store's own constant
/// text; values are bound.
fn parts(statement: Statement) -> (AssertSqlSafe<String>, SqlxValues) {
    (AssertSqlSafe(statement.sql), SqlxValues(statement.values.unwrap_or(sea_orm::Values(Vec::new()))))
}
