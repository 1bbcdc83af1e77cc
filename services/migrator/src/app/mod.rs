//! The use cases, one async function each.

pub(crate) mod adoption;
pub(crate) mod commands;
pub(crate) mod credentials;
pub(crate) mod databases;
pub(crate) mod drift;
pub(crate) mod dropping;
pub(crate) mod figures;
pub(crate) mod fleet;
pub(crate) mod plugins;
pub(crate) mod reconciliation;
pub(crate) mod reporter;
pub(crate) mod rollouts;
pub(crate) mod spares;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_ids::{IdSource, RunId};
use tenantry_migration::{MigrationSet, Run};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::server::Mode;
use tenantry_rpc::{Clock, Context, Shutdown};
use tokio_util::task::TaskTracker;

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
    pub(crate) central_set: MigrationSet,
    pub(crate) plugins: plugins::Plugins,
    pub(crate) settings: Settings,
    pub(crate) rollouts: rollouts::Wake,
    pub(crate) reporter: reporter::Reporter,
    /// What goes on without its caller.
    pub(crate) tasks: TaskTracker,
    /// Begun when this process is to stop: streams end then.
    pub(crate) stopping: Shutdown,
    pub(crate) drift: drift::DriftChecks,
    pub(crate) spare_taken: spares::Taken,
    /// The catalog, with this service's identity. It need not be there yet.
    pub(crate) catalog: CatalogClient,
}

/// What use cases are told by the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    pub(crate) central_database_url: Option<SecretString>,
    /// The names of the control plane's own databases.
    pub(crate) control_databases: Vec<String>,
    pub(crate) lock_timeout: Duration,
    pub(crate) statement_timeout: Duration,
}

impl App {
    /// The tenants' set or a plugin's, by its name; `None` where this migrator does not have it.
    pub(crate) fn set_named(&self, name: &str) -> Option<&MigrationSet> {
        if name == self.tenant_set.name() { Some(&self.tenant_set) } else { self.plugins.of_set(name) }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A run of migrations within a call: it waits for its turn no longer than
    /// half of what the call has left, so that there is time to answer.
    pub(crate) fn run(&self, context: &Context) -> Run {
        let wait = (context.remaining() / 2).min(MAX_LOCK_WAIT);
        self.limited(Run::new(RunId::new(&*self.ids).0, self.now()).lock_wait(wait))
    }

    /// With the configured limits of statements.
    pub(crate) fn limited(&self, run: Run) -> Run {
        run.lock_timeout(self.settings.lock_timeout).statement_timeout(self.settings.statement_timeout)
    }
}
