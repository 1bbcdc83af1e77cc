//! Plugins' tables, a set each, in the databases of companies that have the plugin.

use tenantry_migration::{MigrationError, MigrationSet};

pub(super) fn sets() -> Result<Vec<MigrationSet>, MigrationError> {
    Ok(vec![])
}
