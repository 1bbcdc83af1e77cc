//! Waiting for others, running too long, being cut short, and trying without doing.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use tenantry_migration::{
    Direction, MigrationError, PROGRESS, Rollback, SetBuilder, dry_run, migrate, plan_back, status, wipe,
};

use crate::fixtures::*;
use crate::support::{Server, TestDb, catalogue_of};

pub(crate) async fn who_waits_learns_who_holds_the_lock(test: TestDb) {
    let (holder, db) = (test.connect().await, test.connect().await);
    let hold = match test.server {
        Server::Sqlite => return assert!(test.server == Server::Sqlite, "a file lock has no name on it"),
        Server::Postgres => {
            format!("SET application_name = 'tenantry run 7'; SELECT pg_advisory_lock({})", 0x7465_6e61_6e74_7279_i64)
        }
        Server::MariaDb => "SELECT GET_LOCK(CONCAT('tenantry/', SHA1(DATABASE())), 0)".to_owned(),
    };
    holder.execute_unprepared(&hold).await.unwrap();
    let error = migrate(&db, &two(), None, &run_at(0).lock_wait(Duration::from_millis(50))).await.unwrap_err();
    let MigrationError::Locked { holder: Some(named), .. } = &error else { panic!("{error:?}") };
    let expected = if test.server == Server::Postgres { "tenantry run 7, process " } else { ", connection " };
    assert!(named.contains(expected) && error.to_string().contains(named), "{named}");
    // A dead holder's lock is free at once.
    holder.close().await.unwrap();
    migrate(&db, &two(), None, &run_at(1).lock_wait(Duration::from_secs(1))).await.unwrap();
}

pub(crate) async fn a_long_transaction_stalls_nobody(test: TestDb) {
    let (reader, db) = (test.connect().await, test.connect().await);
    migrate(&db, &two(), None, &run_at(0)).await.unwrap();
    reader.execute_unprepared("BEGIN").await.unwrap();
    reader.execute_unprepared("SELECT * FROM people").await.unwrap();

    let set = SetBuilder::new("tenant")
        .add(people())
        .add(cities())
        .add(sql(ROADS, &["ALTER TABLE people ADD COLUMN road int"], &["ALTER TABLE people DROP COLUMN road"]))
        .build()
        .unwrap();
    let run = run_at(1).lock_timeout(Duration::from_millis(100)).lock_wait(Duration::from_millis(300));
    let error = migrate(&db, &set, None, &run).await.unwrap_err();
    assert!(matches!(&error, MigrationError::Blocked { version, .. } if version == ROADS), "{error:?}");
    assert_eq!(versions(&db, &set).await, [PEOPLE, CITIES]);

    reader.execute_unprepared("COMMIT").await.unwrap();
    migrate(&db, &set, None, &run_at(2)).await.unwrap();
}

pub(crate) async fn a_statement_runs_no_longer_than_it_may(test: TestDb) {
    let db = test.connect().await;
    let sleep = match test.server {
        Server::Postgres => "SELECT pg_sleep(20)",
        Server::MariaDb | Server::Sqlite => {
            "CREATE TABLE long_work AS SELECT count(*) AS n FROM information_schema.columns a, \
             information_schema.columns b, information_schema.columns c WHERE a.table_schema <> b.column_name"
        }
    };
    let slow = || sql(ROADS, &[sleep], &["SELECT 1"]);
    let run = run_at(0).statement_timeout(Duration::from_secs(1));
    let set = SetBuilder::new("tenant").add(people()).add(slow()).build().unwrap();
    let error = migrate(&db, &set, None, &run).await.unwrap_err();
    assert!(matches!(&error, MigrationError::TimedOut { version, .. } if version.contains(ROADS)), "{error:?}");

    if test.server == Server::Postgres {
        let own = tenantry_migration::Migration::new(sql(ROADS, &["SELECT pg_sleep(4)"], &["SELECT 1"]))
            .statement_timeout(Duration::from_secs(20));
        let set = SetBuilder::new("tenant").add(people()).add(own).build().unwrap();
        // Far more than the other statements take on a machine that stalls.
        migrate(&db, &set, None, &run_at(1).statement_timeout(Duration::from_secs(3))).await.unwrap();
    }
}

fn broken() -> Sql {
    let up = [
        "CREATE TABLE roads (id int NOT NULL PRIMARY KEY)",
        "INSERT INTO cities (id) VALUES (1)",
        "CREATE TABLE signs (id int)",
    ];
    sql(ROADS, &up, &["DROP TABLE signs", "DELETE FROM cities", "DROP TABLE roads"])
}

/// The second statement is refused for as long as `cities` has its first row.
pub(crate) async fn a_migration_that_was_cut_short_goes_on(test: TestDb) {
    let db = test.connect().await;
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(broken()).build().unwrap();
    let error = migrate(&db, &set, None, &run_at(0)).await.unwrap_err();
    assert!(matches!(error, MigrationError::Failed { statement: Some(2), .. }), "{error:?}");
    let partial = status(&db, &set).await.unwrap().partial.expect("half of it is there");
    assert_eq!((partial.version.as_str(), partial.direction, partial.statement), (ROADS, Direction::Up, 2));
    assert!(partial.refused);

    db.execute_unprepared("DELETE FROM cities").await.unwrap();
    migrate(&db, &set, None, &run_at(1)).await.unwrap();
    assert!(status(&db, &set).await.unwrap().is_current());
    assert!(exists(&db, "signs").await);
}

/// As a kill leaves it: the statement ran, and nobody wrote down that it did.
pub(crate) async fn a_statement_whose_end_nobody_saw_is_not_made_twice(test: TestDb) {
    let db = test.connect().await;
    migrate(&db, &two(), None, &run_at(0)).await.unwrap();
    let checksum = three().recordings(db.get_database_backend()).unwrap()[2].checksum.clone();
    db.execute_unprepared(&three().recordings(db.get_database_backend()).unwrap()[2].up[0]).await.unwrap();
    let note = format!("INSERT INTO {PROGRESS} VALUES ('tenant', '{ROADS}', '{checksum}', 'up', 1, false)");
    db.execute_unprepared(&note).await.unwrap();
    migrate(&db, &three(), None, &run_at(1)).await.unwrap();
    assert!(status(&db, &three()).await.unwrap().is_current());

    // One that the server refused is another matter: what is there is somebody else's.
    db.execute_unprepared(&format!("DELETE FROM tenantry_migrations WHERE version = '{ROADS}'")).await.unwrap();
    db.execute_unprepared(&note.replace("false", "true")).await.unwrap();
    let error = migrate(&db, &three(), None, &run_at(2)).await.unwrap_err();
    assert!(matches!(error, MigrationError::Failed { statement: Some(1), .. }), "{error:?}");
}

pub(crate) async fn a_dry_run_leaves_nothing(test: TestDb) {
    let db = test.connect().await;
    if test.server == Server::MariaDb {
        let refused = dry_run(&db, &two(), None, None, &run_at(0)).await;
        return assert!(matches!(refused, Err(MigrationError::NoDryRun)));
    }
    let before = catalogue_of(&db).await;
    let tried = dry_run(&db, &two(), None, None, &run_at(0)).await.unwrap();
    assert_eq!(tried.tried, [PEOPLE, CITIES]);
    assert_eq!(catalogue_of(&db).await, before);

    migrate(&db, &two(), None, &run_at(1)).await.unwrap();
    let there = catalogue_of(&db).await;
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(broken()).build().unwrap();
    let error = dry_run(&db, &set, None, None, &run_at(2)).await.unwrap_err();
    assert!(matches!(&error, MigrationError::Failed { statement: Some(2), .. }), "{error:?}");
    let back = dry_run(&db, &two(), None, Some(Rollback::All), &run_at(3)).await.unwrap();
    assert_eq!(back.tried, [CITIES, PEOPLE]);
    assert_eq!(catalogue_of(&db).await, there);
}

pub(crate) async fn a_plan_back_names_what_would_go(test: TestDb) {
    let db = test.connect().await;
    migrate(&db, &three(), None, &run_at(0)).await.unwrap();
    let plan = plan_back(&db, &three(), Rollback::To(PEOPLE)).await.unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| (step.version.as_str(), step.direction)).collect();
    assert_eq!(steps, [(ROADS, Direction::Down), (CITIES, Direction::Down)]);
    assert!(plan.to_sql().contains("DROP TABLE"), "{}", plan.to_sql());
    let older = three().up_to(CITIES).unwrap();
    assert_eq!(older.head(), Some(CITIES));
    assert_ne!(
        older.checksum(db.get_database_backend()).unwrap(),
        three().checksum(db.get_database_backend()).unwrap()
    );
}

pub(crate) async fn a_wipe_leaves_the_ledger_alone_and_empty(test: TestDb) {
    let db = test.connect().await;
    wipe(&db, &three(), &run_at(0)).await.unwrap();
    migrate(&db, &three(), None, &run_at(0)).await.unwrap();
    let fresh = catalogue_of(&db).await;
    db.execute_unprepared("CREATE TABLE by_hand (id int NOT NULL PRIMARY KEY, up int REFERENCES by_hand (id))")
        .await
        .unwrap();
    db.execute_unprepared("INSERT INTO by_hand VALUES (1, 1)").await.unwrap();
    db.execute_unprepared("CREATE VIEW everybody AS SELECT id FROM people").await.unwrap();
    wipe(&db, &three(), &run_at(1)).await.unwrap();
    assert_eq!(status(&db, &three()).await.unwrap().pending.len(), 3);
    migrate(&db, &three(), None, &run_at(2)).await.unwrap();
    assert_eq!(catalogue_of(&db).await, fresh);
}
