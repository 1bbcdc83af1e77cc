//! Where a tenant's database is, as the directory answers.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tenantry_ids::CompanyId;

use crate::Limits;

/// Everything that a request needs to know to reach one tenant's database.
#[derive(Debug, Clone)]
pub struct Placement {
    /// The company whose database this is.
    pub tenant: CompanyId,
    /// Whether the company may be served at all. Judged before the epoch.
    pub state: TenantState,
    /// A token with another epoch than this is refused.
    pub access_epoch: u64,
    /// Bumped when the database moves, is restored or gets new credentials.
    /// Part of the pool's key, so that connections to the old place drain.
    pub generation: u64,
    /// The version of the tenant migration set that the database is at.
    pub schema_version: String,
    /// The database server's name: what a budget of connections is counted by.
    pub server: String,
    /// The database's name on that server.
    pub database: String,
    /// How to reach the server as the tenant's own role.
    pub endpoint: Endpoint,
    /// When callers are to come back, where the tenant is in maintenance and
    /// somebody has said so.
    pub maintenance_retry: Option<Duration>,
    /// What the tenant may ask of each process; what is not named is as the service is configured.
    pub limits: Limits,
    /// The plugins that the tenant has installed.
    pub plugins: Arc<[InstalledPlugin]>,
}

impl Placement {
    /// The version of this plugin's tables; `None` where the tenant has not installed it.
    pub fn plugin_version(&self, plugin: &str) -> Option<&str> {
        self.plugins
            .iter()
            .find(|installed| installed.name == plugin)
            .map(|installed| installed.schema_version.as_str())
    }
}

/// A plugin that a tenant has installed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstalledPlugin {
    /// Its name, as an RPC's access rule has it.
    pub name: String,
    /// The version of its migration set that its tables are at; empty where nobody has said it.
    pub schema_version: String,
}

/// The life of a company, as far as those who serve it care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Its database is still being made.
    Provisioning,
    /// Served.
    Active,
    /// Refused until somebody resumes it.
    Suspended,
    /// Refused for a while; tokens stay valid.
    Maintenance,
    /// Making its database failed, and can be retried.
    Failed,
    /// Deleted, and can still be undeleted.
    Deleted,
    /// Gone, with its database.
    Purged,
}

/// An engine that a tenant's database may live in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// PostgreSQL 14 or newer.
    Postgres,
    /// MySQL 8 or MariaDB 10.5 and newer.
    MySql,
    /// SQLite, for the standalone instance only.
    Sqlite,
}

impl Engine {
    /// The engine as OpenTelemetry's `db.system.name` spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::MySql => "mysql",
            Self::Sqlite => "sqlite",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to reach a database server as a tenant's own role.
///
/// `Debug` shows no password: [`SecretString`] redacts itself and is erased
/// from memory when dropped.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// PostgreSQL over TCP.
    Postgres {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// The tenant's login role.
        user: String,
        /// Its password.
        password: SecretString,
    },
    /// MySQL or MariaDB over TCP.
    MySql {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
        /// The tenant's user.
        user: String,
        /// Its password.
        password: SecretString,
    },
    /// A SQLite file, which must exist: nothing here creates a database.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
}

impl Endpoint {
    /// The engine behind the endpoint.
    pub fn engine(&self) -> Engine {
        match self {
            Self::Postgres { .. } => Engine::Postgres,
            Self::MySql { .. } => Engine::MySql,
            Self::Sqlite { .. } => Engine::Sqlite,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_password() {
        for endpoint in [
            Endpoint::Postgres { host: "h".into(), port: 1, user: "u".into(), password: "hunter2".into() },
            Endpoint::MySql { host: "h".into(), port: 1, user: "u".into(), password: "hunter2".into() },
        ] {
            let text = format!("{endpoint:?}");
            assert!(text.contains("\"u\"") && !text.contains("hunter2"), "{text}");
        }
    }
}
