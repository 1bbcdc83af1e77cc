//! People: what is theirs alone, and the lists of them.

use sea_orm::Condition;
use tenantry_rpc::Context;
use tenantry_rpc::paging::KeyedPage;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::standard::misfit;
use super::{Act, CrmError, Standard, search};
use crate::domain::{Profile, Thing};
use crate::store::accounts;
use crate::store::devices::{self, Devices};
use crate::store::people::{self, People, Person};
use crate::store::people_list::{self, PersonFilter, PersonKey, PersonOrder};
use crate::store::table::any;

impl Standard for People {
    type Filter = Condition;

    async fn check(
        act: &Act<'_>,
        _: &impl TenantConnection,
        profile: &Profile,
        _: Option<&Person>,
    ) -> Result<(), CrmError> {
        match profile.is_born(act.now.date_naive()) {
            true => Ok(()),
            false => Err(misfit("person.birth_date", "must not be in the future")),
        }
    }

    async fn add(act: &Act<'_>, tx: &impl TenantConnection, profile: Profile) -> Result<Person, CrmError> {
        let person = act.stored(profile);
        people::insert(tx, &person, act.by).await?;
        search::index(act, tx, &person).await?;
        act.created(tx, &person).await?;
        Ok(person)
    }

    async fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Person,
        profile: Profile,
    ) -> Result<Person, CrmError> {
        let person = act.update::<People>(tx, before, profile).await?;
        search::index(act, tx, &person).await?;
        Ok(person)
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Person) -> Result<(), CrmError> {
        if any::<Devices>(tx, devices::of(before.id)).await? {
            return Err(CrmError::InUse { thing: Thing::Person, by: "devices of the person's" });
        }
        if accounts::of(tx, before.id).await?.iter().any(|account| !account.is_even()) {
            return Err(CrmError::InUse { thing: Thing::Person, by: "debts or a credit of the person's" });
        }
        act.delete::<People>(tx, before).await
    }
}

/// A page of people, filtered and sorted, and the token of the next.
pub(crate) async fn list(
    db: &TenantDb<'_>,
    context: &Context,
    filter: &PersonFilter,
    order: (PersonOrder, bool),
    page: &KeyedPage<PersonKey>,
) -> Result<(Vec<Person>, String), CrmError> {
    if order.0 == PersonOrder::Name {
        search::refresh(db, context).await?;
    }
    let connection = db.read().await?;
    let mut rows = people_list::page(&connection, filter, order, page.after.clone(), page.size + 1).await?;
    let next = page.cut(&mut rows, |(person, key)| (key.clone(), person.uuid()));
    Ok((rows.into_iter().map(|(person, _)| person).collect(), next))
}
