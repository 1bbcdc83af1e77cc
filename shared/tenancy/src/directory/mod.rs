//! Who knows where a tenant's database is.
//!
//! Two implementations answer for real: over gRPC from the catalog, and
//! [`FileDirectory`] for a small installation or a test. [`CachedDirectory`]
//! goes in front of either.

mod cached;
mod file;
#[cfg(test)]
mod followed_tests;
mod freshness;
#[cfg(test)]
pub(crate) mod tests;

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use tenantry_ids::CompanyId;

pub(crate) use cached::Change;
pub use cached::{CachedDirectory, PlacementCacheConfig};
pub use file::{FileDirectory, FileDirectoryError};

use crate::Placement;

/// Tells where a tenant's database is.
#[async_trait]
pub trait Directory: Send + Sync {
    /// Where `tenant`'s database is, whatever the company's state.
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError>;
}

/// Why a directory has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// The directory answered: there is no such tenant.
    #[error("no such tenant")]
    NotFound,
    /// The directory answered: the tenant has no database to reach in this state.
    #[error("the tenant is not served")]
    NotServed(crate::TenantState),
    /// The directory could not be asked. Shared, because all who waited for
    /// one question get the same answer.
    #[error("the tenant directory is unavailable")]
    Unavailable(#[source] Arc<dyn Error + Send + Sync>),
}

#[async_trait]
impl Directory for Arc<dyn Directory> {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        (**self).resolve(tenant).await
    }
}

impl ResolveError {
    /// The directory could not be asked because of `cause`.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(Arc::from(cause.into()))
    }
}
