//! The use cases, one async function each. A use case owns its transaction.

mod error;
pub(crate) mod people;

use std::sync::Arc;

pub(crate) use error::CrmError;
use tenantry_ids::IdSource;
use tenantry_rpc::Clock;

/// What use cases work with, besides the tenant's database.
pub(crate) struct App {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdSource>,
}
