//! The set central, before anything was made.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_120001_regions;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("central")
        .add_both(super::both::migrations())
        .add(m20260101_120001_regions::Migration)
        .build()
}
