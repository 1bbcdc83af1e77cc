//! Debts. Whoever changes what a person owes locks the person first, so that their account always is what its debts and
//! payments add up to.

use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::payments::{change_account, lock_person};
use super::standard::exists;
use super::{Act, CrmError, Standard};
use crate::domain::{Debt, Effect, Stored, Thing};
use crate::store::debts::{DebtFilter, Debts};
use crate::store::devices::Devices;
use crate::store::{sales, table, transactions};

impl Standard for Debts {
    type Filter = DebtFilter;

    async fn prepare(tx: &impl TenantConnection, debt: &Debt) -> Result<(), CrmError> {
        lock_person(tx, debt.person_id).await
    }

    async fn lock(tx: &impl TenantConnection, id: Uuid) -> Result<Option<Stored<Debt>>, CrmError> {
        // Whose it is never changes, so it can be read before the lock.
        let Some(found) = table::find::<Debts>(tx, id).await? else { return Ok(None) };
        lock_person(tx, found.content.person_id).await?;
        Ok(table::lock::<Debts>(tx, id).await?)
    }

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        debt: &Debt,
        _: Option<&Stored<Debt>>,
    ) -> Result<(), CrmError> {
        exists::<Devices>(tx, debt.device_id).await
    }

    async fn add(act: &Act<'_>, tx: &impl TenantConnection, debt: Debt) -> Result<Stored<Debt>, CrmError> {
        let effect = Effect { owed: debt.principal.amount, ..Effect::default() };
        change_account(act, tx, debt.person_id, &debt.principal.currency, Some(effect)).await?;
        act.insert::<Debts>(tx, debt).await
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Debt>) -> Result<(), CrmError> {
        let debt = &before.content;
        if debt.remaining != debt.principal.amount || transactions::any_of_debt(tx, before.id).await? {
            return Err(CrmError::InUse { thing: Thing::Debt, by: "payments of it" });
        }
        if act.has_appliances && sales::has_debt(tx, before.id).await? {
            return Err(CrmError::InUse { thing: Thing::Debt, by: "sales of which it is an instalment" });
        }
        let effect = debt.remaining.checked_neg().map(|owed| Effect { owed, ..Effect::default() });
        change_account(act, tx, debt.person_id, &debt.principal.currency, effect).await?;
        act.delete::<Debts>(tx, before).await
    }
}
