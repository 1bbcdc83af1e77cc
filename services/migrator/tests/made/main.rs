//! What `tenantry make migration` writes compiles as it is, and works: the folder `after` is its output, byte for byte,
//! which a test beside the command compares.
#![allow(elided_lifetimes_in_paths, clippy::unwrap_used, dead_code)]

#[rustfmt::skip]
#[path = "after/both/mod.rs"]
mod both;
#[rustfmt::skip]
#[path = "after/central/mod.rs"]
mod central;
#[path = "../../migrations/columns.rs"]
mod columns;
#[rustfmt::skip]
#[path = "after/plugins/mod.rs"]
mod plugins;
#[rustfmt::skip]
#[path = "after/tenant/mod.rs"]
mod tenant;

use sea_orm::{ConnectOptions, Database, DbBackend};
use tenantry_migration::{MigrationSet, Rollback, Run, migrate, rollback};

fn sets() -> Vec<MigrationSet> {
    let mut sets = vec![tenant::set().unwrap(), central::set().unwrap()];
    sets.extend(plugins::sets().unwrap());
    sets
}

#[tokio::test]
#[allow(clippy::disallowed_methods)] // A test opens its own database.
async fn made_migrations_are_in_their_sets_and_go_up_and_down() {
    let versions: Vec<Vec<_>> = sets().iter().map(|set| set.versions().map(str::to_owned).collect()).collect();
    assert_eq!(
        versions,
        [
            vec!["m20260101_120000_invoices", "m20260101_120002_notes"],
            vec!["m20260101_120001_regions", "m20260101_120002_notes"],
            vec!["m20260101_120003_meters", "m20260101_120004_readings"],
        ]
    );
    for set in sets() {
        for backend in [DbBackend::Postgres, DbBackend::MySql] {
            set.recordings(backend).unwrap();
        }
        let mut options = ConnectOptions::new("sqlite::memory:");
        options.max_connections(1);
        let db = Database::connect(options).await.unwrap();
        let run = Run::new(uuid::Uuid::nil(), chrono::DateTime::UNIX_EPOCH);
        assert_eq!(migrate(&db, &set, None, &run).await.unwrap().done.len(), 2);
        assert_eq!(rollback(&db, &set, Rollback::All, &run).await.unwrap().done.len(), 2);
    }
}
