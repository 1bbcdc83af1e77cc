//! Sets of SeaORM migrations, recorded once per engine into statements.
//!
//! SeaORM's own migrator is a conversation with one database: it reads its ledger, runs each migration
//! statement by statement, has no lock and no plan. A fleet needs the opposite: know what a migration *is*
//! (its statements, its checksum) before any database is touched, send it as one batch, and prove afterwards
//! which statements a database has seen. So each migration runs once against a recorder per engine, and
//! everything here — [`Plan`], checksum, [`squash`](MigrationSet::squash), [`migrate`], [`rollback`] — works on
//! the recording.
//!
//! # Adding a migration
//!
//! 1. Write `mYYYYMMDD_HHMMSS_name.rs` with a `Migration` that implements `MigrationTrait` and a `down`.
//! 2. Add it to the list of its set:
//!
//! ```
//! use tenantry_migration::{Migration, MigrationError, MigrationSet, SetBuilder};
//! # mod m20260101_000001_people {
//! #     use sea_orm_migration::prelude::*;
//! #     pub struct Migration;
//! #     impl MigrationName for Migration { fn name(&self) -> &str { "m20260101_000001_people" } }
//! #     #[async_trait::async_trait]
//! #     impl MigrationTrait for Migration {
//! #         async fn up(&self, m: &SchemaManager) -> Result<(), DbErr> {
//! #             m.create_table(Table::create().table("people").col(ColumnDef::new("id").uuid().not_null().primary_key()).to_owned()).await
//! #         }
//! #         async fn down(&self, m: &SchemaManager) -> Result<(), DbErr> {
//! #             m.drop_table(Table::drop().table("people").to_owned()).await
//! #         }
//! #     }
//! # }
//! fn both() -> Vec<Migration> { Vec::new() }
//!
//! fn tenant() -> Result<MigrationSet, MigrationError> {
//!     SetBuilder::new("tenant")
//!         .add(m20260101_000001_people::Migration)
//!         .add_both(both())
//!         .build()
//! }
//! # tenant()?.recordings(sea_orm::DbBackend::Postgres)?;
//! # Ok::<(), MigrationError>(())
//! ```
//!
//! A migration that has to read first (`has_column`, a `SELECT`) cannot be recorded: add it as
//! `Migration::new(m…::Migration).code()`. One that cannot be undone says why: `.irreversible("…")`.
//!
//! # The connection
//!
//! Every function that changes a database takes a `DatabaseConnection` whose pool holds **one** connection
//! (`max_connections(1)`): `GET_LOCK` and PostgreSQL's session lock belong to a session, and a second
//! connection would work without the lock. Where such a lock is needed a larger pool is refused. When a call is
//! cancelled, close that pool: on MariaDB the lock lives as long as the session.

mod apply;
mod at_once;
mod baseline;
mod catalogue;
pub mod columns;
mod dry_run;
mod engine;
mod error;
mod ledger;
mod literal;
mod lock;
mod plan;
mod postgres;
mod progress;
mod recording;
mod rollback;
mod seed;
mod session;
mod set;
mod sqlite;
mod squash;
mod status;
mod step;
mod version;
mod wipe;

pub use apply::{Applied, Done, Run, migrate};
pub use at_once::migrate_at_once;
pub use baseline::{baseline, baseline_versions, ledger_sets};
pub use catalogue::{
    CatalogueObject, CatalogueOptions, DATABASE, Difference, Finding, ObjectKind, TENANT, catalogue, compare,
};
pub use dry_run::{DryRun, dry_run};
pub use error::{Direction, MigrationError};
pub use ledger::{Entry, LEDGER, is_missing_table};
pub use lock::is_being_migrated;
pub use plan::{Plan, PlannedStep, plan, plan_back};
pub use progress::{PROGRESS, Partial};
pub use recording::Recording;
pub use rollback::{Rollback, rollback};
pub use seed::{Seed, Seeder, seed};
pub use set::{Kind, Migration, MigrationSet, SetBuilder};
pub use status::{Status, status};
pub use wipe::wipe;
