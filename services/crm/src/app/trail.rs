//! The audit trail, for those who look at it.

use tenantry_rpc::paging::Page;
use tenantry_tenancy::TenantDb;

use super::CrmError;
use crate::store::audit::{self, AuditFilter, Entry};

/// A page of entries and one more, newest first.
pub(crate) async fn list(db: &TenantDb<'_>, filter: AuditFilter, page: &Page) -> Result<Vec<Entry>, CrmError> {
    Ok(audit::page(&db.read().await?, filter, page.after, page.size + 1).await?)
}
