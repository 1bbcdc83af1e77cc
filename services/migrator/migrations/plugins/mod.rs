//! Plugins' tables, a set each, in the databases of companies that have the plugin.

use tenantry_migration::{MigrationError, MigrationSet};

mod sms;

pub(super) fn sets() -> Result<Vec<MigrationSet>, MigrationError> {
    Ok(vec![sms::set()?])
}
