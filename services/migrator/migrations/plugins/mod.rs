//! Plugins' tables, a set each, in the databases of companies that have the plugin.

use tenantry_migration::{MigrationError, MigrationSet};

mod appliances;
mod sms;

pub(super) fn sets() -> Result<Vec<MigrationSet>, MigrationError> {
    Ok(vec![appliances::set()?, sms::set()?])
}
