//! The set central, before anything was made.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("central")
        .add_both(super::both::migrations())
        .build()
}
