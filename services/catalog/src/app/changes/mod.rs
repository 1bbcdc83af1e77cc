//! What changes about tenants, told to those who watch.
//!
//! Whoever changes a tenant writes a row of the change log in the same transaction
//! ([`noted`](crate::store::changes::append)) and wakes the [`follow`] of this process. That reads the log, which
//! every replica writes, and hands what it says to each subscriber's [`watch`].

mod follow;
mod hub;
mod revoking;
mod settings;
mod watch;

use chrono::{DateTime, Utc};
use tenantry_ids::CompanyId;

pub(crate) use follow::{begin, follow};
pub(crate) use hub::Changes;
pub(crate) use revoking::{revoke, revoked_before};
pub use settings::WatchSettings;
pub(crate) use watch::{Event, Message, watch};

use crate::domain::{Limits, State};
use crate::store::entities::{company, company_database, company_plugin, tenant_change};

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    Tenant(TenantNow),
    Revoked(Revoked),
}

/// A tenant as it is now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TenantNow {
    pub(crate) company: CompanyId,
    pub(crate) state: State,
    pub(crate) access_epoch: i64,
    pub(crate) generation: i64,
    pub(crate) schema_version: String,
    pub(crate) maintenance_retry_s: i32,
    pub(crate) limits: Limits,
    /// Those that it can be served by.
    pub(crate) plugins: Vec<company_plugin::Model>,
}

/// Tokens of a subject that are not to be accepted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Revoked {
    pub(crate) company: CompanyId,
    pub(crate) subject: String,
    pub(crate) issued_before: DateTime<Utc>,
}

impl TenantNow {
    fn of(
        company: company::Model,
        database: Option<company_database::Model>,
        limits: Limits,
        plugins: Vec<company_plugin::Model>,
    ) -> Self {
        let (generation, schema_version) =
            database.map(|row| (row.generation, row.schema_version.unwrap_or_default())).unwrap_or_default();
        Self {
            company: company.id,
            state: company.state,
            access_epoch: company.access_epoch,
            generation,
            schema_version,
            maintenance_retry_s: company.maintenance_retry_s.unwrap_or_default(),
            limits,
            plugins,
        }
    }
}

impl Revoked {
    /// `None` for a row that tells of the tenant.
    fn of(row: &tenant_change::Model) -> Option<Self> {
        let (subject, issued_before) = (row.subject.clone()?, row.issued_before?);
        Some(Self { company: row.company_id, subject, issued_before })
    }
}
