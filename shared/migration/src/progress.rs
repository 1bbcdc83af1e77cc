//! How far a migration came on an engine where each statement commits by itself.
//!
//! Before a statement runs, its number is written down; when the server refuses it, that too. So the next run goes on
//! with that statement. One that was begun and whose outcome nobody saw may be done: then its own "already there" says
//! so, and only then is that taken for success.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult, Statement};

use crate::{
    engine::Engine,
    error::{Direction, MigrationError, driver},
    ledger::is_missing,
    set::MigrationSet,
    step::Step,
};

/// The table, beside the ledger, on MariaDB and MySQL alone.
pub const PROGRESS: &str = "tenantry_migration_progress";

/// A migration that was cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partial {
    pub version: String,
    pub checksum: String,
    pub direction: Direction,
    /// The statement that the next run begins with, counted from 1.
    pub statement: usize,
    /// Whether the server refused it. Otherwise nobody saw how it ended.
    pub refused: bool,
}

pub(crate) fn create() -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {PROGRESS} (`set` varchar(63) NOT NULL, version varchar(100) NOT NULL, \
         checksum char(64) NOT NULL, direction char(4) NOT NULL, statement int NOT NULL, refused bool NOT NULL, \
         CONSTRAINT pk_{PROGRESS} PRIMARY KEY (`set`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
    )
}

/// `None` on engines that need none, and where nothing was cut short.
pub(crate) async fn read<C: ConnectionTrait>(conn: &C, set: &MigrationSet) -> Result<Option<Partial>, MigrationError> {
    let backend = conn.get_database_backend();
    if Engine::of(backend) != Engine::MariaDb {
        return Ok(None);
    }
    let sql = format!(
        "SELECT version, checksum, direction, statement, refused FROM {PROGRESS} WHERE `set` = '{}'",
        set.name()
    );
    match conn.query_one_raw(Statement::from_string(backend, sql)).await {
        Ok(row) => {
            row.as_ref().map(partial).transpose().map_err(MigrationError::database("reading a migration's progress"))
        }
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(MigrationError::Database { doing: "reading a migration's progress", source }),
    }
}

fn partial(row: &QueryResult) -> Result<Partial, DbErr> {
    let direction: String = row.try_get("", "direction")?;
    let statement: i32 = row.try_get("", "statement")?;
    Ok(Partial {
        version: row.try_get("", "version")?,
        checksum: row.try_get("", "checksum")?,
        direction: if direction == "down" { Direction::Down } else { Direction::Up },
        statement: usize::try_from(statement).unwrap_or(1).max(1),
        refused: row.try_get("", "refused")?,
    })
}

/// Runs a step's statements from where it was cut short, if it was, and notes each before it runs.
pub(crate) async fn run(
    db: &DatabaseConnection,
    set: &MigrationSet,
    step: &Step<'_>,
    earlier: Option<&Partial>,
) -> Result<(), (usize, DbErr)> {
    // A migration that was mended since begins anew: what its first version left is its author's to deal with.
    let earlier = earlier.filter(|partial| {
        (partial.version.as_str(), partial.direction, partial.checksum.as_str())
            == (step.version(), step.direction, step.checksum)
    });
    let first = earlier.map_or(1, |partial| partial.statement);
    for (number, statement) in (1..).zip(step.statements).skip(first - 1) {
        let failed = |error| (number, error);
        db.execute_unprepared(&note(set, step, number, false)).await.map_err(failed)?;
        match db.execute_unprepared(statement).await {
            Ok(_) => {}
            Err(error) if number == first && is_unseen(earlier) && is_done_already(&error) => {}
            Err(error) => {
                // When this cannot be written either, the statement's outcome stays unseen, which is true.
                if driver(&error).is_some() {
                    let _ = db.execute_unprepared(&note(set, step, number, true)).await;
                }
                return Err(failed(error));
            }
        }
    }
    Ok(())
}

pub(crate) async fn clear(db: &DatabaseConnection, set: &MigrationSet) -> Result<(), DbErr> {
    db.execute_unprepared(&format!("DELETE FROM {PROGRESS} WHERE `set` = '{}'", set.name())).await.map(drop)
}

fn note(set: &MigrationSet, step: &Step<'_>, number: usize, refused: bool) -> String {
    format!(
        "REPLACE INTO {PROGRESS} (`set`, version, checksum, direction, statement, refused) \
         VALUES ('{}', '{}', '{}', '{}', {number}, {refused})",
        set.name(),
        step.version(),
        step.checksum,
        step.direction,
    )
}

fn is_unseen(earlier: Option<&Partial>) -> bool {
    earlier.is_some_and(|partial| !partial.refused)
}

/// Whether the server says that what the statement would make is there, or that what it would drop is gone.
fn is_done_already(error: &DbErr) -> bool {
    let number = driver(error)
        .and_then(|error| error.try_downcast_ref::<sea_orm::sqlx::mysql::MySqlDatabaseError>())
        .map(|error| error.number());
    // ER_TABLE_EXISTS, ER_DUP_FIELDNAME, ER_DUP_KEYNAME, ER_DUP_CONSTRAINT_NAME, ER_FK_DUP_NAME, ER_DUP_ENTRY;
    // ER_BAD_TABLE, ER_CANT_DROP_FIELD_OR_KEY, ER_NO_SUCH_TABLE.
    number.is_some_and(|number| [1050, 1060, 1061, 1826, 1062, 121, 1051, 1091, 1146].contains(&number))
}
