use sea_orm::Condition;
use tenantry_tenancy::TenantConnection;

use super::standard::misfit;
use super::{Act, CrmError, Standard};
use crate::domain::{Stored, Tariff, Thing};
use crate::store::device_details;
use crate::store::tariffs::{self, Tariffs};

impl Standard for Tariffs {
    type Filter = Condition;

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        tariff: &Tariff,
        before: Option<&Stored<Tariff>>,
    ) -> Result<(), CrmError> {
        if !tariff.is_of_one_currency() {
            return Err(misfit("tariff.access_fee.currency_code", "must be that of the price"));
        }
        match tariffs::is_taken(tx, &tariff.name, before.map(|before| before.id)).await? {
            true => Err(CrmError::NameTaken(Thing::Tariff)),
            false => Ok(()),
        }
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Tariff>) -> Result<(), CrmError> {
        if device_details::any_with(tx, before.id).await? {
            return Err(CrmError::InUse { thing: Thing::Tariff, by: "meters with it" });
        }
        act.delete::<Tariffs>(tx, before).await
    }
}
