//! Signing in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tenantry_ids::{CompanyId, EventId, OperatorId, SessionId, UserId};
use tenantry_rpc::auth::{AccessClaims, Actor, Revocable, Subject};
use tenantry_rpc::{Context, Error, Reason, UserClaims};

use super::sessions::{self, Continued};
use super::{App, changes, credentials_invalid, throttle};
use crate::domain::{Email, OPERATOR_SCOPES, Role};
use crate::secrets::{Credential, RefreshToken};
use crate::store::entities::{company, session, user};
use crate::store::{CentralTx, StoreError, companies, events, people};

/// `client_id` of every token (RFC 9068 demands one): our own sign-in.
const CLIENT: &str = "tenantry";

/// A token that was issued.
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) expires_at: DateTime<Utc>,
    pub(crate) scopes: Vec<String>,
}

/// What a sign-in leads to.
pub(crate) enum SignIn {
    /// A session in a company.
    Session(Box<Continued>),
    /// The user has to choose.
    Choose(Vec<(company::Model, Role)>),
}

/// Signs a user in, to the company asked for or to the only one.
pub(crate) async fn login(
    app: &App,
    context: &Context,
    email: &Email,
    password: &str,
    asked: Option<CompanyId>,
    audiences: Vec<String>,
) -> Result<SignIn, Error> {
    let user = people::find_user(&app.db, email).await?;
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    if !throttle::compare(app, context, (email.key(), user.as_ref().map(|user| user.id)), password, hash).await? {
        return Err(credentials_invalid());
    }
    let user = user.ok_or_else(credentials_invalid)?;
    let mut memberships = people::companies_of(&app.db, user.id).await?;
    if let Some(asked) = asked {
        memberships.retain(|(company, _)| company.id == asked);
    }
    if memberships.len() > 1 {
        return Ok(SignIn::Choose(memberships));
    }
    let (company, role) = memberships.pop().ok_or_else(no_membership)?;
    check_state(&company)?;
    let (session, refresh, issued_at) = begin(app, &user, &company, role, &audiences).await?;
    let access = of_session(app, &session, &company, role, issued_at).await?;
    let refresh_ends_at = session.idle_ends_at;
    Ok(SignIn::Session(Box::new(Continued { company: company.id, access, refresh, refresh_ends_at })))
}

/// Makes sure that what was proven still holds, begins a session, and says of when its first token is.
async fn begin(
    app: &App,
    seen: &user::Model,
    company: &company::Model,
    role: Role,
    audiences: &[String],
) -> Result<(session::Model, RefreshToken, DateTime<Utc>), Error> {
    let tx = app.db.begin().await?;
    let locked = people::lock_user(&tx, seen.id).await?;
    locked.filter(|user| user.password_hash == seen.password_hash).ok_or_else(credentials_invalid)?;
    let now = app.now();
    if people::role_in(&tx, company.id, seen.id).await? != Some(role) {
        return Err(no_membership());
    }
    let (session, refresh) = sessions::begin(app, &tx, (seen.id, company), audiences, now).await?;
    let payload = json!({ "user_id": seen.id, "session_id": session.id, "method": "password" });
    note_sign_in(app, &tx, (company.id, seen.id), payload, now).await?;
    let issued_at = issued_at(&tx, company.id, seen.id, now).await?;
    tx.commit().await?;
    Ok((session, refresh, issued_at))
}

/// A sign-in is an event of its company. Continuing it is none, or there would be little else.
pub(super) async fn note_sign_in(
    app: &App,
    tx: &CentralTx,
    (company, user): (CompanyId, UserId),
    payload: Value,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(company),
        kind: "user.signed_in",
        actor: &Subject::User(user).to_string(),
        payload,
    };
    events::append(tx, event, now).await
}

/// Of when a token is that is issued now, in a transaction that holds the user's lock: whoever revokes the user's
/// tokens after that revokes one that is dated so. A token is dated ahead, by a second as a rule, where one of now
/// would be among those that were revoked just before.
pub(super) async fn issued_at(
    tx: &CentralTx,
    company: CompanyId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, StoreError> {
    let revoked = changes::revoked_before(tx, company, [Revocable::User(user)]).await?;
    Ok(revoked.map_or(now, |revoked| revoked.max(now)))
}

/// An access token of a session.
pub(super) async fn of_session(
    app: &App,
    session: &session::Model,
    company: &company::Model,
    role: Role,
    issued_at: DateTime<Utc>,
) -> Result<Issued, Error> {
    let audiences = session.audiences.split(' ').map(str::to_owned).collect();
    let claims = Claims {
        session: Some(session.id),
        tenant: Some((company.id, company.access_epoch)),
        scopes: app.settings.tenant_services.scopes(role),
        roles: vec![role.as_str().to_owned()],
        ..Claims::of(app, Subject::User(session.user_id), audiences)
    };
    issue(app, claims, issued_at).await
}

pub(super) fn no_membership() -> Error {
    Error::new(
        Reason::NoMembership,
        "the user does not belong to this company, or to none; ask an owner for an invitation",
    )
}

/// A short token for an operator's credential.
pub(crate) async fn operator_token(app: &App, credential: &str, audiences: Vec<String>) -> Result<Issued, Error> {
    let now = app.now();
    let tx = app.db.begin().await?;
    let id = people::use_operator(&tx, &Credential::hash_of(credential), now).await?.ok_or_else(credentials_invalid)?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "operator.signed_in",
        actor: &Subject::Operator(id).to_string(),
        payload: json!({ "audiences": audiences }),
    };
    events::append(&tx, event, now).await?;
    tx.commit().await?;
    let scopes = OPERATOR_SCOPES.iter().map(|scope| (*scope).to_owned()).collect();
    let claims = Claims { scopes, ..Claims::of(app, Subject::Operator(id), audiences) };
    issue(app, claims, app.now()).await
}

/// The company that a token is for.
pub(crate) async fn company_of(app: &App, tenant: CompanyId) -> Result<Option<company::Model>, Error> {
    Ok(companies::find(&app.db, tenant).await?)
}

/// Whether people may sign in to the company now. Those who have a token learn
/// the same from the services.
pub(crate) fn check_state(company: &company::Model) -> Result<(), Error> {
    use company::State;
    let (reason, message) = match company.state {
        State::Active | State::Maintenance => return Ok(()),
        State::Provisioning => (Reason::TenantProvisioning, "the company's database is being made; try again shortly"),
        State::Suspended => (Reason::TenantSuspended, "the company is suspended; ask its operator"),
        State::Failed => (Reason::TenantFailed, "the company's database could not be made; ask its operator"),
        State::Deleted | State::Purged => (Reason::TenantDeleted, "the company is deleted"),
    };
    Err(Error::new(reason, message))
}

/// Whether the token is accepted still.
pub(crate) async fn check_revoked(app: &App, claims: &UserClaims) -> Result<(), Error> {
    match changes::revoked_before(&app.db, claims.tenant(), claims.revocables()).await? {
        Some(before) if claims.issued_at() < before.timestamp() => Err(revoked()),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn revoked() -> Error {
    Error::new(Reason::TokenRevoked, "the token was revoked; sign in again")
}

/// What a token is to say.
pub(super) struct Claims {
    pub(super) subject: Subject,
    /// The operator who acts for the subject.
    pub(super) actor: Option<OperatorId>,
    pub(super) session: Option<SessionId>,
    pub(super) tenant: Option<(CompanyId, i64)>,
    pub(super) scopes: Vec<String>,
    pub(super) roles: Vec<String>,
    pub(super) audiences: Vec<String>,
    pub(super) lifetime: Duration,
    /// It ends then at the latest.
    pub(super) ends_by: Option<DateTime<Utc>>,
}

impl Claims {
    /// Of nobody's company, and good for nothing yet.
    pub(super) fn of(app: &App, subject: Subject, audiences: Vec<String>) -> Self {
        let (actor, session, tenant, ends_by) = (None, None, None, None);
        let (scopes, roles) = (Vec::new(), Vec::new());
        Self {
            subject,
            actor,
            session,
            tenant,
            scopes,
            roles,
            audiences,
            lifetime: app.settings.token_lifetime,
            ends_by,
        }
    }
}

pub(super) async fn issue(app: &App, claims: Claims, issued_at: DateTime<Utc>) -> Result<Issued, Error> {
    let usual = app.now() + claims.lifetime;
    let expires_at = claims.ends_by.map_or(usual, |end| end.min(usual));
    let key = app.keyring.signing_key().await?;
    let access = AccessClaims {
        iss: app.settings.issuer.clone(),
        aud: claims.audiences,
        sub: claims.subject,
        client_id: CLIENT.to_owned(),
        iat: issued_at.timestamp(),
        exp: expires_at.timestamp(),
        nbf: None,
        jti: app.ids.uuid().to_string(),
        act: claims.actor.map(|operator| Actor { sub: Subject::Operator(operator) }),
        sid: claims.session,
        tenant: claims.tenant.map(|(tenant, _)| tenant),
        access_epoch: claims.tenant.map(|(_, epoch)| epoch.unsigned_abs()),
        scope: claims.scopes.join(" "),
        roles: claims.roles,
    };
    let token = key.sign_access(&access).map_err(Error::internal)?;
    Ok(Issued { token, expires_at, scopes: claims.scopes })
}
