//! People, page by page. Between pages nothing is held.

use std::collections::BTreeMap;

use tenantry_ids::PersonId;
use tenantry_rpc::Error;
use tenantry_tenancy::{Isolation, TenantStream};
use uuid::Uuid;

use crate::app::CrmError;
use crate::domain::{Address, Stored};
use crate::store::addresses;
use crate::store::people::{People, Person};
use crate::store::table;

/// How many people are read at once.
const PAGE: u64 = 500;

/// Someone with their addresses, the primary one first.
pub(crate) type WithAddresses = (Person, Vec<Stored<Address>>);

/// An export of people at work.
pub(crate) struct PeopleExport {
    tenant: TenantStream,
    after: Option<Uuid>,
}

impl PeopleExport {
    pub(crate) fn new(tenant: TenantStream) -> Self {
        Self { tenant, after: None }
    }

    /// Those who come next; nobody after the last.
    pub(crate) async fn next(&mut self) -> Result<Vec<WithAddresses>, Error> {
        self.tenant.renew().await?;
        let page = self.read().await?;
        if let Some((last, _)) = page.last() {
            self.after = Some(last.uuid());
        }
        Ok(page)
    }

    async fn read(&self) -> Result<Vec<WithAddresses>, CrmError> {
        let db = self.tenant.db();
        // One look: nobody is without an address that they had, and have, because it was removed and added in between.
        let tx = db.begin_with(Isolation::RepeatableRead).await?;
        let people = table::page::<People>(&tx, sea_orm::Condition::all(), self.after, PAGE).await?;
        let ids: Vec<_> = people.iter().map(|person| person.id).collect();
        let mut addresses: BTreeMap<PersonId, Vec<Stored<Address>>> = BTreeMap::new();
        for address in addresses::of_all(&tx, &ids).await? {
            addresses.entry(address.content.person_id).or_default().push(address);
        }
        tx.rollback().await?;
        let with = |person: Person| {
            let mut own = addresses.remove(&person.id).unwrap_or_default();
            own.sort_by_key(|address| !address.content.primary);
            (person, own)
        };
        Ok(people.into_iter().map(with).collect())
    }
}
