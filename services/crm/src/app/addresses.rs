//! Whoever changes an address locks its person first, so that of two changes at once the second sees the first, and
//! there is one primary address all the time.

use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::payments::lock_person;
use super::standard::{exists, misfit};
use super::{Act, CrmError, Standard, search};
use crate::domain::{Address, Stored};
use crate::store::addresses::{self, AddressFilter, Addresses};
use crate::store::places::Places;
use crate::store::table;

impl Standard for Addresses {
    type Filter = AddressFilter;

    async fn prepare(tx: &impl TenantConnection, address: &Address) -> Result<(), CrmError> {
        lock_person(tx, address.person_id).await
    }

    async fn lock(tx: &impl TenantConnection, id: Uuid) -> Result<Option<Stored<Address>>, CrmError> {
        // Whose it is never changes, so it can be read before the lock.
        let Some(found) = table::find::<Addresses>(tx, id).await? else { return Ok(None) };
        lock_person(tx, found.content.person_id).await?;
        Ok(table::lock::<Addresses>(tx, id).await?)
    }

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        address: &Address,
        before: Option<&Stored<Address>>,
    ) -> Result<(), CrmError> {
        if address.is_empty() {
            return Err(misfit("address", "must have an email, a phone, a street or a place_id"));
        }
        if before.is_some_and(|before| before.content.primary && !address.primary) {
            return Err(CrmError::PrimaryAddressRequired);
        }
        exists::<Places>(tx, address.place_id).await
    }

    /// A person's first is primary, asked for or not.
    async fn add(act: &Act<'_>, tx: &impl TenantConnection, address: Address) -> Result<Stored<Address>, CrmError> {
        let person = address.person_id;
        let others = addresses::lock_all(tx, person).await?;
        if address.primary {
            demote(act, tx, &others).await?;
        }
        let primary = address.primary || others.is_empty();
        let added = act.insert::<Addresses>(tx, Address { primary, ..address }).await?;
        search::index_by_id(act, tx, person).await?;
        Ok(added)
    }

    async fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Stored<Address>,
        address: Address,
    ) -> Result<Stored<Address>, CrmError> {
        if address.primary && !before.content.primary {
            demote(act, tx, &addresses::lock_all(tx, address.person_id).await?).await?;
        }
        let changed = act.update::<Addresses>(tx, before, address).await?;
        search::index_by_id(act, tx, changed.content.person_id).await?;
        Ok(changed)
    }

    /// After the primary one, the oldest is primary.
    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Address>) -> Result<(), CrmError> {
        act.delete::<Addresses>(tx, before).await?;
        let left = addresses::lock_all(tx, before.content.person_id).await?;
        if let (true, [heir, ..]) = (before.content.primary, &*left) {
            let promoted = Address { primary: true, ..heir.content.clone() };
            act.update::<Addresses>(tx, heir, promoted).await?;
        }
        search::index_by_id(act, tx, before.content.person_id).await
    }
}

async fn demote(act: &Act<'_>, tx: &impl TenantConnection, addresses: &[Stored<Address>]) -> Result<(), CrmError> {
    for former in addresses.iter().filter(|address| address.content.primary) {
        let demoted = Address { primary: false, ..former.content.clone() };
        act.update::<Addresses>(tx, former, demoted).await?;
    }
    Ok(())
}
