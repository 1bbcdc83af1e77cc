//! People: what is theirs alone, and the lists of them.

use sea_orm::Condition;
use tenantry_rpc::paging::KeyedPage;
use tenantry_rpc::{Context, Error};
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::standard::misfit;
use super::{Act, CrmError, Standard, search as searching};
use crate::domain::{Address, Profile, Thing, search};
use crate::store::addresses::Addresses;
use crate::store::devices::{self, Devices};
use crate::store::people::{self, People, Person};
use crate::store::people_list::{self, PersonFilter, PersonKey, PersonOrder};
use crate::store::table::{self, any};
use crate::store::{accounts, person_tokens};

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
        let newcomer = Newcomer { profile, addresses: Vec::new() };
        let mut added = add_all(act, tx, vec![newcomer]).await?;
        added.pop().ok_or_else(|| Error::internal("nobody was added").into())
    }

    async fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Person,
        profile: Profile,
    ) -> Result<Person, CrmError> {
        let person = act.update::<People>(tx, before, profile).await?;
        searching::index(act, tx, &person).await?;
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

/// Somebody to add, with their addresses: one of them is primary, if there are any. Whose they are is not set yet.
#[derive(Debug, Clone)]
pub(crate) struct Newcomer {
    pub(crate) profile: Profile,
    pub(crate) addresses: Vec<Address>,
}

/// Adds people with their addresses, findable and in the audit trail: a statement or a few for each table.
pub(super) async fn add_all(
    act: &Act<'_>,
    tx: &impl TenantConnection,
    newcomers: Vec<Newcomer>,
) -> Result<Vec<Person>, CrmError> {
    let (mut added, mut addresses, mut tokens) = (Vec::with_capacity(newcomers.len()), Vec::new(), Vec::new());
    for newcomer in newcomers {
        let person = act.stored(newcomer.profile);
        if act.has_tokens {
            let words = search::tokens(&person.content, &newcomer.addresses);
            tokens.extend(words.into_iter().map(|(token, weight)| (person.id, token, weight)));
        }
        let own = |address| act.stored(Address { person_id: person.id, ..address });
        addresses.extend(newcomer.addresses.into_iter().map(own));
        added.push(person);
    }
    let version = if act.has_tokens { search::VERSION } else { 0 };
    people::insert_all(tx, &added, act.by, search::name_key, version).await?;
    person_tokens::insert_all(tx, tokens).await?;
    table::insert_all::<Addresses>(tx, &addresses).await?;
    act.created_all(tx, &added).await?;
    act.created_all(tx, &addresses).await?;
    Ok(added)
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
        searching::refresh(db, context).await?;
    }
    let connection = db.read().await?;
    let mut rows = people_list::page(&connection, filter, order, page.after.clone(), page.size + 1).await?;
    let next = page.cut(&mut rows, |(person, key)| (key.clone(), person.uuid()));
    Ok((rows.into_iter().map(|(person, _)| person).collect(), next))
}
