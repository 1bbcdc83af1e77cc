//! Migrations to try things with.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use sea_orm_migration::prelude::*;
use tenantry_migration::{MigrationSet, Run, SetBuilder, status};
use uuid::Uuid;

/// Statements as they are, with or without a transaction.
pub(crate) struct Sql {
    pub(crate) version: &'static str,
    pub(crate) up: Vec<String>,
    pub(crate) down: Vec<String>,
    pub(crate) transaction: Option<bool>,
}

pub(crate) fn sql(version: &'static str, up: &[&str], down: &[&str]) -> Sql {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    Sql { version, up: owned(up), down: owned(down), transaction: None }
}

impl MigrationName for Sql {
    fn name(&self) -> &str {
        self.version
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Sql {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in &self.up {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in &self.down {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }

    fn use_transaction(&self) -> Option<bool> {
        self.transaction
    }
}

/// Adds a column unless it is there: it has to read, so it is code.
pub(crate) struct AddNote;

impl MigrationName for AddNote {
    fn name(&self) -> &str {
        "m20260103_000000_note"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for AddNote {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.has_column("people", "note").await? {
            return Ok(());
        }
        let column = ColumnDef::new("note").string_len(20).to_owned();
        manager.alter_table(Table::alter().table("people").add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("people").drop_column("note").to_owned()).await
    }
}

pub(crate) const PEOPLE: &str = "m20260101_000000_people";
pub(crate) const CITIES: &str = "m20260102_000000_cities";
pub(crate) const ROADS: &str = "m20260104_000000_roads";

pub(crate) fn people() -> Sql {
    sql(
        PEOPLE,
        &[
            "CREATE TABLE people (id int NOT NULL PRIMARY KEY, name varchar(20))",
            "CREATE INDEX ix_people_name ON people (name)",
        ],
        &["DROP TABLE people"],
    )
}

pub(crate) fn cities() -> Sql {
    sql(
        CITIES,
        &[
            "CREATE TABLE cities (id int NOT NULL PRIMARY KEY)",
            "INSERT INTO cities (id) VALUES (1) -- the first",
            "ALTER TABLE people ADD COLUMN city int",
        ],
        &["ALTER TABLE people DROP COLUMN city", "DROP TABLE cities"],
    )
}

pub(crate) fn roads() -> Sql {
    sql(ROADS, &["CREATE TABLE roads (id int NOT NULL PRIMARY KEY)"], &["DROP TABLE roads"])
}

pub(crate) fn two() -> MigrationSet {
    SetBuilder::new("tenant").add(cities()).add(people()).build().unwrap()
}

pub(crate) fn three() -> MigrationSet {
    SetBuilder::new("tenant").add(people()).add(cities()).add(roads()).build().unwrap()
}

pub(crate) fn run_at(second: i64) -> Run {
    Run::new(Uuid::now_v7(), DateTime::<Utc>::from_timestamp(1_767_225_600 + second, 123_456_000).unwrap())
}

pub(crate) async fn versions(db: &DatabaseConnection, set: &MigrationSet) -> Vec<String> {
    status(db, set).await.unwrap().applied.into_iter().map(|entry| entry.version).collect()
}

pub(crate) async fn exists(db: &DatabaseConnection, table: &str) -> bool {
    db.execute_unprepared(&format!("SELECT 1 FROM {table}")).await.is_ok()
}
