//! Devices.

use sea_orm::DbErr;
use tenantry_ids::PlaceId;
use tenantry_tenancy::TenantConnection;

pub(crate) async fn any_at(_db: &impl TenantConnection, _place: PlaceId) -> Result<bool, DbErr> {
    Ok(false)
}
