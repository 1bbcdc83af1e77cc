//! The migrator's own database.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_databases;
mod m20260101_000200_runs;
mod m20260101_000300_drift;
mod m20260101_000400_rollouts;
mod m20260101_000450_credentials;
mod m20260101_000500_spares;
mod m20260101_000600_adoptions;
mod m20260101_000700_plugins;
mod m20260101_000800_rollout_order;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("migrator")
        .add_both(super::both::migrations())
        .add(m20260101_000100_databases::Migration)
        .add(m20260101_000200_runs::Migration)
        .add(m20260101_000300_drift::Migration)
        .add(m20260101_000400_rollouts::Migration)
        .add(m20260101_000450_credentials::Migration)
        .add(m20260101_000500_spares::Migration)
        .add(m20260101_000600_adoptions::Migration)
        .add(m20260101_000700_plugins::Migration)
        .add(m20260101_000800_rollout_order::Migration)
        .build()
}
