//! Database servers, with their administrative credentials: the only place that
//! has any. Each engine makes a tenant's database in its own way, and every way
//! can be repeated from any point.

mod address;
pub(crate) mod adoption;
mod collation;
mod connecting;
mod error;
mod inventory;
mod mysql;
mod postgres;
mod scratch;
mod sqlite;

use std::collections::HashMap;

use sea_orm::{DatabaseConnection, DbBackend};
use secrecy::ExposeSecret;
use tenantry_migration::{Applied, MigrationSet, Run};
use tenantry_rpc::{Error, Reason};

pub use address::ServerAddress;
pub(crate) use adoption::Adoption;
pub(crate) use connecting::{CONNECT_TIMEOUT, connect_one};
pub(crate) use error::ServerError;
pub(crate) use inventory::Inventory;
#[cfg(test)]
pub(crate) use inventory::{FoundDatabase, FoundRole};
pub(crate) use mysql::MySqlServer;
pub(crate) use postgres::PostgresServer;
pub(crate) use sqlite::{SqliteServer, sqlite_options};

use crate::ident::{Ident, Prefix};

/// A database to make.
pub(crate) struct NewTenant {
    pub(crate) name: Ident,
    /// Its login role, where the engine has any.
    pub(crate) role: Ident,
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

    /// Makes a database with its role, at the newest version of `set`, that nobody may log in to yet.
    pub(crate) async fn make_spare(&self, name: &Ident, set: &MigrationSet, run: &Run) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => Box::pin(server.make_spare(name, set, run)).await,
            Self::MySql(_) | Self::Sqlite(_) => Err(no_spares()),
        }
    }

    /// Gives a spare to a tenant.
    ///
    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn hand_over(
        &self,
        tenant: &NewTenant,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.hand_over(tenant, still_wanted).await,
            Self::MySql(_) | Self::Sqlite(_) => Err(no_spares()),
        }
    }

    /// Whether a database could be adopted. Only reads.
    pub(crate) async fn check_adoption(&self, name: &Ident, adoption: Adoption<'_>) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.check_adoption(name, adoption).await,
            Self::MySql(server) => server.check_adoption(name, adoption).await,
            Self::Sqlite(server) => server.check_adoption(name, adoption).await,
        }
    }

    /// Makes a database that is there already a tenant's: notes what it has seen, migrates it, and lets the tenant in.
    ///
    /// `still_wanted` is asked under the lock that dropping takes too.
    pub(crate) async fn adopt(
        &self,
        tenant: &NewTenant,
        adoption: Adoption<'_>,
        still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => Box::pin(server.adopt(tenant, adoption, still_wanted)).await,
            Self::MySql(server) => Box::pin(server.adopt(tenant, adoption, still_wanted)).await,
            Self::Sqlite(server) => Box::pin(server.adopt(tenant, adoption, still_wanted)).await,
        }
    }

    /// Lets the tenant in by this role too, which is made where it is absent.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn set_credential(
        &self,
        tenant: &NewTenant,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.set_credential(tenant, confirmed).await,
            Self::MySql(server) => server.set_credential(tenant, confirmed).await,
            Self::Sqlite(_) => Err(ServerError::NoLogins),
        }
    }

    /// Takes the role its login and its rights.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn lock_credential(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.lock_credential(name, role, confirmed).await,
            Self::MySql(server) => server.lock_credential(name, role, confirmed).await,
            Self::Sqlite(_) => Err(ServerError::NoLogins),
        }
    }

    /// Drops the database with its login roles, or what is left of them.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn drop_database(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.drop_database(name, roles, confirmed).await,
            Self::MySql(server) => server.drop_database(name, roles, confirmed).await,
            Self::Sqlite(server) => server.drop_database(name, confirmed).await,
        }
    }

    /// Drops a tenant's login roles, and leaves the database: it never became the tenant's.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn drop_logins(
        &self,
        name: &Ident,
        roles: &[&Ident],
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.drop_logins(name, roles, confirmed).await,
            Self::MySql(server) => server.drop_logins(name, roles, confirmed).await,
            Self::Sqlite(_) => confirmed.await,
        }
    }

    /// Opens a tenant's database for migrations and seeds.
    pub(crate) async fn open(&self, name: &Ident) -> Result<AdminDb, ServerError> {
        let opened = match self {
            Self::Postgres(server) => server.open(name).await,
            Self::MySql(server) => server.open(name).await,
            Self::Sqlite(server) => server.open(name).await,
        };
        opened.map(AdminDb)
    }

    /// Brings a database from the first of these versions to the second without a look before it, if it is at the first
    /// and the engine can. `None` leaves it as it is, for [`Self::open`] to do it or to find out what is in the way.
    pub(crate) async fn migrate_at_once(
        &self,
        name: &Ident,
        set: &MigrationSet,
        versions: (&str, &str),
        run: &Run,
    ) -> Result<Option<Applied>, ServerError> {
        match self {
            Self::Postgres(server) => server.migrate_at_once(name, set, versions, run).await,
            Self::MySql(_) | Self::Sqlite(_) => Ok(None),
        }
    }

    /// Builds a database from nothing by `set`, which proves its statements here. What is built is the template of new
    /// databases where there are templates, and otherwise gone again.
    pub(crate) async fn rehearse(&self, set: &MigrationSet, run: &Run, scratch: &Ident) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => Box::pin(server.rehearse(set, run)).await,
            Self::MySql(server) => Box::pin(server.rehearse(set, run, scratch)).await,
            Self::Sqlite(_) => Box::pin(sqlite::rehearse(set, run)).await,
        }
    }

    /// What the server needs after a database's schema has changed, for the roles that may log in there.
    pub(crate) async fn settle(&self, name: &Ident, roles: &[&Ident]) -> Result<(), ServerError> {
        match self {
            // Default privileges give the tenants' group its rows in each new table.
            Self::Postgres(_) | Self::Sqlite(_) => Ok(()),
            Self::MySql(server) => server.grant_new_tables(name, roles).await,
        }
    }

    /// One sum over all that makes a new database what it is there.
    pub(crate) fn digest(&self, set: &MigrationSet) -> Result<String, ServerError> {
        match self {
            Self::Postgres(server) => server.digest(set),
            Self::MySql(_) | Self::Sqlite(_) => Ok(set.checksum(self.backend())?),
        }
    }

    /// As migrations are recorded for it.
    pub(crate) fn backend(&self) -> DbBackend {
        match self {
            Self::Postgres(_) => DbBackend::Postgres,
            Self::MySql(_) => DbBackend::MySql,
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    /// The engine, as people name it.
    pub(crate) fn engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::MySql(_) => "mysql",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Whether databases can be made ahead there.
    pub(crate) fn has_spares(&self) -> bool {
        match self {
            Self::Postgres(_) => true,
            Self::MySql(_) | Self::Sqlite(_) => false,
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

/// The engine of this name, as migrations are recorded for it.
pub(crate) fn backend_of(engine: &str) -> Option<DbBackend> {
    match engine {
        "postgres" => Some(DbBackend::Postgres),
        "mysql" => Some(DbBackend::MySql),
        "sqlite" => Some(DbBackend::Sqlite),
        _ => None,
    }
}

/// Only a clone is so much cheaper to have than to make.
fn no_spares() -> ServerError {
    ServerError::Config("spares are PostgreSQL's".to_owned())
}

/// The servers by name.
pub(crate) struct DatabaseServers(HashMap<String, DatabaseServer>);

impl DatabaseServers {
    pub(crate) fn new(addresses: &[ServerAddress], prefix: &Prefix) -> Result<Self, ServerError> {
        let server = |address: &ServerAddress| Ok((address.name.clone(), DatabaseServer::new(address, prefix)?));
        addresses.iter().map(server).collect::<Result<_, _>>().map(Self)
    }

    /// The names of those that can have spares.
    pub(crate) fn with_spares(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, server)| server.has_spares()).map(|(name, _)| name.as_str())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn named(&self, name: &str) -> Result<&DatabaseServer, Error> {
        self.0.get(name).ok_or_else(|| {
            let message = format!("the migrator has no database server {name:?}; configure it with --database-server");
            Error::new(Reason::DatabaseServerNotFound, message)
        })
    }
}

/// One database as its administrator: the only road to it beside the tenant's own. A pool of one connection.
pub(crate) struct AdminDb(DatabaseConnection);

impl AdminDb {
    pub(crate) fn new(raw: DatabaseConnection) -> Self {
        Self(raw)
    }

    pub(crate) fn raw(&self) -> &DatabaseConnection {
        &self.0
    }

    pub(crate) async fn close(self) -> Result<(), ServerError> {
        Ok(self.0.close().await?)
    }
}
