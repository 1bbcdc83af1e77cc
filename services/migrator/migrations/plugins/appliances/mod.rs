//! The tables of the plugin appliances, in the databases of companies that have it.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_sales;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("plugin_appliances")
        .about("Appliances, sold at once or in instalments that payments pay in their order.")
        .add(m20260101_000100_sales::Migration)
        .build()
}
