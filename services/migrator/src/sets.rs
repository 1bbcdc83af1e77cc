//! The one list of migration sets. A plugin's set is added to [`plugins`].
//!
//! The migrations themselves are under `services/migrator/migrations`, a folder per set.

#![allow(
    elided_lifetimes_in_paths,
    reason = "MigrationTrait elides them, and async_trait refuses an implementation that does not"
)]

use tenantry_migration::{MigrationError, MigrationSet};

#[path = "../migrations/both/mod.rs"]
mod both;
#[path = "../migrations/central/mod.rs"]
mod central;
#[path = "../migrations/columns.rs"]
mod columns;
#[path = "../migrations/migrator/mod.rs"]
mod migrator;
#[path = "../migrations/plugins/mod.rs"]
mod plugins;
#[path = "../migrations/tenant/mod.rs"]
mod tenant;

/// The catalog's database.
///
/// # Errors
/// [`MigrationError::InvalidSet`]: a mistake in the list, the same on every call.
pub fn central() -> Result<MigrationSet, MigrationError> {
    central::set()
}

/// A company's database.
///
/// # Errors
/// As [`central`].
pub fn tenant() -> Result<MigrationSet, MigrationError> {
    tenant::set()
}

/// The migrator's own database.
///
/// # Errors
/// As [`central`].
pub fn migrator() -> Result<MigrationSet, MigrationError> {
    migrator::set()
}

/// Plugins' sets, each for the companies that have the plugin.
///
/// # Errors
/// As [`central`].
pub fn plugins() -> Result<Vec<MigrationSet>, MigrationError> {
    plugins::sets()
}
