//! What the tower layer puts into a request, and a handler takes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenantry_ids::CompanyId;
use tokio::time::Instant;

use crate::pool::{Checkout, Pools};
use crate::{InstalledPlugin, Placement, TenancyError};

/// The right to reach one tenant's database during one request.
///
/// Made by the tower layer alone, from verified claims and the placement that
/// the directory answered. It travels in the request's extensions, which must
/// be `Clone`, and so is this; code outside the crate cannot name it, only turn
/// it into a [`TenantDb`](crate::TenantDb) that borrows the request.
#[derive(Clone)]
pub(crate) struct TenantAccess {
    tenant: CompanyId,
    placement: Arc<Placement>,
    pools: Arc<Pools>,
    deadline: Instant,
    ended: Arc<AtomicBool>,
}

/// Ends a [`TenantAccess`], and every copy of it, when dropped.
///
/// The layer keeps it for as long as the request lasts (its response's body
/// included), so that extensions which were cloned away are of no use later.
#[derive(Debug)]
pub(crate) struct AccessGuard(Arc<AtomicBool>);

impl Drop for AccessGuard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl TenantAccess {
    /// For the verified tenant of a request that must be answered by `deadline`.
    ///
    /// `None` when the placement is another tenant's: whatever went wrong in a
    /// directory or a cache, no request reaches a database that is not its own.
    pub(crate) fn new(
        tenant: CompanyId,
        placement: Arc<Placement>,
        pools: Arc<Pools>,
        deadline: Instant,
    ) -> Option<(Self, AccessGuard)> {
        if placement.tenant != tenant {
            return None;
        }
        let ended = Arc::new(AtomicBool::new(false));
        let guard = AccessGuard(Arc::clone(&ended));
        Some((Self { tenant, placement, pools, deadline, ended }, guard))
    }

    /// The same right, where the tenant's database is now; `None` as for [`new`](Self::new).
    pub(crate) fn at(&self, placement: Arc<Placement>) -> Option<Self> {
        (placement.tenant == self.tenant).then(|| Self { placement, ..self.clone() })
    }

    pub(super) fn tenant(&self) -> CompanyId {
        self.tenant
    }

    pub(super) fn schema_version(&self) -> &str {
        &self.placement.schema_version
    }

    pub(super) fn plugin_version(&self, plugin: &str) -> Option<&str> {
        self.placement.plugin_version(plugin)
    }

    pub(super) fn plugins(&self) -> &[InstalledPlugin] {
        &self.placement.plugins
    }

    pub(super) async fn checkout(&self) -> Result<Checkout, TenancyError> {
        if self.ended.load(Ordering::Acquire) {
            return Err(TenancyError::RequestEnded);
        }
        Ok(self.pools.checkout(&self.placement, self.deadline).await?)
    }
}
