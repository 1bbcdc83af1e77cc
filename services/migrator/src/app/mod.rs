//! The use cases, one async function each.

pub(crate) mod databases;
pub(crate) mod drift;
pub(crate) mod dropping;

use std::sync::Arc;
use std::time::Duration;

use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_ids::{IdSource, RunId};
use tenantry_migration::{MigrationSet, Run};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::{Clock, Context};

use crate::ident::Prefix;
use crate::servers::DatabaseServers;
use crate::store::OwnDb;

/// The longest wait for another migration of the same database.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(10);

/// The catalog, as the migrator asks it for the fleet.
pub(crate) type CatalogClient = TenantDirectoryServiceClient<ServiceChannel>;

/// What use cases work with.
pub(crate) struct App {
    pub(crate) db: OwnDb,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) servers: DatabaseServers,
    pub(crate) prefix: Prefix,
    pub(crate) tenant_set: MigrationSet,
    pub(crate) drift: drift::DriftChecks,
    /// The catalog, with this service's identity. It need not be there yet.
    pub(crate) catalog: CatalogClient,
}

impl App {
    /// A run of migrations within a call: it waits for its turn no longer than
    /// half of what the call has left, so that there is time to answer.
    pub(crate) fn run(&self, context: &Context) -> Run {
        let wait = (context.remaining() / 2).min(MAX_LOCK_WAIT);
        Run::new(RunId::new(&*self.ids).0, self.clock.now()).lock_wait(wait)
    }
}
