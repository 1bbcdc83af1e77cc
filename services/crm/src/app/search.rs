//! People found by words, and kept findable: whoever changes a person or an address writes the tokens in the same
//! transaction. Those whom an older crm wrote, or one on an older schema, are derived anew before the next search.

use tenantry_ids::PersonId;
use tenantry_rpc::Context;
use tenantry_rpc::paging::KeyedPage;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::act::ATTEMPTS;
use super::{Act, CrmError};
use crate::domain::Address;
use crate::domain::search::{VERSION, name_key, tokens};
use crate::store::addresses;
use crate::store::people::{self, People, Person};
use crate::store::person_tokens::{self, Hit, SINCE};
use crate::store::table;

/// How many people are derived anew in one transaction.
const BATCH: u64 = 200;
/// Deriving ends, for another call to go on, when the caller waits no longer than this.
const RESERVE: std::time::Duration = std::time::Duration::from_secs(2);

/// Writes a person's tokens; the person is locked. On a schema without them, notes that they are missing.
pub(super) async fn index(act: &Act<'_>, tx: &impl TenantConnection, person: &Person) -> Result<(), CrmError> {
    let addresses: Vec<_> =
        addresses::lock_all(tx, person.id).await?.into_iter().map(|address| address.content).collect();
    write(act.has_tokens, tx, person, &addresses).await
}

/// The same for whoever has this id.
pub(super) async fn index_by_id(act: &Act<'_>, tx: &impl TenantConnection, id: PersonId) -> Result<(), CrmError> {
    match table::lock::<People>(tx, id).await? {
        Some(person) => index(act, tx, &person).await,
        None => Ok(()),
    }
}

async fn write(
    has_tokens: bool,
    tx: &impl TenantConnection,
    person: &Person,
    addresses: &[Address],
) -> Result<(), CrmError> {
    let version = if has_tokens { VERSION } else { 0 };
    if has_tokens {
        person_tokens::replace(tx, person.id, tokens(&person.content, addresses)).await?;
    }
    Ok(people::indexed(tx, person.id, name_key(&person.content), version).await?)
}

/// Whether the tenant's schema has what searching and sorting by name take.
pub(super) fn has_tokens(db: &TenantDb<'_>) -> bool {
    db.schema_version() >= SINCE
}

/// Derives anew whoever has no tokens of these rules.
pub(super) async fn refresh(db: &TenantDb<'_>, context: &Context) -> Result<(), CrmError> {
    if !has_tokens(db) {
        return Err(CrmError::SchemaTooOld);
    }
    loop {
        let stale = people::stale(&db.read().await?, VERSION, BATCH).await?;
        if stale.is_empty() {
            return Ok(());
        }
        if context.remaining() < RESERVE {
            return Err(CrmError::IndexUnderWay);
        }
        let stale = &stale;
        db.transaction_with(ATTEMPTS, |tx| async move {
            for id in stale {
                let Some(person) = table::lock::<People>(&tx, *id).await? else { continue };
                let addresses = addresses::lock_all(&tx, *id).await?;
                let addresses: Vec<_> = addresses.into_iter().map(|address| address.content).collect();
                write(true, &tx, &person, &addresses).await?;
            }
            Ok::<_, CrmError>(())
        })
        .await?;
    }
}

/// The people who have all of the terms, the best first, and the token of the next page.
pub(crate) async fn search(
    db: &TenantDb<'_>,
    context: &Context,
    terms: &[String],
    page: &KeyedPage<(i64, String)>,
) -> Result<(Vec<Person>, String), CrmError> {
    refresh(db, context).await?;
    let after = page.after.clone().map(|((score, name_key), id)| Hit { id, score, name_key });
    let connection = db.read().await?;
    let mut hits = person_tokens::search(&connection, terms, after.as_ref(), page.size + 1).await?;
    let next = page.cut(&mut hits, |hit| ((hit.score, hit.name_key.clone()), hit.id));
    let mut found = people::all(&connection, hits.iter().map(|hit| hit.id)).await?;
    let place = |person: &Person| hits.iter().position(|hit| hit.id == person.uuid());
    found.sort_by_key(place);
    Ok((found, next))
}
