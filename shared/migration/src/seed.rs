use chrono::{DateTime, Utc};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, TransactionTrait,
    sea_query::{InsertStatement, OnConflict},
};
use tracing::Instrument;

use crate::{error::MigrationError, literal, set::MigrationSet};

/// Rows that a new database starts with. Ids are fixed, so that seeding again changes nothing, and a row that
/// somebody has edited since stays as they left it.
pub trait Seeder: Send + Sync {
    fn name(&self) -> &'static str;

    /// The same on every call: the statements are part of the set's checksum.
    fn seeds(&self) -> Vec<Seed>;
}

/// Plain inserts into one table; what makes them idempotent on each engine is added here.
#[derive(Clone, Debug)]
pub struct Seed {
    insert: InsertStatement,
    key: &'static str,
}

impl Seed {
    /// `key` is a column of the primary key. A row whose primary or unique key is taken is left out.
    pub fn new(insert: InsertStatement, key: &'static str) -> Self {
        Self { insert, key }
    }

    /// The time of every seed, so that two databases of one set are equal: 2026-01-01.
    pub fn epoch() -> DateTime<Utc> {
        DateTime::from_timestamp_nanos(1_767_225_600_000_000_000)
    }

    fn statement(&self, backend: DbBackend) -> String {
        let mut insert = self.insert.clone();
        // MariaDB gets `ON DUPLICATE KEY UPDATE key = key`; INSERT IGNORE would hide real mistakes as warnings.
        insert.on_conflict(OnConflict::new().do_nothing_on([self.key]).to_owned());
        literal::inline(&backend.build(&insert))
    }
}

impl MigrationSet {
    /// Every seed as text.
    pub fn seed_statements(&self, backend: DbBackend) -> Vec<String> {
        let seeds = self.seeders().iter().flat_map(|seeder| seeder.seeds());
        seeds.map(|seed| seed.statement(backend)).collect()
    }
}

/// Runs every seeder of the set in one transaction. Running it again changes nothing.
///
/// # Errors
/// [`MigrationError::Database`].
pub async fn seed(db: &DatabaseConnection, set: &MigrationSet) -> Result<(), MigrationError> {
    let statements = set.seed_statements(db.get_database_backend());
    if statements.is_empty() {
        return Ok(());
    }
    let seeding = async {
        let tx = db.begin().await.map_err(MigrationError::database("starting to seed"))?;
        for statement in statements {
            tx.execute_unprepared(&statement).await.map_err(MigrationError::database("seeding"))?;
        }
        tx.commit().await.map_err(MigrationError::database("committing the seeds"))
    };
    seeding.instrument(set.span("insert seeds")).await
}
