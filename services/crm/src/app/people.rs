//! People: add, read, list, change, remove.

use tenantry_idempotency::{Fingerprint, Key};
use tenantry_ids::PersonId;
use tenantry_rpc::Context;
use tenantry_rpc::paging::Page;
use tenantry_tenancy::{TenantConnection, TenantDb};
use uuid::Uuid;

use super::{App, CrmError};
use crate::domain::{PersonField, Profile};
use crate::store::audit::{self, Change};
use crate::store::people::{self, Person};

/// The name of the list of people in page tokens.
pub(crate) const LIST: &str = "people";

/// A request that may be a repetition; `None` where the caller does not care.
pub(crate) type Replay = Option<(Key, Fingerprint)>;

/// Adds a person, once for each request id.
pub(crate) async fn create(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    profile: &Profile,
    replay: &Replay,
) -> Result<Person, CrmError> {
    let by = context.user()?.user();
    let actor = &context.caller().subject();
    db.transaction(|tx| async move {
        let now = app.clock.now();
        if let Some(id) = earlier(&tx, replay, now).await? {
            return people::find(&tx, id).await?.ok_or(CrmError::PersonNotFound);
        }
        let person = Person {
            id: PersonId::new(&*app.ids),
            profile: profile.clone(),
            revision: 1,
            created_at: now,
            updated_at: now,
        };
        people::insert(&tx, &person, by).await?;
        audit::append(&tx, change(app, actor, "person.created", None, Some(&person), now)).await?;
        if let Some((key, fingerprint)) = replay.clone() {
            let response = person.id.0.as_bytes().to_vec();
            tenantry_idempotency::record(&tx, key, fingerprint, response, now).await?;
        }
        Ok(person)
    })
    .await
}

async fn earlier(
    tx: &impl TenantConnection,
    replay: &Replay,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<Option<PersonId>, CrmError> {
    let Some((key, fingerprint)) = replay else { return Ok(None) };
    let found = tenantry_idempotency::find(tx, key, fingerprint, now).await?;
    Ok(found.and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(PersonId))
}

/// One person.
pub(crate) async fn get(db: &TenantDb<'_>, id: PersonId) -> Result<Person, CrmError> {
    let connection = db.read().await?;
    people::find(&connection, id).await?.ok_or(CrmError::PersonNotFound)
}

/// A page of people, oldest entry first, and the token of the next.
pub(crate) async fn list(db: &TenantDb<'_>, page: Page) -> Result<(Vec<Person>, String), CrmError> {
    let connection = db.read().await?;
    let mut rows = people::list(&connection, page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |person| person.id.0);
    Ok((rows, next))
}

/// Changes the named fields of a person that still has this revision, if one is given.
pub(crate) async fn update(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    id: PersonId,
    revision: Option<i64>,
    profile: &Profile,
    fields: &[PersonField],
) -> Result<Person, CrmError> {
    let actor = &context.caller().subject();
    db.transaction(|tx| async move {
        let now = app.clock.now();
        let before = expect(&tx, id, revision).await?;
        let profile = before.profile.clone().with(profile.clone(), fields);
        let after = Person { profile, revision: before.revision + 1, updated_at: now, ..before.clone() };
        if !people::update(&tx, &after).await? {
            return Err(CrmError::EtagMismatch);
        }
        audit::append(&tx, change(app, actor, "person.updated", Some(&before), Some(&after), now)).await?;
        Ok(after)
    })
    .await
}

/// Removes a person that still has this revision, if one is given.
pub(crate) async fn delete(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    id: PersonId,
    revision: Option<i64>,
) -> Result<(), CrmError> {
    let actor = &context.caller().subject();
    db.transaction(|tx| async move {
        let before = expect(&tx, id, revision).await?;
        if !people::delete(&tx, &before).await? {
            return Err(CrmError::EtagMismatch);
        }
        let change = change(app, actor, "person.deleted", Some(&before), None, app.clock.now());
        Ok(audit::append(&tx, change).await?)
    })
    .await
}

async fn expect(tx: &impl TenantConnection, id: PersonId, revision: Option<i64>) -> Result<Person, CrmError> {
    let person = people::find(tx, id).await?.ok_or(CrmError::PersonNotFound)?;
    if revision.is_some_and(|revision| revision != person.revision) {
        return Err(CrmError::EtagMismatch);
    }
    Ok(person)
}

fn change<'a>(
    app: &App,
    actor: &'a str,
    action: &'static str,
    before: Option<&Person>,
    after: Option<&Person>,
    at: chrono::DateTime<chrono::Utc>,
) -> Change<'a> {
    let entity_id = after.or(before).map(|person| person.id.0).unwrap_or_default();
    let (before, after) = (before.map(state), after.map(state));
    Change { id: app.ids.uuid(), actor, action, entity: "person", entity_id, before, after, at }
}

fn state(person: &Person) -> serde_json::Value {
    let Profile { kind, title, name, surname, birth_date, gender, education, nationality, labels } = &person.profile;
    serde_json::json!({
        "kind": sea_orm::ActiveEnum::to_value(kind), "title": title, "name": name, "surname": surname,
        "birth_date": birth_date.map(|date| date.to_string()), "gender": gender, "education": education,
        "nationality": nationality, "labels": labels, "revision": person.revision,
    })
}
