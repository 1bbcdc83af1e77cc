//! The set tenant, before anything was made.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_120000_invoices;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("tenant")
        .add_both(super::both::migrations())
        .add(m20260101_120000_invoices::Migration)
        .build()
}
