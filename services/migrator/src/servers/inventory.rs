//! What a server has, as the server itself says, and the mending of what was cut short there.

use std::collections::{BTreeMap, BTreeSet};

use super::{DatabaseServer, ServerError};
use crate::ident::{Ident, Prefix};

/// Every database of a server, and the login roles whose names begin with the prefix.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventory {
    /// Where databases are files: there is no folder for them. It comes with the first one, or its disk is not mounted.
    pub(crate) is_nowhere: bool,
    pub(crate) databases: BTreeMap<String, FoundDatabase>,
    pub(crate) roles: BTreeMap<String, FoundRole>,
}

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FoundDatabase {
    /// A template that was finished.
    pub(crate) is_template: bool,
}

/// A login role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FoundRole {
    pub(crate) may_log_in: bool,
    /// What all tenants' roles may do, beside reaching a database.
    pub(crate) has_rights: bool,
    /// The databases that it may connect to, or read.
    pub(crate) reaches: BTreeSet<String>,
}

impl DatabaseServer {
    /// Lists what is there.
    pub(crate) async fn inventory(&self, prefix: &Prefix) -> Result<Inventory, ServerError> {
        match self {
            Self::Postgres(server) => server.inventory().await,
            Self::MySql(server) => server.inventory(prefix).await,
            Self::Sqlite(server) => server.inventory().await,
        }
    }

    /// Those of the names that nobody works on.
    pub(crate) async fn unheld(&self, names: &[Ident]) -> Result<BTreeSet<String>, ServerError> {
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        match self {
            Self::Postgres(server) => server.unheld(names).await,
            Self::MySql(server) => server.unheld(names).await,
            Self::Sqlite(server) => Ok(server.unheld(names)),
        }
    }

    /// Drops a scratch database, a rehearsal or a template that was begun, with its role; false when somebody works on
    /// it, or it is none any more.
    pub(crate) async fn drop_leftover(&self, name: &Ident) -> Result<bool, ServerError> {
        match self {
            Self::Postgres(server) => server.drop_leftover(name).await,
            Self::MySql(server) => server.drop_leftover(name).await,
            Self::Sqlite(server) => server.drop_leftover(name).await,
        }
    }

    /// Lets a role that is there log in to its database again, with the password that it has.
    ///
    /// `confirmed` is asked under the lock that creating takes too.
    pub(crate) async fn restore_login(
        &self,
        name: &Ident,
        role: &Ident,
        confirmed: impl Future<Output = Result<(), ServerError>> + Send,
    ) -> Result<(), ServerError> {
        match self {
            Self::Postgres(server) => server.restore_login(name, role, confirmed).await,
            Self::MySql(server) => server.restore_login(name, role, confirmed).await,
            Self::Sqlite(_) => Err(ServerError::NoLogins),
        }
    }
}
