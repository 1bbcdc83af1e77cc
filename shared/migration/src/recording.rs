//! A migration, run once against a recorder instead of a database.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use ring::digest;
use sea_orm::{
    DatabaseConnection, DatabaseConnectionType, DbBackend, DbErr, ExecResult, MockDatabase, MockDatabaseConnection,
    MockDatabaseTrait, MockExecResult, QueryResult, Statement, Transaction,
};
use sea_orm_migration::{MigrationTrait, SchemaManager};

use crate::{
    error::{Direction, MigrationError},
    literal,
    set::{Kind, Migration},
};

/// The statements of one migration for one engine. Empty for code.
#[derive(Clone, Debug)]
pub struct Recording {
    pub up: Vec<String>,
    /// Empty when the migration is irreversible.
    pub down: Vec<String>,
    /// SHA-256, lower-case hex, over the version and the up statements. `down` is not part of it: mending the
    /// way back of an applied migration is allowed.
    pub checksum: String,
}

impl Recording {
    pub(crate) fn of(migration: &Migration, backend: DbBackend) -> Result<Self, MigrationError> {
        if migration.kind() == Kind::Code {
            return Ok(Self {
                up: Vec::new(),
                down: Vec::new(),
                checksum: sha256([migration.version(), "code"].into_iter()),
            });
        }
        let up = record(migration, backend, Direction::Up)?;
        let down = match migration.irreversible_reason() {
            Some(_) => Vec::new(),
            None => record(migration, backend, Direction::Down)?,
        };
        let checksum = sha256(std::iter::once(migration.version()).chain(up.iter().map(String::as_str)));
        Ok(Self { up, down, checksum })
    }
}

/// Each part ends with a NUL, so that moving text from one part to the next changes the sum.
pub(crate) fn sha256<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(migration: &Migration, backend: DbBackend, direction: Direction) -> Result<Vec<String>, MigrationError> {
    let refuse =
        |reason: String| MigrationError::Recording { version: migration.version().to_owned(), direction, reason };
    let log = Arc::new(Mutex::new(Log::default()));
    let recorder = Recorder { backend, log: Arc::clone(&log) };
    let db = DatabaseConnection::from(DatabaseConnectionType::MockDatabaseConnection(Arc::new(
        MockDatabaseConnection::new(recorder),
    )));
    let manager = SchemaManager::new(&db);
    let result = finish_now(run(migration.inner(), &manager, direction));
    let log = std::mem::take(&mut *log.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(did) = log.unrecordable {
        return Err(refuse(format!("it {did}; declare it as code with `.code()`")));
    }
    match (result, direction) {
        (None, _) => Err(refuse("it waits for something; declare it as code with `.code()`".into())),
        (Some(Ok(())), _) => Ok(log.statements),
        (Some(Err(DbErr::Migration(_))), Direction::Down) => {
            Err(refuse("it has no `down`; write one or declare it with `.irreversible(\"why\")`".into()))
        }
        (Some(Err(error)), _) => Err(refuse(error.to_string())),
    }
}

async fn run(migration: &dyn MigrationTrait, manager: &SchemaManager<'_>, direction: Direction) -> Result<(), DbErr> {
    match direction {
        Direction::Up => migration.up(manager).await,
        Direction::Down => migration.down(manager).await,
    }
}

/// The recorder answers at once, so a migration that only issues statements is ready at its first poll.
fn finish_now<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[derive(Debug, Default)]
struct Log {
    statements: Vec<String>,
    unrecordable: Option<&'static str>,
}

#[derive(Debug)]
struct Recorder {
    backend: DbBackend,
    log: Arc<Mutex<Log>>,
}

impl Recorder {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MockDatabaseTrait for Recorder {
    fn execute(&mut self, _: usize, statement: Statement) -> Result<ExecResult, DbErr> {
        self.log().statements.push(literal::inline(&statement));
        // Only SeaORM's own mock can make an `ExecResult`.
        MockDatabase::new(self.backend).append_exec_results([MockExecResult::default()]).execute(0, statement)
    }

    fn query(&mut self, _: usize, _: Statement) -> Result<Vec<QueryResult>, DbErr> {
        // Kept in the log as well: a migration may swallow the error.
        self.log().unrecordable = Some("reads the database");
        Err(DbErr::Custom("a recorded migration cannot read".into()))
    }

    fn begin(&mut self) {
        self.log().unrecordable = Some("opens a transaction of its own");
    }

    fn commit(&mut self) {}

    fn rollback(&mut self) {}

    fn drain_transaction_log(&mut self) -> Vec<Transaction> {
        Vec::new()
    }

    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }

    fn ping(&self) -> Result<(), DbErr> {
        Ok(())
    }
}
