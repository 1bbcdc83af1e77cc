//! Rollbacks, code and squash.

use sea_orm::ConnectionTrait;
use tenantry_migration::{LEDGER, Migration, MigrationError, Rollback, SetBuilder, migrate, plan, rollback, status};

use crate::{
    fixtures::*,
    support::{TestDb, catalogue_of},
};

pub(crate) async fn rolls_back_the_last_run(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    migrate(&db, &set, Some(PEOPLE), &run_at(0)).await.unwrap();
    let before = catalogue_of(&db).await;
    let second = run_at(1);
    migrate(&db, &set, None, &second).await.unwrap();

    let undone = rollback(&db, &set, Rollback::LastRun, &run_at(2)).await.unwrap();
    assert_eq!(undone.versions().collect::<Vec<_>>(), [ROADS, CITIES]);
    assert_eq!(catalogue_of(&db).await, before);
    assert!(rollback(&db, &set, Rollback::Run(second.id), &run_at(3)).await.unwrap().done.is_empty());
    assert_eq!(versions(&db, &set).await, [PEOPLE]);
}

pub(crate) async fn rolls_back_to_a_version_and_by_steps(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    migrate(&db, &set, None, &run_at(0)).await.unwrap();
    rollback(&db, &set, Rollback::Steps(1), &run_at(1)).await.unwrap();
    assert_eq!(versions(&db, &set).await, [PEOPLE, CITIES]);
    rollback(&db, &set, Rollback::To(PEOPLE), &run_at(2)).await.unwrap();
    assert_eq!(versions(&db, &set).await, [PEOPLE]);
    rollback(&db, &set, Rollback::All, &run_at(3)).await.unwrap();
    assert_eq!(versions(&db, &set).await, Vec::<String>::new());
    migrate(&db, &set, None, &run_at(4)).await.unwrap();
    assert!(status(&db, &set).await.unwrap().is_current());
}

pub(crate) async fn an_irreversible_migration_stops_the_whole_rollback(test: TestDb) {
    let db = test.connect().await;
    let one_way = Migration::new(cities()).irreversible("it merges rows");
    let set = SetBuilder::new("tenant").add(people()).add(one_way).add(roads()).build().unwrap();
    migrate(&db, &set, None, &run_at(0)).await.unwrap();
    let error = rollback(&db, &set, Rollback::Steps(2), &run_at(1)).await.unwrap_err();
    assert!(matches!(&error, MigrationError::Irreversible { version, .. } if version == CITIES), "{error:?}");
    assert_eq!(versions(&db, &set).await, [PEOPLE, CITIES, ROADS]);
    rollback(&db, &set, Rollback::Steps(1), &run_at(2)).await.unwrap();
}

pub(crate) async fn code_runs_between_recorded_ones(test: TestDb) {
    let db = test.connect().await;
    let note = Migration::new(AddNote).code();
    let set = SetBuilder::new("tenant").add(people()).add(cities()).add(note).add(roads()).build().unwrap();
    assert!(plan(&db, &set, None).await.unwrap().to_sql().contains("-- code"));
    let applied = migrate(&db, &set, None, &run_at(0)).await.unwrap();
    assert_eq!(applied.versions().collect::<Vec<_>>(), [PEOPLE, CITIES, "m20260103_000000_note", ROADS]);
    db.execute_unprepared("SELECT note FROM people").await.unwrap();
    let undone = rollback(&db, &set, Rollback::To(PEOPLE), &run_at(1)).await.unwrap();
    assert_eq!(undone.done.len(), 3);
    assert!(db.execute_unprepared("SELECT note FROM people").await.is_err());
    assert!(matches!(set.squash(db.get_database_backend(), &run_at(2)), Err(MigrationError::NotRecorded { .. })));
}

pub(crate) async fn a_squash_equals_a_migration_step_by_step(test: TestDb) {
    let (db, set) = (test.connect().await, three());
    for version in [PEOPLE, CITIES, ROADS] {
        migrate(&db, &set, Some(version), &run_at(0)).await.unwrap();
    }
    let step_by_step = catalogue_of(&db).await;
    rollback(&db, &set, Rollback::All, &run_at(1)).await.unwrap();
    db.execute_unprepared(&format!("DROP TABLE {LEDGER}")).await.unwrap();

    let script = set.squash(db.get_database_backend(), &run_at(2)).unwrap();
    db.execute_unprepared(&script).await.unwrap();
    assert_eq!(catalogue_of(&db).await, step_by_step);
    assert!(status(&db, &set).await.unwrap().is_current());
}
