//! The migrations themselves on the real engines: up, down, up; squash; seeds; and that the engines agree.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "../../../shared/migration/tests/support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use migrator::sets;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use support::{Server, TestDb, catalogue_of};
use tenantry_migration::{LEDGER, MigrationSet, PROGRESS, Rollback, Run, compare, migrate, rollback, seed, status};
use uuid::Uuid;

on_every_engine! {
    central_goes_up_down_and_up,
    tenant_goes_up_down_and_up,
    migrator_goes_up_down_and_up,
    plugins_go_up_down_and_up,
    a_squash_equals_a_migration_step_by_step,
    every_engine_has_the_same_columns,
    seeds_are_the_same_after_the_second_time,
}

fn run_at(second: i64) -> Run {
    Run::new(Uuid::now_v7(), DateTime::<Utc>::from_timestamp(1_767_225_600 + second, 0).unwrap())
}

async fn central_goes_up_down_and_up(test: TestDb) {
    up_down_up(test, sets::central().unwrap()).await;
}

async fn tenant_goes_up_down_and_up(test: TestDb) {
    up_down_up(test, sets::tenant().unwrap()).await;
}

async fn migrator_goes_up_down_and_up(test: TestDb) {
    up_down_up(test, sets::migrator().unwrap()).await;
}

/// On the tables of a company.
async fn plugins_go_up_down_and_up(test: TestDb) {
    let db = test.connect().await;
    migrate(&db, &sets::tenant().unwrap(), None, &run_at(0)).await.unwrap();
    for plugin in sets::plugins().unwrap() {
        up_down_up_in(&db, plugin).await;
    }
}

/// Every set, after those that it stands on: a plugin's tables on a company's.
fn every_set() -> Vec<Vec<MigrationSet>> {
    let alone = [sets::central().unwrap(), sets::tenant().unwrap(), sets::migrator().unwrap()].map(|set| vec![set]);
    let plugins = sets::plugins().unwrap().into_iter().map(|plugin| vec![sets::tenant().unwrap(), plugin]);
    alone.into_iter().chain(plugins).collect()
}

async fn migrate_all(db: &DatabaseConnection, sets: &[MigrationSet], run: &Run) {
    for set in sets {
        migrate(db, set, None, run).await.unwrap();
    }
}

/// Each `down` must lead to exactly the catalogue that was there before its `up`.
async fn up_down_up(test: TestDb, set: MigrationSet) {
    up_down_up_in(&test.connect().await, set).await;
}

async fn up_down_up_in(db: &DatabaseConnection, set: MigrationSet) {
    let mut before = Vec::new();
    for version in set.versions() {
        before.push((version, catalogue_of(db).await));
        migrate(db, &set, Some(version), &run_at(0)).await.unwrap();
    }
    let head = catalogue_of(db).await;
    for (version, catalogue) in before.into_iter().rev() {
        let undone = rollback(db, &set, Rollback::Steps(1), &run_at(1)).await.unwrap();
        assert_eq!(undone.versions().collect::<Vec<_>>(), [version]);
        let mut left = compare(&catalogue, &catalogue_of(db).await);
        left.retain(|finding| finding.name != LEDGER);
        assert_eq!(left, [], "{version}");
    }
    migrate(db, &set, None, &run_at(2)).await.unwrap();
    assert_eq!(compare(&head, &catalogue_of(db).await), []);
}

async fn a_squash_equals_a_migration_step_by_step(test: TestDb) {
    let db = test.connect().await;
    for sets in every_set() {
        let (set, below) = sets.split_last().unwrap();
        migrate_all(&db, &sets, &run_at(0)).await;
        let migrated = catalogue_of(&db).await;
        for set in sets.iter().rev() {
            rollback(&db, set, Rollback::All, &run_at(1)).await.unwrap();
        }
        db.execute_unprepared(&format!("DROP TABLE {LEDGER}")).await.unwrap();

        migrate_all(&db, below, &run_at(2)).await;
        let script = set.squash(db.get_database_backend(), &run_at(2)).unwrap();
        db.execute_unprepared(&script).await.unwrap();
        assert_eq!(compare(&migrated, &catalogue_of(&db).await), [], "{}", set.name());
        assert!(status(&db, set).await.unwrap().is_current());
        for set in sets.iter().rev() {
            rollback(&db, set, Rollback::All, &run_at(3)).await.unwrap();
        }
    }
}

async fn every_engine_has_the_same_columns(test: TestDb) {
    let db = test.connect().await;
    for sets in every_set() {
        migrate_all(&db, &sets, &run_at(0)).await;
        let columns = columns(&db).await;
        let expected = columns_on_sqlite(sets.clone()).await;
        let differing: Vec<_> = columns.symmetric_difference(&expected).collect();
        let names: Vec<_> = sets.iter().map(MigrationSet::name).collect();
        assert!(differing.is_empty(), "{names:?}: {differing:?}");
        if names.contains(&"tenant") {
            let foreign = |line: &&String| line.contains("company") || line.contains("tenant_id");
            assert_eq!(columns.iter().find(foreign), None, "a tenant's tables know no tenant");
        }
        for set in sets.iter().rev() {
            rollback(&db, set, Rollback::All, &run_at(1)).await.unwrap();
        }
    }
}

/// `table.column` of every table and whether it may be null: what the engines must agree on.
async fn columns(db: &DatabaseConnection) -> BTreeSet<String> {
    let query = match db.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT concat(table_name, '.', column_name, ' ', is_nullable) AS line FROM information_schema.columns \
             WHERE table_schema = 'public'"
        }
        DbBackend::MySql => {
            "SELECT CONCAT(table_name, '.', column_name, ' ', is_nullable) AS line FROM information_schema.columns \
             WHERE table_schema = DATABASE()"
        }
        _ => {
            "SELECT m.name || '.' || c.name || iif(c.\"notnull\", ' NO', ' YES') AS line FROM sqlite_master m \
             JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
        }
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), query)).await.unwrap();
    let lines = rows.iter().map(|row| row.try_get::<String>("", "line").unwrap());
    // MariaDB alone needs a table of progress.
    lines.filter(|line| !line.starts_with(PROGRESS)).collect()
}

/// The one engine that is always there is what the others are compared with.
async fn columns_on_sqlite(sets: Vec<MigrationSet>) -> BTreeSet<String> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    support::with_database(Server::Sqlite, |test: TestDb| async move {
        let db = test.connect().await;
        migrate_all(&db, &sets, &run_at(0)).await;
        sender.send(columns(&db).await).unwrap();
    })
    .await;
    receiver.await.unwrap()
}

async fn seeds_are_the_same_after_the_second_time(test: TestDb) {
    let (db, set) = (test.connect().await, sets::tenant().unwrap());
    migrate(&db, &set, None, &run_at(0)).await.unwrap();
    seed(&db, &set).await.unwrap();
    let once = seeded(&db).await;
    assert_eq!(once.len(), 11);
    seed(&db, &set).await.unwrap();
    assert_eq!(seeded(&db).await, once);
}

/// Read through the driver: what the seeds' text stored is what it understands.
async fn seeded(db: &DatabaseConnection) -> Vec<(Uuid, String, DateTime<Utc>)> {
    let backend: DbBackend = db.get_database_backend();
    let mut rows = Vec::new();
    for table in ["ticket_categories", "tariffs", "manufacturers"] {
        let sql = format!("SELECT id, name, created_at FROM {table} ORDER BY id");
        for row in db.query_all_raw(Statement::from_string(backend, sql)).await.unwrap() {
            rows.push((
                row.try_get("", "id").unwrap(),
                row.try_get("", "name").unwrap(),
                row.try_get("", "created_at").unwrap(),
            ));
        }
    }
    rows
}
