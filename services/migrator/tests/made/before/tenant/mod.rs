//! The set tenant, before anything was made.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("tenant")
        .add_both(super::both::migrations())
        .build()
}
