//! Whether the tables that an RPC works on are there, at a version that the service knows.

use tenantry_rpc::{Error, Reason};

use crate::Placement;

/// `mYYYYMMDD_HHMMSS`: what of a migration's name orders it.
const VERSION_BYTES: usize = 16;

/// The versions of a migration set that a service works with, both included.
#[derive(Debug, Clone, Copy)]
pub struct SchemaRange {
    /// The oldest migration that the service needs.
    pub oldest: &'static str,
    /// The newest migration that the service knows.
    pub newest: &'static str,
}

/// The tables that a service works on, and the versions of them that it works with.
#[derive(Debug, Clone, Copy)]
pub enum Schema {
    /// The tenants' own set.
    Tenant(SchemaRange),
    /// The set of the plugin of this name, which the tenant must have installed.
    Plugin(&'static str, SchemaRange),
}

/// What a service works with: its own tables, and those of the plugins that some of its RPCs belong to.
#[derive(Debug, Clone, Copy)]
pub struct SchemaGate {
    schema: Schema,
    plugins: &'static [(&'static str, SchemaRange)],
}

impl Schema {
    /// The versions of plugins' tables that the service works with, by the names that access rules have. A plugin that
    /// is not named here is served at any version.
    #[must_use]
    pub fn with_plugins(self, plugins: &'static [(&'static str, SchemaRange)]) -> SchemaGate {
        SchemaGate { schema: self, plugins }
    }

    fn check(&self, placement: &Placement) -> Result<(), Error> {
        match self {
            Self::Tenant(range) => range.check("the company's database", &placement.schema_version),
            Self::Plugin(name, range) => range.check_plugin(name, installed(name, placement)?),
        }
    }
}

impl From<Schema> for SchemaGate {
    fn from(schema: Schema) -> Self {
        schema.with_plugins(&[])
    }
}

impl SchemaGate {
    /// For an RPC that belongs to this plugin, if it belongs to one.
    pub(crate) fn check(&self, plugin: Option<&str>, placement: &Placement) -> Result<(), Error> {
        self.schema.check(placement)?;
        let Some(plugin) = plugin else { return Ok(()) };
        let version = installed(plugin, placement)?;
        match self.plugins.iter().find(|(name, _)| *name == plugin) {
            Some((_, range)) => range.check_plugin(plugin, version),
            None => Ok(()),
        }
    }
}

impl SchemaRange {
    fn check_plugin(&self, plugin: &str, version: &str) -> Result<(), Error> {
        self.check(&format!("the company's plugin {plugin}"), version)
    }

    /// `what` is at this version.
    fn check(&self, what: &str, version: &str) -> Result<(), Error> {
        let stamp = |version: &'_ str| version.get(..VERSION_BYTES).unwrap_or(version).to_owned();
        if stamp(version) < stamp(self.oldest) {
            let message = format!("{what} is older than this service works with; its operator has to migrate it");
            return Err(Error::new(Reason::SchemaTooOld, message));
        }
        if stamp(version) > stamp(self.newest) {
            let message =
                format!("{what} is newer than this service works with; its operator has to upgrade the service");
            return Err(Error::new(Reason::SchemaTooNew, message));
        }
        Ok(())
    }
}

/// The version of the plugin's tables.
fn installed<'p>(plugin: &str, placement: &'p Placement) -> Result<&'p str, Error> {
    placement.plugin_version(plugin).ok_or_else(|| {
        let message = format!("the company has not installed the plugin {plugin}; one of its admins can");
        Error::new(Reason::PluginNotInstalled, message).with("plugin", plugin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstalledPlugin;

    const SCHEMA: SchemaRange = SchemaRange { oldest: "m20260101_000200_people", newest: "m20260101_000700_audit" };

    #[test]
    fn the_schema_gate_is_open_from_the_oldest_to_the_newest() {
        let reason = |version: &str| SCHEMA.check("it", version).err().map(|error| error.reason());
        assert_eq!(reason("m20260101_000100_places"), Some(Reason::SchemaTooOld));
        assert_eq!(reason(""), Some(Reason::SchemaTooOld));
        assert_eq!(reason("m20260101_000200_people"), None);
        assert_eq!(reason("m20260101_000700_zzz"), None);
        assert_eq!(reason("m20260101_000701_more"), Some(Reason::SchemaTooNew));
    }

    fn placement(schema: &str, installed: &[(&str, &str)]) -> Placement {
        let plugins = installed
            .iter()
            .map(|(name, version)| InstalledPlugin { name: (*name).to_owned(), schema_version: (*version).to_owned() });
        Placement {
            schema_version: schema.to_owned(),
            plugins: plugins.collect(),
            ..crate::directory::tests::placement(1)
        }
    }

    #[test]
    fn a_plugin_has_a_gate_of_its_own_behind_the_companys() {
        const SMS: SchemaRange = SchemaRange { oldest: "m20260101_000200_outbox", newest: "m20260101_000200_outbox" };
        let gate = Schema::Tenant(SCHEMA).with_plugins(&[("sms", SMS)]);
        let reason = |plugin: Option<&str>, schema: &str, installed: &[(&str, &str)]| {
            gate.check(plugin, &placement(schema, installed)).err().map(|error| error.reason())
        };
        let (people, outbox) = ("m20260101_000200_people", "m20260101_000200_outbox");
        assert_eq!(reason(None, people, &[]), None);
        assert_eq!(reason(Some("sms"), people, &[]), Some(Reason::PluginNotInstalled));
        assert_eq!(reason(Some("sms"), people, &[("sms2", outbox)]), Some(Reason::PluginNotInstalled));
        assert_eq!(reason(Some("sms"), people, &[("other", outbox), ("sms", outbox)]), None);
        assert_eq!(reason(Some("sms"), people, &[("sms", "m20260101_000100_templates")]), Some(Reason::SchemaTooOld));
        assert_eq!(reason(Some("sms"), people, &[("sms", "m20260101_000300_more")]), Some(Reason::SchemaTooNew));
        assert_eq!(reason(Some("other"), people, &[("other", "")]), None, "at any version");
        assert_eq!(reason(Some("sms"), "", &[("sms", outbox)]), Some(Reason::SchemaTooOld), "the company's own first");
    }

    #[test]
    fn a_service_on_a_plugins_tables_looks_at_the_plugins_own_version() {
        let range = SchemaRange { oldest: "m20261101_000100_notes", newest: "m20261101_000200_tags" };
        let gate = SchemaGate::from(Schema::Plugin("notes", range));
        let reason = |plugin: Option<&str>, installed: &[(&str, &str)]| {
            let placement = placement("m20261101_000100_of_the_tenants", installed);
            gate.check(plugin, &placement).err().map(|error| error.reason())
        };
        assert_eq!(reason(None, &[]), Some(Reason::PluginNotInstalled));
        assert_eq!(reason(None, &[("sms", "m20261101_000100_notes")]), Some(Reason::PluginNotInstalled));
        assert_eq!(reason(None, &[("sms", ""), ("notes", "m20261101_000100_notes")]), None);
        assert_eq!(reason(None, &[("notes", "m20261101_000200_tags")]), None);
        assert_eq!(reason(None, &[("notes", "")]), Some(Reason::SchemaTooOld));
        assert_eq!(reason(None, &[("notes", "m20261101_000201_more")]), Some(Reason::SchemaTooNew));
        assert_eq!(reason(Some("notes"), &[("notes", "m20261101_000200_tags")]), None);
        assert_eq!(reason(Some("sms"), &[("notes", "m20261101_000200_tags")]), Some(Reason::PluginNotInstalled));
    }
}
