//! Keys of companies' machines: making, listing, revoking, and exchanging them for short tokens.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tenantry_ids::{ApiKeyId, CompanyId, EventId};
use tenantry_rpc::auth::{Revocable, Subject};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Reason};

use super::attempt::{Attempt, repeat};
use super::tokens::{self, Claims, Issued};
use super::{App, changes, credentials_invalid};
use crate::secrets::Credential;
use crate::store::entities::api_key;
use crate::store::{api_keys, companies, events};

/// The name of the list of keys in page tokens.
pub(crate) const LIST: &str = "api_keys";
/// What tells people and secret scanners what it is.
const PREFIX: &str = "tnak";
/// A use is noted no more often than this.
const USE_NOTED_EVERY: TimeDelta = TimeDelta::seconds(60);

/// A key as it is to be.
pub(crate) struct NewKey {
    pub(crate) company: CompanyId,
    pub(crate) name: String,
    /// Some of what can be delegated, each once.
    pub(crate) scopes: Vec<String>,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// Makes a key; its secret is shown by the caller, once.
pub(crate) async fn create(app: &App, context: &Context, new: NewKey) -> Result<(api_key::Model, Credential), Error> {
    let maker = context.person()?;
    if let Some(scope) = new.scopes.iter().find(|scope| !maker.scopes().contains(*scope)) {
        let message = "a key can do no more than the one who makes it; leave out what your role does not have";
        return Err(Error::new(Reason::ScopeNotGrantable, message).with("scope", scope.clone()));
    }
    let secret = Credential::new(PREFIX)?;
    let now = app.now();
    let row = api_key::Model {
        id: ApiKeyId::new(&*app.ids),
        company_id: new.company,
        name: new.name,
        secret_hash: secret.hash(),
        scopes: new.scopes.join(" "),
        created_by: maker.user,
        created_at: now,
        expires_at: new.expires_at,
        last_used_at: None,
    };
    let actor = context.caller().subject();
    repeat(|| attempt_creation(app, &actor, &row)).await?;
    Ok((row, secret))
}

async fn attempt_creation(app: &App, actor: &str, row: &api_key::Model) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    // Of two who make the last one, one does.
    companies::lock(&tx, row.company_id).await?;
    if api_keys::count(&tx, row.company_id).await? >= app.settings.api_keys_per_company {
        let message = "the company has as many API keys as it may have; revoke one first";
        return Err(Error::new(Reason::TooManyApiKeys, message).into());
    }
    api_keys::insert(&tx, row.clone()).await?;
    let payload = json!({ "api_key_id": row.id, "name": row.name, "scopes": row.scopes });
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(row.company_id),
        kind: "api_key.created",
        actor,
        payload,
    };
    events::append(&tx, event, row.created_at).await?;
    tx.commit().await?;
    Ok(())
}

/// A page of a company's keys, and the token of the next.
pub(crate) async fn list(app: &App, company: CompanyId, page: Page) -> Result<(Vec<api_key::Model>, String), Error> {
    let mut rows = api_keys::list(&app.db, company, page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |row| row.id.0);
    Ok((rows, next))
}

/// Ends a key with its tokens.
pub(crate) async fn revoke(app: &App, context: &Context, company: CompanyId, id: ApiKeyId) -> Result<(), Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_revocation(app, &actor, company, id)).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt_revocation(app: &App, actor: &str, company: CompanyId, id: ApiKeyId) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    if !api_keys::remove(&tx, company, id).await? {
        return Err(Error::new(Reason::ApiKeyNotFound, "the company has no such API key").into());
    }
    // Once the key is ours: a token of a moment before is among those that end.
    let now = app.now();
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(company),
        kind: "api_key.revoked",
        actor,
        payload: json!({ "api_key_id": id }),
    };
    events::append(&tx, event, now).await?;
    changes::revoke(&tx, company, Revocable::ApiKey(id), now).await?;
    tx.commit().await?;
    Ok(())
}

/// A short token for a key.
pub(crate) async fn exchange(app: &App, secret: &str, audiences: Vec<String>) -> Result<(CompanyId, Issued), Error> {
    let hash = Credential::hash_of(secret);
    let (claims, issued_at) = repeat(|| attempt_exchange(app, &hash, &audiences)).await?;
    let company = claims.tenant.map(|(company, _)| company).ok_or_else(credentials_invalid)?;
    Ok((company, tokens::issue(app, claims, issued_at).await?))
}

async fn attempt_exchange(app: &App, hash: &str, audiences: &[String]) -> Result<(Claims, DateTime<Utc>), Attempt> {
    let tx = app.db.begin().await?;
    let key = api_keys::lock_by_secret(&tx, hash).await?.ok_or_else(credentials_invalid)?;
    let now = app.now();
    if key.expires_at.is_some_and(|end| end <= now) {
        return Err(credentials_invalid().into());
    }
    let company = companies::find(&tx, key.company_id).await?.ok_or_else(credentials_invalid)?;
    tokens::check_state(&company)?;
    if key.last_used_at.is_none_or(|last| now - last >= USE_NOTED_EVERY) {
        api_keys::note_use(&tx, key.id, now).await?;
    }
    tx.commit().await?;
    let claims = Claims {
        tenant: Some((company.id, company.access_epoch)),
        scopes: key.scopes.split(' ').map(str::to_owned).collect(),
        // No token outlives its key.
        ends_by: key.expires_at,
        ..Claims::of(app, Subject::ApiKey(key.id), audiences.to_vec())
    };
    Ok((claims, now))
}
