//! What a caller believes of a database, and what somebody else has left in one.

use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sqlx::Executor;
use tenantry_migration::{
    Applied, LEDGER, MigrationError, MigrationSet, Run, SetBuilder, baseline, baseline_versions, ledger_sets, migrate,
    migrate_at_once, status,
};

use crate::fixtures::*;
use crate::support::TestDb;

/// As a rollout does it: at once where the engine can and the belief is right.
async fn from_belief(
    test: &TestDb,
    set: &MigrationSet,
    from: &str,
    target: Option<&str>,
    run: &Run,
) -> Result<Applied, MigrationError> {
    if let Some(mut session) = test.connect_driver(run).await
        && let Some(applied) = migrate_at_once(&mut session, set, (from, target), run).await?
    {
        return Ok(applied);
    }
    migrate(&test.connect().await, set, target, run).await
}

/// The session itself, so that going on with [`migrate`] is not taken for it.
pub(crate) async fn one_session_is_enough_where_the_belief_is_right(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    let Some(mut session) = test.connect_driver(&run_at(0)).await else { return };
    let mut at_once =
        async |from: &str, run: Run| migrate_at_once(&mut session, &set, (from, None), &run).await.unwrap();
    migrate(&db, &set, Some(PEOPLE), &run_at(0)).await.unwrap();
    for wrong in ["", CITIES, ROADS] {
        assert_eq!(at_once(wrong, run_at(1)).await, None, "{wrong:?}");
    }
    let applied = at_once(PEOPLE, run_at(2)).await.unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [CITIES, ROADS]);
    let ledger = status(&db, &set).await.unwrap().applied;
    assert!(ledger.iter().all(|entry| entry.duration_ms >= 0), "{ledger:?}");
    assert_eq!(at_once(PEOPLE, run_at(3)).await, None, "not twice");
}

pub(crate) async fn nothing_of_a_batch_that_fails_is_left(test: TestDb) {
    let (db, run) = (test.connect().await, run_at(1));
    let Some(mut session) = test.connect_driver(&run).await else { return };
    migrate(&db, &two(), Some(PEOPLE), &run_at(0)).await.unwrap();
    let mut broken = roads();
    broken.up.push("CREATE TABLE people (id int)".to_owned());
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(broken).build().unwrap();
    assert_eq!(migrate_at_once(&mut session, &set, (PEOPLE, None), &run).await.unwrap(), None);
    assert!(!exists(&db, "cities").await && !exists(&db, "roads").await);
    assert_eq!(status(&db, &three()).await.unwrap().version(), Some(PEOPLE));
    let applied = migrate_at_once(&mut session, &three(), (PEOPLE, None), &run).await.unwrap().unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [CITIES, ROADS], "the lock was given back");
}

/// The server ends its session, so that nobody waits for its lock.
pub(crate) async fn who_goes_silent_with_a_transaction_open_loses_it(test: TestDb) {
    let Some(mut silent) = test.connect_driver(&run_at(0).statement_timeout(Duration::from_millis(50))).await else {
        return;
    };
    silent.execute("BEGIN; CREATE TABLE held (id int)").await.unwrap();
    let db = test.connect().await;
    db.execute_unprepared("SET lock_timeout = '30s'; CREATE TABLE held (id int)").await.unwrap();
    silent.execute("COMMIT").await.unwrap_err();
}

pub(crate) async fn a_belief_is_checked_whatever_it_was(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    // Right, then behind what is there, ahead of it, and of a version that never was.
    migrate(&db, &set, Some(PEOPLE), &run_at(0)).await.unwrap();
    let applied = from_belief(&test, &set, PEOPLE, Some(CITIES), &run_at(1)).await.unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [CITIES]);
    let applied = from_belief(&test, &set, PEOPLE, None, &run_at(2)).await.unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [ROADS], "only what is missing");
    for belief in ["", PEOPLE, CITIES, ROADS, "m20990101_000000_never"] {
        assert_eq!(from_belief(&test, &set, belief, None, &run_at(3)).await.unwrap().done, [], "{belief:?}");
    }
    assert!(status(&db, &set).await.unwrap().is_current());
}

pub(crate) async fn a_belief_does_not_get_past_a_conflict(test: TestDb) {
    let db = test.connect().await;
    let nothing_there = from_belief(&test, &two(), PEOPLE, None, &run_at(0)).await.unwrap();
    assert_eq!(nothing_there.versions().collect::<Vec<_>>(), [PEOPLE, CITIES], "no ledger: from the beginning");
    let mut changed = people();
    changed.up.push("CREATE TABLE more (id int)".to_owned());
    let set = SetBuilder::new("tenant").add(changed).add(cities()).add(roads()).build().unwrap();
    let error = from_belief(&test, &set, CITIES, None, &run_at(1)).await.unwrap_err();
    assert!(matches!(&error, MigrationError::ChecksumMismatch { version, .. } if version == PEOPLE), "{error:?}");

    migrate(&db, &three(), None, &run_at(2)).await.unwrap();
    let one = SetBuilder::new("tenant").add(people()).add(cities()).build().unwrap();
    let error = from_belief(&test, &one, PEOPLE, None, &run_at(3)).await.unwrap_err();
    assert!(matches!(&error, MigrationError::UnknownVersion { version, .. } if version == ROADS), "{error:?}");
}

/// As somebody else has made it: the tables and no ledger.
async fn without_ledger(db: &sea_orm::DatabaseConnection, version: &str) {
    migrate(db, &three(), Some(version), &run_at(0)).await.unwrap();
    db.execute_unprepared(&format!("DROP TABLE {LEDGER}")).await.unwrap();
}

pub(crate) async fn a_baseline_is_noted_once_and_runs_nothing(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    assert_eq!(baseline(&db, &set, None, &run_at(0)).await.unwrap(), [""; 0], "nothing there, nothing seen");
    without_ledger(&db, CITIES).await;
    let unsaid = baseline(&db, &set, None, &run_at(1)).await.unwrap_err();
    assert!(matches!(unsaid, MigrationError::NoBaseline { .. }), "{unsaid:?}");
    assert!(matches!(
        baseline(&db, &set, Some("m20990101_000000_never"), &run_at(1)).await.unwrap_err(),
        MigrationError::NoSuchVersion { .. }
    ));
    assert_eq!(baseline_versions(&db, &set, Some(CITIES)).await.unwrap(), [PEOPLE, CITIES]);
    assert_eq!(ledger_sets(&db).await.unwrap(), [""; 0], "a look notes nothing");
    assert_eq!(baseline(&db, &set, Some(CITIES), &run_at(1)).await.unwrap(), [PEOPLE, CITIES]);
    assert_eq!(baseline(&db, &set, Some(ROADS), &run_at(2)).await.unwrap(), [""; 0], "it has a ledger by now");
    assert_eq!(ledger_sets(&db).await.unwrap(), ["tenant"]);
    let after = status(&db, &set).await.unwrap();
    assert_eq!((after.pending.as_slice(), after.mismatched.as_slice()), ([ROADS.to_owned()].as_slice(), [].as_slice()));
    migrate(&db, &set, None, &run_at(3)).await.unwrap();
    assert!(exists(&db, "roads").await);
}

pub(crate) async fn the_ledger_of_seaorms_migrator_is_taken_over(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    without_ledger(&db, CITIES).await;
    db.execute_unprepared("CREATE TABLE seaql_migrations (version varchar(255) PRIMARY KEY, applied_at bigint)")
        .await
        .unwrap();
    for version in [CITIES, PEOPLE] {
        db.execute_unprepared(&format!("INSERT INTO seaql_migrations VALUES ('{version}', 1)")).await.unwrap();
    }
    assert_eq!(baseline(&db, &set, None, &run_at(1)).await.unwrap(), [PEOPLE, CITIES]);
    assert_eq!(status(&db, &set).await.unwrap().pending, [ROADS]);

    db.execute_unprepared(&format!("DROP TABLE {LEDGER}")).await.unwrap();
    db.execute_unprepared("INSERT INTO seaql_migrations VALUES ('m20990101_000000_future', 1)").await.unwrap();
    let error = baseline(&db, &set, None, &run_at(2)).await.unwrap_err();
    assert!(matches!(error, MigrationError::UnknownVersion { .. }), "{error:?}");
}
