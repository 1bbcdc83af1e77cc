//! Plugins: sets of migrations for the companies that have installed them.

use std::collections::BTreeMap;

use tenantry_migration::MigrationSet;
use tenantry_rpc::{Error, Reason};

/// What the name of a plugin's set begins with.
const SET_PREFIX: &str = "plugin_";

/// The plugins that this migrator has, by their names.
#[derive(Clone, Default)]
pub(crate) struct Plugins(BTreeMap<String, MigrationSet>);

impl Plugins {
    /// Sets that are no plugins' are left out.
    pub(crate) fn new(sets: impl IntoIterator<Item = MigrationSet>) -> Self {
        let named = sets.into_iter().filter_map(|set| Some((set.name().strip_prefix(SET_PREFIX)?.to_owned(), set)));
        Self(named.collect())
    }

    pub(crate) fn named(&self, plugin: &str) -> Result<&MigrationSet, Error> {
        self.0.get(plugin).ok_or_else(|| {
            let message = format!("there is no plugin {plugin:?} here; the catalog's ListPlugins names those that are");
            Error::new(Reason::PluginNotFound, message)
        })
    }

    /// By the name that ledgers have.
    pub(crate) fn of_set(&self, set: &str) -> Option<&MigrationSet> {
        self.0.get(set.strip_prefix(SET_PREFIX)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &MigrationSet)> {
        self.0.iter().map(|(name, set)| (name.as_str(), set))
    }
}

/// The plugin whose set this is; `None` for the tenants' own.
pub(crate) fn plugin_of(set: &str) -> Option<&str> {
    set.strip_prefix(SET_PREFIX)
}
