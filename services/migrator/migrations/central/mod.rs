//! The catalog's database: companies, users, keys and events.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_companies;
mod m20260101_000200_provisioning;
mod m20260101_000300_users;
mod m20260101_000400_signing_keys;
mod m20260101_000500_events;
mod m20260101_000600_lifecycle;
mod m20260101_000700_tenant_changes;
mod m20260101_000800_rotations;
mod m20260101_000850_adoptions;
mod m20260101_000900_event_log;
mod m20260101_001000_placement;
mod m20260101_001100_limits;
mod m20260101_001200_plugins;
mod m20260101_001400_password_resets;
mod m20260101_002000_key_ring;
mod m20260101_002100_sessions;
mod m20260101_002200_sign_in_failures;
mod m20260101_002300_api_keys;
mod m20261122_002000_issuers;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("central")
        .add_both(super::both::migrations())
        .add(m20260101_000100_companies::Migration)
        .add(m20260101_000200_provisioning::Migration)
        .add(m20260101_000300_users::Migration)
        .add(m20260101_000400_signing_keys::Migration)
        .add(m20260101_000500_events::Migration)
        .add(m20260101_000600_lifecycle::Migration)
        .add(m20260101_000700_tenant_changes::Migration)
        .add(m20260101_000800_rotations::Migration)
        .add(m20260101_000850_adoptions::Migration)
        .add(m20260101_000900_event_log::Migration)
        .add(m20260101_001000_placement::Migration)
        .add(m20260101_001100_limits::Migration)
        .add(m20260101_001200_plugins::Migration)
        .add(m20260101_001400_password_resets::Migration)
        .add(m20260101_002000_key_ring::Migration)
        .add(m20260101_002100_sessions::Migration)
        .add(m20260101_002200_sign_in_failures::Migration)
        .add(m20260101_002300_api_keys::Migration)
        .add(m20261122_002000_issuers::Migration)
        .build()
}
