//! What needs no database: order, checksums, and what a recording refuses.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used)]

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;
use tenantry_migration::{Direction, Migration, MigrationError, MigrationSet, Run, SetBuilder};

const BACKENDS: [DbBackend; 3] = [DbBackend::Postgres, DbBackend::MySql, DbBackend::Sqlite];

#[derive(Clone, Copy)]
enum Does {
    Creates(&'static str),
    Reads,
    ReadsAndHidesIt,
    OpensATransaction,
    Waits,
    HasNoDown,
}

struct Test(&'static str, Does);

impl MigrationName for Test {
    fn name(&self) -> &str {
        self.0
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Test {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = match self.1 {
            Does::Creates(table) => table,
            Does::Reads => return manager.has_table("people").await.map(|_| ()),
            Does::ReadsAndHidesIt => {
                let _ = manager.has_table("people").await;
                return Ok(());
            }
            Does::OpensATransaction => return manager.begin().await?.commit().await,
            Does::Waits => {
                tokio::task::yield_now().await;
                return Ok(());
            }
            Does::HasNoDown => "people",
        };
        let id = ColumnDef::new("id").uuid().not_null().primary_key().to_owned();
        manager.create_table(Table::create().table(table).col(id).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match self.1 {
            Does::Creates(table) => manager.drop_table(Table::drop().table(table).to_owned()).await,
            Does::HasNoDown => Err(DbErr::Migration("We Don't Do That Here".to_owned())),
            _ => Ok(()),
        }
    }
}

fn set(migrations: Vec<Migration>) -> Result<MigrationSet, MigrationError> {
    migrations.into_iter().fold(SetBuilder::new("tenant"), SetBuilder::add).build()
}

fn one(does: Does) -> MigrationSet {
    set(vec![Test("m20260101_000000_one", does).into()]).unwrap()
}

#[test]
fn a_set_is_sorted_whatever_the_order_of_its_list() {
    let both = vec![Test("m20260102_000000_keys", Does::Creates("keys")).into()];
    let set = SetBuilder::new("tenant")
        .add(Test("m20260103_000000_b", Does::Creates("b")))
        .add(Test("m20260101_000000_a", Does::Creates("a")))
        .add_both(both)
        .build()
        .unwrap();
    let versions: Vec<_> = set.versions().collect();
    assert_eq!(versions, ["m20260101_000000_a", "m20260102_000000_keys", "m20260103_000000_b"]);
    assert_eq!(set.head(), Some("m20260103_000000_b"));
    let both: Vec<_> = set.migrations().iter().map(Migration::is_both).collect();
    assert_eq!(both, [false, true, false]);
}

#[test]
fn mistakes_are_found_when_the_set_is_built() {
    let twice = || Test("m20260101_000000_one", Does::Reads).into();
    assert!(matches!(set(vec![twice(), twice()]), Err(MigrationError::InvalidSet { .. })));
    assert!(matches!(set(vec![Test("people", Does::Reads).into()]), Err(MigrationError::InvalidSet { .. })));
    assert!(matches!(SetBuilder::new("no'").build(), Err(MigrationError::InvalidSet { .. })));
}

#[test]
fn a_checksum_depends_on_the_version_the_statements_and_the_engine() {
    let sums: std::collections::HashSet<_> = BACKENDS
        .iter()
        .flat_map(|backend| {
            [
                one(Does::Creates("people")),
                one(Does::Creates("places")),
                set(vec![Test("m20260101_000000_two", Does::Creates("people")).into()]).unwrap(),
            ]
            .map(|set| set.recordings(*backend).unwrap()[0].checksum.clone())
        })
        .collect();
    assert_eq!(sums.len(), 9);
    assert!(sums.iter().all(|sum| sum.len() == 64));
    // Ledgers hold it for ever: how it is made may not change.
    let postgres = one(Does::Creates("people")).recordings(DbBackend::Postgres).unwrap()[0].clone();
    assert_eq!(postgres.up, [r#"CREATE TABLE "people" ( "id" uuid NOT NULL PRIMARY KEY )"#]);
    assert_eq!(postgres.down, [r#"DROP TABLE "people""#]);
    assert_eq!(postgres.checksum, "46b39696e81b7f855cd82530d942e6ce8985b33ff51b51a4f57512298057b7c1");
}

#[test]
fn what_cannot_be_recorded_says_what_to_do() {
    for (does, says) in [
        (Does::Reads, "reads"),
        (Does::ReadsAndHidesIt, "reads"),
        (Does::OpensATransaction, "transaction"),
        (Does::Waits, "waits"),
    ] {
        let error = one(does).recordings(DbBackend::Sqlite).unwrap_err();
        let MigrationError::Recording { direction, reason, .. } = error else { panic!("{error:?}") };
        assert_eq!(direction, Direction::Up);
        assert!(reason.contains(says) && reason.contains(".code()"), "{reason}");
    }
    let error = one(Does::HasNoDown).recordings(DbBackend::Sqlite).unwrap_err();
    assert!(error.to_string().contains(".irreversible("), "{error}");
}

#[test]
fn code_and_irreversible_are_not_asked_for_what_they_lack() {
    let code = Migration::new(Test("m20260101_000000_one", Does::Reads)).code();
    let one_way = Migration::new(Test("m20260102_000000_two", Does::HasNoDown)).irreversible("it merges rows");
    let set = set(vec![code, one_way]).unwrap();
    for backend in BACKENDS {
        let recordings = set.recordings(backend).unwrap();
        assert!(recordings[0].up.is_empty() && !recordings[1].up.is_empty() && recordings[1].down.is_empty());
        let run = Run::new(uuid::Uuid::nil(), chrono::DateTime::UNIX_EPOCH);
        assert!(matches!(set.squash(backend, &run), Err(MigrationError::NotRecorded { .. })));
    }
}
