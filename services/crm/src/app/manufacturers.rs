use sea_orm::Condition;
use tenantry_tenancy::TenantConnection;

use super::{Act, CrmError, Standard};
use crate::domain::{Manufacturer, Stored, Thing};
use crate::store::devices::{self, Devices};
use crate::store::manufacturers::{self, Manufacturers};
use crate::store::table::any;

impl Standard for Manufacturers {
    type Filter = Condition;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        manufacturer: &Manufacturer,
        before: Option<&Stored<Manufacturer>>,
    ) -> Result<(), CrmError> {
        match manufacturers::is_taken(tx, &manufacturer.name, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::Manufacturer)),
            false => Ok(()),
        }
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Manufacturer>) -> Result<(), CrmError> {
        if any::<Devices>(tx, devices::made_by(before.id)).await? {
            return Err(CrmError::InUse { thing: Thing::Manufacturer, by: "devices of it" });
        }
        act.delete::<Manufacturers>(tx, before).await
    }
}
