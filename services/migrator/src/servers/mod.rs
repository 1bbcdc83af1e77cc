//! Database servers, with their administrative credentials: the only place that
//! has any. Each engine makes a tenant's database in its own way, and every way
//! can be repeated from any point.

mod error;
mod mysql;
mod postgres;
mod scratch;
mod sqlite;

use std::collections::HashMap;
use std::str::FromStr;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};
use secrecy::{ExposeSecret, SecretString};
use tenantry_migration::{MigrationSet, Run};

pub(crate) use error::ServerError;
pub(crate) use mysql::MySqlServer;
pub(crate) use postgres::PostgresServer;
pub(crate) use sqlite::{SqliteServer, sqlite_options};

use crate::ident::{Ident, Prefix};

/// How long connecting to a server may take.
pub(crate) const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// A database to make.
pub(crate) struct NewTenant {
    /// Its name, and its login role's.
    pub(crate) name: Ident,
    /// What the server keeps of the role's password.
    pub(crate) verifier: Verifier,
}

/// How far to migrate.
#[derive(Clone, Copy)]
pub(crate) struct Goal<'a> {
    pub(crate) set: &'a MigrationSet,
    /// The newest one where it is absent.
    pub(crate) version: Option<&'a str>,
}

/// A password in the forms that servers keep, in characters that need no quoting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verifier {
    /// RFC 5803.
    pub(crate) scram_sha_256: String,
    /// `*` and 40 hex digits.
    pub(crate) mysql_native: String,
}

impl Verifier {
    /// Of no password: nothing is known that hashes to zeroes only.
    pub(crate) fn of_nothing() -> Self {
        let zeroes = format!("{}=", "A".repeat(43));
        Self {
            scram_sha_256: format!("SCRAM-SHA-256$4096:c2NyYXRjaA==${zeroes}:{zeroes}"),
            mysql_native: format!("*{}", "0".repeat(40)),
        }
    }
}

/// One database server as configured: `name=url`, with the credential in the url.
#[derive(Clone)]
pub struct ServerAddress {
    name: String,
    url: SecretString,
}

impl std::fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAddress").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) =
            text.split_once('=').ok_or("write it as name=postgres://admin:password@host:port/postgres")?;
        let known =
            ["postgres:", "postgresql:", "mysql:", "mariadb:", "sqlite:"].iter().any(|scheme| url.starts_with(scheme));
        if name.is_empty() || !known {
            return Err(format!("{name:?} needs a postgres:, mysql: or sqlite: url"));
        }
        Ok(Self { name: name.to_owned(), url: url.to_owned().into() })
    }
}

/// One server.
pub(crate) enum DatabaseServer {
    Postgres(PostgresServer),
    MySql(MySqlServer),
    Sqlite(SqliteServer),
}

impl DatabaseServer {
    fn new(address: &ServerAddress, prefix: &Prefix) -> Result<Self, ServerError> {
        let url = address.url.expose_secret();
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Self::Sqlite(SqliteServer::new(url))),
            Some("mysql" | "mariadb") => MySqlServer::new(url).map(Self::MySql),
            _ => PostgresServer::new(url, prefix.clone()).map(Self::Postgres),
        }
    }

    /// Makes the database with its login role, at the newest version, or brings
    /// one that was begun there. Returns that version.
    ///
    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn create(
        &self,
        new: &NewTenant,
        set: &MigrationSet,
        run: &Run,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => Box::pin(server.create(new, set, run, still_wanted)).await,
            Self::MySql(server) => Box::pin(server.create(new, set, run, still_wanted)).await,
            Self::Sqlite(server) => Box::pin(server.create(new, set, run, still_wanted)).await,
        }
    }

    /// Drops the database with its login role, or what is left of them.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.drop_database(name, confirmed).await,
            Self::MySql(server) => server.drop_database(name, confirmed).await,
            Self::Sqlite(server) => server.drop_database(name, confirmed).await,
        }
    }

    /// Opens a tenant's database for migrations and seeds: a pool of one.
    pub(crate) async fn open(&self, name: &Ident) -> Result<DatabaseConnection, ServerError> {
        match self {
            Self::Postgres(server) => server.open(name).await,
            Self::MySql(server) => server.open(name).await,
            Self::Sqlite(server) => server.open(name).await,
        }
    }

    /// Whether tenants have a login role of their own there.
    pub(crate) fn has_roles(&self) -> bool {
        match self {
            Self::Postgres(_) | Self::MySql(_) => true,
            Self::Sqlite(_) => false,
        }
    }
}

/// The servers by name.
pub(crate) struct DatabaseServers(HashMap<String, DatabaseServer>);

impl DatabaseServers {
    pub(crate) fn new(addresses: &[ServerAddress], prefix: &Prefix) -> Result<Self, ServerError> {
        let server = |address: &ServerAddress| Ok((address.name.clone(), DatabaseServer::new(address, prefix)?));
        addresses.iter().map(server).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&DatabaseServer> {
        self.0.get(name)
    }
}

/// A pool of one connection, as migrations need it.
#[allow(clippy::disallowed_methods)] // Administrative connections are opened here alone.
pub(crate) async fn connect_one(mut options: ConnectOptions) -> Result<DatabaseConnection, ServerError> {
    options
        .max_connections(1)
        .acquire_timeout(CONNECT_TIMEOUT)
        .set_application_name("tenantry-migrator")
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    Database::connect(options).await.map_err(ServerError::from)
}
