//! The promises of the crate on the real engines.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

#[path = "../support/mod.rs"]
mod support;

mod back;
mod beliefs;
mod catalogues;
mod fixtures;
mod limits;
mod seeds;

use std::time::Duration;

use back::*;
use beliefs::*;
use catalogues::*;
use fixtures::*;
use limits::*;
use sea_orm::ConnectionTrait;
use seeds::*;
use support::{Server, TestDb, catalogue_of};
use tenantry_migration::{
    LEDGER, MigrationError, Rollback, SetBuilder, is_being_migrated, migrate, plan, rollback, status,
};

on_every_engine! {
    applies_everything_and_then_nothing,
    stops_at_its_target,
    eight_at_once_apply_each_migration_once,
    waits_no_longer_than_it_is_told,
    a_failure_keeps_what_the_engine_can_keep,
    a_changed_migration_is_refused,
    a_ledger_from_the_future_is_refused,
    rolls_back_the_last_run,
    rolls_back_to_a_version_and_by_steps,
    an_irreversible_migration_stops_the_whole_rollback,
    code_runs_between_recorded_ones,
    a_squash_equals_a_migration_step_by_step,
    seeding_twice_changes_nothing,
    two_sets_share_one_ledger,
    every_change_is_one_finding,
    two_databases_of_one_set_are_equal,
    who_waits_learns_who_holds_the_lock,
    a_dry_run_leaves_nothing,
    a_plan_back_names_what_would_go,
    a_wipe_leaves_the_ledger_alone_and_empty,
    a_belief_is_checked_whatever_it_was,
    one_session_is_enough_where_the_belief_is_right,
    nothing_of_a_batch_that_fails_is_left,
    who_goes_silent_with_a_transaction_open_loses_it,
    a_belief_does_not_get_past_a_conflict,
    a_baseline_is_noted_once_and_runs_nothing,
    the_ledger_of_seaorms_migrator_is_taken_over,
}

mod only_on_servers {
    use crate::support::{Server, with_database};

    #[tokio::test]
    async fn a_long_transaction_stalls_nobody_on_postgres() {
        with_database(Server::Postgres, super::a_long_transaction_stalls_nobody).await;
    }

    #[tokio::test]
    async fn a_long_transaction_stalls_nobody_on_mariadb() {
        with_database(Server::MariaDb, super::a_long_transaction_stalls_nobody).await;
    }

    #[tokio::test]
    async fn a_statement_runs_no_longer_than_it_may_on_postgres() {
        with_database(Server::Postgres, super::a_statement_runs_no_longer_than_it_may).await;
    }

    #[tokio::test]
    async fn a_statement_runs_no_longer_than_it_may_on_mariadb() {
        with_database(Server::MariaDb, super::a_statement_runs_no_longer_than_it_may).await;
    }
}

mod only_postgres {
    use crate::support::{Server, with_database};

    #[tokio::test]
    async fn an_index_is_built_concurrently_outside_a_transaction() {
        with_database(Server::Postgres, super::concurrent_index).await;
    }
}

mod only_mariadb {
    use crate::support::{Server, with_database};

    #[tokio::test]
    async fn a_pool_of_several_connections_is_refused() {
        with_database(Server::MariaDb, super::several_connections).await;
    }

    #[tokio::test]
    async fn a_migration_that_was_cut_short_goes_on() {
        with_database(Server::MariaDb, super::a_migration_that_was_cut_short_goes_on).await;
    }

    #[tokio::test]
    async fn a_statement_whose_end_nobody_saw_is_not_made_twice() {
        with_database(Server::MariaDb, super::a_statement_whose_end_nobody_saw_is_not_made_twice).await;
    }
}

async fn applies_everything_and_then_nothing(test: TestDb) {
    let (db, set, run) = (test.connect().await, two(), run_at(0));
    assert_eq!(status(&db, &set).await.unwrap().pending, [PEOPLE, CITIES]);
    assert!(!exists(&db, LEDGER).await, "status changes nothing");

    let applied = migrate(&db, &set, None, &run).await.unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [PEOPLE, CITIES]);

    let after = status(&db, &set).await.unwrap();
    assert!(after.is_current());
    assert_eq!(after.version(), Some(CITIES));
    let recordings = set.recordings(db.get_database_backend()).unwrap();
    for (entry, recording) in after.applied.iter().zip(recordings) {
        assert_eq!((entry.run, entry.applied_at, &entry.checksum), (run.id, run.now, &recording.checksum));
        assert!((0..60_000).contains(&entry.duration_ms));
    }

    assert!(migrate(&db, &set, None, &run_at(1)).await.unwrap().done.is_empty());
    assert_eq!(status(&db, &set).await.unwrap(), after);
}

async fn stops_at_its_target(test: TestDb) {
    let (db, set) = (test.connect().await, two());
    migrate(&db, &set, Some(PEOPLE), &run_at(0)).await.unwrap();
    assert_eq!(versions(&db, &set).await, [PEOPLE]);

    let left = plan(&db, &set, None).await.unwrap();
    assert_eq!(left.steps.len(), 1);
    assert_eq!(left.steps[0].version, CITIES);
    assert!(left.to_sql().contains("CREATE TABLE cities"));

    let error = migrate(&db, &set, Some("m20300101_000000_nowhere"), &run_at(1)).await.unwrap_err();
    assert!(matches!(error, MigrationError::NoSuchVersion { .. }), "{error:?}");
}

async fn eight_at_once_apply_each_migration_once(test: TestDb) {
    let tasks: Vec<_> = (0..8)
        .map(|second| {
            let test = test.clone();
            tokio::spawn(async move {
                let db = test.connect().await;
                let applied = migrate(&db, &three(), None, &run_at(second)).await;
                db.close().await.unwrap();
                applied
            })
        })
        .collect();
    let mut done = Vec::new();
    for task in tasks {
        done.extend(task.await.unwrap().unwrap().done.into_iter().map(|done| done.version));
    }
    done.sort();
    assert_eq!(done, [PEOPLE, CITIES, ROADS]);
    assert!(status(&test.connect().await, &three()).await.unwrap().is_current());
}

async fn waits_no_longer_than_it_is_told(test: TestDb) {
    let (holder, db, set) = (test.connect().await, test.connect().await, two());
    let hold = match test.server {
        Server::Sqlite => "BEGIN IMMEDIATE".to_owned(),
        Server::Postgres => format!("SELECT pg_advisory_lock({})", 0x7465_6e61_6e74_7279_i64),
        Server::MariaDb => "SELECT GET_LOCK(CONCAT('tenantry/', SHA1(DATABASE())), 0)".to_owned(),
    };
    holder.execute_unprepared(&hold).await.unwrap();
    let run = run_at(0).lock_wait(Duration::from_millis(200));
    let error = migrate(&db, &set, None, &run).await.unwrap_err();
    assert!(matches!(error, MigrationError::Locked { .. }), "{error:?}");
    assert_eq!(is_being_migrated(&db).await.unwrap(), test.server != Server::Sqlite);

    holder.close().await.unwrap();
    migrate(&db, &set, None, &run_at(1)).await.unwrap();
    assert!(!is_being_migrated(&db).await.unwrap());
}

async fn a_failure_keeps_what_the_engine_can_keep(test: TestDb) {
    let db = test.connect().await;
    let before = catalogue_of(&db).await;
    let broken = sql(
        ROADS,
        &[
            "CREATE TABLE roads (id int NOT NULL PRIMARY KEY)",
            "INSERT INTO cities (id) VALUES (1)",
            "CREATE TABLE never (id int)",
        ],
        &["DROP TABLE roads"],
    );
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(broken).build().unwrap();
    let error = migrate(&db, &set, None, &run_at(0)).await.unwrap_err();
    let MigrationError::Failed { version, statement, source, .. } = &error else { panic!("{error:?}") };
    assert_eq!((version.as_str(), *statement), (ROADS, Some(2)));
    assert!(!error.to_string().contains(&source.to_string()));

    assert!(!exists(&db, "never").await);
    match test.server {
        Server::MariaDb => {
            assert_eq!(versions(&db, &set).await, [PEOPLE, CITIES]);
            assert!(exists(&db, "roads").await, "its DDL commits by itself");
        }
        Server::Sqlite | Server::Postgres => assert_eq!(catalogue_of(&db).await, before),
    }
    // The lock is free and the connection usable: the mended set goes on.
    if test.server == Server::MariaDb {
        db.execute_unprepared("DROP TABLE roads").await.unwrap();
    }
    migrate(&db, &three(), None, &run_at(1)).await.unwrap();
    assert!(status(&db, &three()).await.unwrap().is_current());
}

async fn a_changed_migration_is_refused(test: TestDb) {
    let db = test.connect().await;
    migrate(&db, &two(), None, &run_at(0)).await.unwrap();
    let mut changed = people();
    changed.up.push("CREATE TABLE more (id int)".to_owned());
    let set = SetBuilder::new("tenant").add(changed).add(cities()).add(roads()).build().unwrap();
    assert_eq!(status(&db, &set).await.unwrap().mismatched, [PEOPLE]);
    for error in [
        migrate(&db, &set, None, &run_at(1)).await.unwrap_err(),
        rollback(&db, &set, Rollback::Steps(1), &run_at(1)).await.unwrap_err(),
    ] {
        assert!(matches!(&error, MigrationError::ChecksumMismatch { version, .. } if version == PEOPLE), "{error:?}");
    }
    assert!(!exists(&db, "roads").await);
}

async fn a_ledger_from_the_future_is_refused(test: TestDb) {
    let db = test.connect().await;
    migrate(&db, &three(), None, &run_at(0)).await.unwrap();
    assert_eq!(status(&db, &two()).await.unwrap().unknown, [ROADS]);
    let error = migrate(&db, &two(), None, &run_at(1)).await.unwrap_err();
    assert!(matches!(&error, MigrationError::UnknownVersion { version, .. } if version == ROADS), "{error:?}");
}

async fn concurrent_index(test: TestDb) {
    let db = test.connect().await;
    let mut index = sql(
        "m20260103_000000_index",
        &["CREATE INDEX CONCURRENTLY ix_cities ON cities (id)"],
        &["DROP INDEX CONCURRENTLY ix_cities"],
    );
    index.transaction = Some(false);
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(index).add(roads()).build().unwrap();
    let applied = migrate(&db, &set, None, &run_at(0)).await.unwrap();
    assert_eq!(applied.done.len(), 4);
    rollback(&db, &set, Rollback::All, &run_at(1)).await.unwrap();
    // The session lock was released: another session can go on.
    let other = test.connect().await;
    migrate(&other, &set, None, &run_at(2).lock_wait(Duration::ZERO)).await.unwrap();
}

async fn several_connections(test: TestDb) {
    let pool = test.connect_pool().await;
    let error = migrate(&pool, &two(), None, &run_at(0)).await.unwrap_err();
    assert!(matches!(error, MigrationError::NotOneConnection { .. }), "{error:?}");
}
