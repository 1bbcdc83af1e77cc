//! The tables of the plugin metering, in the databases of companies that have it.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_120003_meters;
mod m20260101_120004_readings;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("plugin_metering")
        .about("What the plugin metering is for, in a sentence.")
        .add(m20260101_120003_meters::Migration)
        .add(m20260101_120004_readings::Migration)
        .build()
}
