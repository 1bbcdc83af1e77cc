//! Other issuers of tokens: registered, changed and removed by operators. What leads from an issuer's claims to a company
//! and a user is in [`mapping`]; what its tokens are exchanged for in [`exchange`].

mod exchange;
mod fetch;
mod keys;
pub(crate) mod mapping;
mod settings;

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_ids::{EventId, IssuerId};
use tenantry_rpc::auth::{ExternalRules, KeyAlgorithm};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Reason};

pub(crate) use exchange::exchange;
pub(crate) use keys::IssuerKeys;
pub use settings::IssuerSettings;

use super::App;
use super::attempt::{Attempt, repeat};
use super::replay::Replayable;
use crate::store::entities::issuer::Model;
use crate::store::{CentralTx, StoreError, events, issuers};

/// The name of the list of issuers in page tokens.
pub(crate) const LIST: &str = "issuers";

/// An issuer as it is to be.
pub(crate) struct NewIssuer {
    pub(crate) url: String,
    pub(crate) traits: Traits,
    pub(crate) replay: Replayable,
}

/// What an operator says of an issuer.
pub(crate) struct Traits {
    pub(crate) audiences: Vec<String>,
    pub(crate) algorithms: Vec<KeyAlgorithm>,
    pub(crate) company_claim: String,
    pub(crate) user_claim: String,
    pub(crate) link_by_verified_email: bool,
    pub(crate) key_hosts: Vec<String>,
    pub(crate) max_token_age_s: i32,
    pub(crate) disabled: bool,
}

/// Which of them change; `None` stays as it is.
#[derive(Default)]
pub(crate) struct Changes {
    pub(crate) audiences: Option<Vec<String>>,
    pub(crate) algorithms: Option<Vec<KeyAlgorithm>>,
    pub(crate) company_claim: Option<String>,
    pub(crate) user_claim: Option<String>,
    pub(crate) link_by_verified_email: Option<bool>,
    pub(crate) key_hosts: Option<Vec<String>>,
    pub(crate) max_token_age_s: Option<i32>,
    pub(crate) disabled: Option<bool>,
}

/// Registers an issuer.
pub(crate) async fn create(app: &App, context: &Context, new: NewIssuer) -> Result<Model, Error> {
    let actor = context.caller().subject();
    let id = repeat(|| attempt_creation(app, &actor, &new)).await?;
    get(app, id).await
}

async fn attempt_creation(app: &App, actor: &str, new: &NewIssuer) -> Result<IssuerId, Attempt> {
    let now = app.now();
    if let Some(earlier) = new.replay.earlier_id(&app.db, now).await? {
        return Ok(IssuerId(earlier));
    }
    let tx = app.db.begin().await?;
    if issuers::find_by_url(&tx, &new.url).await?.is_some() {
        // It may be this request's own twin, done since the first look.
        if let Some(earlier) = new.replay.earlier_id(&tx, now).await? {
            return Ok(IssuerId(earlier));
        }
        let message = "the issuer is registered already; list them, and update it";
        return Err(Error::new(Reason::IssuerExists, message).into());
    }
    let traits = &new.traits;
    let row = Model {
        id: IssuerId::new(&*app.ids),
        issuer_url: new.url.clone(),
        audiences: json!(traits.audiences),
        algorithms: joined(&traits.algorithms),
        company_claim: traits.company_claim.clone(),
        user_claim: traits.user_claim.clone(),
        link_by_verified_email: traits.link_by_verified_email,
        key_hosts: json!(traits.key_hosts),
        max_token_age_s: traits.max_token_age_s,
        disabled: traits.disabled,
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    let (id, payload) = (row.id, json!({ "issuer_id": row.id, "after": described(&row) }));
    issuers::insert(&tx, row).await?;
    note(app, &tx, "issuer.registered", actor, payload).await?;
    new.replay.record(&tx, id, now).await?;
    tx.commit().await?;
    Ok(id)
}

pub(crate) async fn get(app: &App, id: IssuerId) -> Result<Model, Error> {
    issuers::find(&app.db, id).await?.ok_or_else(not_found)
}

/// A page of issuers, and the token of the next.
pub(crate) async fn list(app: &App, page: Page) -> Result<(Vec<Model>, String), Error> {
    let mut rows = issuers::list(&app.db, page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |row| row.id.0);
    Ok((rows, next))
}

/// Changes an issuer that still has this revision, if one is given.
pub(crate) async fn update(
    app: &App,
    context: &Context,
    (id, revision): (IssuerId, Option<i64>),
    changes: &Changes,
) -> Result<Model, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_update(app, &actor, (id, revision), changes)).await?;
    get(app, id).await
}

async fn attempt_update(
    app: &App,
    actor: &str,
    (id, revision): (IssuerId, Option<i64>),
    changes: &Changes,
) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let before = expect(&tx, id, revision).await?;
    let or = |new: &Option<String>, old: &str| new.clone().unwrap_or_else(|| old.to_owned());
    let after = Model {
        audiences: changes.audiences.as_ref().map_or_else(|| before.audiences.clone(), |new| json!(new)),
        algorithms: changes.algorithms.as_ref().map_or_else(|| before.algorithms.clone(), |new| joined(new)),
        company_claim: or(&changes.company_claim, &before.company_claim),
        user_claim: or(&changes.user_claim, &before.user_claim),
        link_by_verified_email: changes.link_by_verified_email.unwrap_or(before.link_by_verified_email),
        key_hosts: changes.key_hosts.as_ref().map_or_else(|| before.key_hosts.clone(), |new| json!(new)),
        max_token_age_s: changes.max_token_age_s.unwrap_or(before.max_token_age_s),
        disabled: changes.disabled.unwrap_or(before.disabled),
        ..before.clone()
    };
    if after == before {
        return Ok(());
    }
    let payload = json!({ "issuer_id": id, "before": described(&before), "after": described(&after) });
    let after = Model { revision: before.revision + 1, updated_at: app.now(), ..after };
    if !issuers::save(&tx, &before, after).await? {
        return Err(Attempt::Again);
    }
    note(app, &tx, "issuer.updated", actor, payload).await?;
    Ok(tx.commit().await?)
}

/// Removes an issuer that still has this revision, if one is given, with everything under it.
pub(crate) async fn delete(app: &App, context: &Context, id: IssuerId, revision: Option<i64>) -> Result<(), Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_deletion(app, &actor, id, revision)).await
}

async fn attempt_deletion(app: &App, actor: &str, id: IssuerId, revision: Option<i64>) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let before = expect(&tx, id, revision).await?;
    if !issuers::remove(&tx, &before).await? {
        return Err(Attempt::Again);
    }
    note(app, &tx, "issuer.removed", actor, json!({ "issuer_id": id, "before": described(&before) })).await?;
    Ok(tx.commit().await?)
}

async fn expect(tx: &CentralTx, id: IssuerId, revision: Option<i64>) -> Result<Model, Attempt> {
    let issuer = issuers::find(tx, id).await?.ok_or_else(not_found)?;
    if revision.is_some_and(|revision| revision != issuer.revision) {
        return Err(Error::new(Reason::EtagMismatch, "somebody else has changed the issuer; read it again").into());
    }
    Ok(issuer)
}

async fn note(app: &App, tx: &CentralTx, kind: &'static str, actor: &str, payload: Value) -> Result<(), StoreError> {
    let id = EventId::new(&*app.ids);
    events::append(tx, events::NewEvent { id, company: None, kind, actor, payload }, app.now()).await
}

fn described(issuer: &Model) -> Value {
    json!({
        "issuer": issuer.issuer_url, "audiences": issuer.audiences, "algorithms": issuer.algorithms,
        "company_claim": issuer.company_claim, "user_claim": issuer.user_claim,
        "link_by_verified_email": issuer.link_by_verified_email, "key_hosts": issuer.key_hosts,
        "max_token_age_s": issuer.max_token_age_s, "disabled": issuer.disabled,
    })
}

/// What is demanded of its tokens.
fn rules(issuer: &Model, leeway: Duration) -> ExternalRules {
    ExternalRules {
        audiences: texts(&issuer.audiences),
        algorithms: algorithms(issuer),
        max_age: Duration::from_secs(issuer.max_token_age_s.unsigned_abs().into()),
        leeway,
    }
}

/// What it may sign with.
pub(crate) fn algorithms(issuer: &Model) -> Vec<KeyAlgorithm> {
    issuer.algorithms.split(' ').filter_map(|name| name.parse().ok()).collect()
}

/// A list of texts, as it is kept.
pub(crate) fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn joined(algorithms: &[KeyAlgorithm]) -> String {
    algorithms.iter().map(|algorithm| algorithm.as_str()).collect::<Vec<_>>().join(" ")
}

fn not_found() -> Error {
    Error::new(Reason::IssuerNotFound, "no issuer of this id is registered; list them")
}
