use tenantry_tenancy::TenantConnection;

use super::{Act, CrmError, Standard};
use crate::domain::{Appliance, Stored, Thing};
use crate::store::appliances::{self, ApplianceFilter, Appliances};
use crate::store::sales::{self, Sales};
use crate::store::table::any;

impl Standard for Appliances {
    type Filter = ApplianceFilter;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        appliance: &Appliance,
        before: Option<&Stored<Appliance>>,
    ) -> Result<(), CrmError> {
        match appliances::is_taken(tx, &appliance.name, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::Appliance)),
            false => Ok(()),
        }
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Appliance>) -> Result<(), CrmError> {
        if any::<Sales>(tx, sales::of_appliance(before.id)).await? {
            return Err(CrmError::InUse { thing: Thing::Appliance, by: "sales of it" });
        }
        act.delete::<Appliances>(tx, before).await
    }
}
