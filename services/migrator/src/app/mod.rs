//! The use cases, one async function each.

pub(crate) mod databases;
pub(crate) mod drift;

use std::sync::Arc;
use std::time::Duration;

use tenantry_ids::{IdSource, RunId};
use tenantry_migration::{MigrationSet, Run};
use tenantry_rpc::{Clock, Context};

use crate::ident::Prefix;
use crate::servers::DatabaseServers;
use crate::store::OwnDb;

/// The longest wait for another migration of the same database.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(10);

/// What use cases work with.
pub(crate) struct App {
    pub(crate) db: OwnDb,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) servers: DatabaseServers,
    pub(crate) prefix: Prefix,
    pub(crate) tenant_set: MigrationSet,
    pub(crate) drift: drift::DriftChecks,
}

impl App {
    /// A run of migrations within a call: it waits for its turn no longer than
    /// half of what the call has left, so that there is time to answer.
    pub(crate) fn run(&self, context: &Context) -> Run {
        let wait = (context.remaining() / 2).min(MAX_LOCK_WAIT);
        Run::new(RunId::new(&*self.ids).0, self.clock.now()).lock_wait(wait)
    }
}
