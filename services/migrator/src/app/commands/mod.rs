//! Commands on one database: a company's, or the central one.

mod change;
mod look;

use secrecy::ExposeSecret;
use tenantry_ids::CompanyId;
use tenantry_migration::MigrationSet;
use tenantry_rpc::{Error, Reason};

pub(crate) use change::{Command, Order, Report, carry_out};
pub(crate) use look::{Look, PlanWish, Planned, look, plan};

use super::{App, credentials, databases};
use crate::central::open_central;
use crate::ident::{Ident, Logins};
use crate::servers::{AdminDb, DatabaseServer, ServerError};
use crate::store::claims::Claim;

/// The central database's place among servers, in the record of runs.
const CENTRAL: &str = "central";

/// Which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Company(CompanyId),
    /// A plugin's tables in a company's database.
    Plugin(CompanyId, String),
    Central,
}

/// How far back. As the migration crate has it, with text of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Back {
    LastRun,
    Steps(usize),
    To(String),
}

impl Back {
    pub(crate) fn as_rollback(&self) -> tenantry_migration::Rollback<'_> {
        match self {
            Back::LastRun => tenantry_migration::Rollback::LastRun,
            Back::Steps(steps) => tenantry_migration::Rollback::Steps(*steps),
            Back::To(version) => tenantry_migration::Rollback::To(version),
        }
    }
}

/// One database with the set that is applied to it.
pub(crate) struct Subject<'a> {
    pub(crate) set: &'a MigrationSet,
    place: Place<'a>,
}

enum Place<'a> {
    Tenant { claim: Box<Claim>, name: Ident, logins: Option<Logins>, server: &'a DatabaseServer },
    Central { url: &'a str },
}

impl<'a> Subject<'a> {
    pub(crate) async fn find(app: &'a App, target: &Target) -> Result<Self, Error> {
        match target {
            Target::Company(company) => Self::of(app, *company, &app.tenant_set).await,
            Target::Plugin(company, plugin) => Self::of(app, *company, app.plugins.named(plugin)?).await,
            Target::Central => {
                let url = app.settings.central_database_url.as_ref().ok_or_else(central_not_configured)?;
                Ok(Self { set: &app.central_set, place: Place::Central { url: url.expose_secret() } })
            }
        }
    }

    async fn of(app: &'a App, company: CompanyId, set: &'a MigrationSet) -> Result<Self, Error> {
        let claim = databases::find(app, company).await?;
        let server = databases::server(app, &claim)?;
        let name = Ident::new(&claim.name)?;
        let logins = credentials::logins_if_any(app, &claim)?;
        Ok(Self { set, place: Place::Tenant { claim: Box::new(claim), name, logins, server } })
    }

    pub(crate) async fn open(&self) -> Result<AdminDb, ServerError> {
        match &self.place {
            Place::Tenant { name, server, .. } => server.open(name).await,
            Place::Central { url } => open_central(url, false).await,
        }
    }

    /// The database's name.
    pub(crate) fn name(&self) -> &str {
        match &self.place {
            Place::Tenant { claim, .. } => &claim.name,
            Place::Central { .. } => CENTRAL,
        }
    }

    pub(crate) fn server_name(&self) -> &str {
        match &self.place {
            Place::Tenant { claim, .. } => &claim.server,
            Place::Central { .. } => CENTRAL,
        }
    }

    /// The claim on it; the central database has none.
    pub(crate) fn claim(&self) -> Option<&Claim> {
        match &self.place {
            Place::Tenant { claim, .. } => Some(claim),
            Place::Central { .. } => None,
        }
    }

    /// What a server needs after the schema has changed.
    async fn settle(&self) -> Result<(), ServerError> {
        match &self.place {
            Place::Tenant { name, logins, server, .. } => {
                let roles = logins.iter().flat_map(Logins::both).collect::<Vec<_>>();
                server.settle(name, &roles).await
            }
            Place::Central { .. } => Ok(()),
        }
    }
}

fn central_not_configured() -> Error {
    let message = "this migrator does not know the central database; run \"migrator migrate-central\", or give it \
                   --central-database-url";
    Error::new(Reason::CentralNotConfigured, message)
}
