//! Token exchange (RFC 8693): from one company to another, and an operator for a user.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId, OperatorId, UserId};
use tenantry_rpc::auth::Subject;
use tenantry_rpc::{Caller, Context, Error, Reason, UserClaims};

use super::attempt::{Attempt, repeat};
use super::sessions::{self, Continued};
use super::tokens::{self, Claims, Issued};
use super::{App, changes};
use crate::domain::Role;
use crate::secrets::RefreshToken;
use crate::store::entities::{company, session};
use crate::store::{companies, events, people};

/// What a token is to be for.
pub(crate) struct Wanted {
    pub(crate) company: CompanyId,
    /// Whom an operator acts for; of a user, nobody but the user.
    pub(crate) user: Option<UserId>,
    /// Why an operator does.
    pub(crate) reason: String,
    /// Empty: the usual ones.
    pub(crate) audiences: Vec<String>,
}

/// What it was exchanged for.
pub(crate) enum Exchanged {
    /// A session of the caller's in another company.
    Session(Box<Continued>),
    /// A short token that says who acts for whom.
    Acting(CompanyId, Issued),
}

/// Exchanges the caller's token.
pub(crate) async fn exchange(app: &App, context: &Context, wanted: Wanted) -> Result<Exchanged, Error> {
    match context.caller() {
        Caller::Operator(claims) => act(app, claims.operator(), wanted).await,
        Caller::User(claims) => {
            let person = context.person()?;
            if wanted.user.is_some_and(|user| user != person.user) {
                let message = "only operators act for others; leave user_id empty";
                return Err(Error::new(Reason::CallerNotAllowed, message));
            }
            switch(app, claims, person.user, &wanted).await
        }
        Caller::Anonymous | Caller::Service(_) => Err(Error::internal("nobody else is let in")),
    }
}

async fn switch(app: &App, claims: &UserClaims, user: UserId, wanted: &Wanted) -> Result<Exchanged, Error> {
    let begun = repeat(|| attempt_switch(app, claims, user, wanted)).await?;
    let Begun { session, refresh, company, role, issued_at } = begun;
    let access = tokens::of_session(app, &session, &company, role, issued_at).await?;
    let refresh_ends_at = session.idle_ends_at;
    Ok(Exchanged::Session(Box::new(Continued { company: company.id, access, refresh, refresh_ends_at })))
}

struct Begun {
    session: session::Model,
    refresh: RefreshToken,
    company: company::Model,
    role: Role,
    issued_at: DateTime<Utc>,
}

async fn attempt_switch(app: &App, claims: &UserClaims, user: UserId, wanted: &Wanted) -> Result<Begun, Attempt> {
    let tx = app.db.begin().await?;
    people::lock_user(&tx, user).await?;
    let now = app.now();
    // Under the lock, once more: whoever has just signed the user out meant this token too.
    let revoked = changes::revoked_before(&tx, claims.tenant(), claims.revocables()).await?;
    if revoked.is_some_and(|before| claims.issued_at() < before.timestamp()) {
        return Err(tokens::revoked().into());
    }
    let (company, role) = membership(&tx, wanted.company, user).await?;
    let (session, refresh) = sessions::begin(app, &tx, (user, &company), &wanted.audiences, now).await?;
    let payload =
        json!({ "user_id": user, "session_id": session.id, "method": "exchange", "from_company_id": claims.tenant() });
    tokens::note_sign_in(app, &tx, (company.id, user), payload, now).await?;
    let issued_at = tokens::issued_at(&tx, company.id, user, now).await?;
    tx.commit().await?;
    Ok(Begun { session, refresh, company, role, issued_at })
}

/// The company and the role that somebody has there; the same answer whether the company is there or not.
async fn membership(
    tx: &crate::store::CentralTx,
    company: CompanyId,
    user: UserId,
) -> Result<(company::Model, Role), Attempt> {
    let role = people::role_in(tx, company, user).await?.ok_or_else(tokens::no_membership)?;
    let company = companies::find(tx, company).await?.ok_or_else(tokens::no_membership)?;
    tokens::check_state(&company)?;
    Ok((company, role))
}

async fn act(app: &App, operator: OperatorId, wanted: Wanted) -> Result<Exchanged, Error> {
    let field = |field: &str, description: &str| tenantry_rpc::FieldViolation {
        field: field.to_owned(),
        description: description.to_owned(),
    };
    let mut missing = Vec::new();
    if wanted.user.is_none() {
        missing.push(field("user_id", "must be the user to act for"));
    }
    if wanted.reason.is_empty() {
        missing.push(field("reason", "must say why; it is kept with the event"));
    }
    let Some(user) = wanted.user.filter(|_| missing.is_empty()) else { return Err(Error::fields(missing)) };
    let (company, role, issued_at) = repeat(|| attempt_acting(app, operator, user, &wanted)).await?;
    let (mut scopes, delegable) = (app.settings.tenant_services.scopes(role), app.settings.tenant_services.delegable());
    scopes.retain(|scope| delegable.contains(&scope.as_str()));
    let claims = Claims {
        actor: Some(operator),
        tenant: Some((company.id, company.access_epoch)),
        scopes,
        roles: vec![role.as_str().to_owned()],
        lifetime: app.settings.impersonation_lifetime.min(app.settings.token_lifetime),
        ..Claims::of(app, Subject::User(user), wanted.audiences)
    };
    Ok(Exchanged::Acting(company.id, tokens::issue(app, claims, issued_at).await?))
}

async fn attempt_acting(
    app: &App,
    operator: OperatorId,
    user: UserId,
    wanted: &Wanted,
) -> Result<(company::Model, Role, DateTime<Utc>), Attempt> {
    let tx = app.db.begin().await?;
    let known = people::lock_user(&tx, user).await?;
    known.ok_or_else(|| Error::new(Reason::UserNotFound, "there is no such user"))?;
    let now = app.now();
    let (company, role) = membership(&tx, wanted.company, user).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(company.id),
        kind: "user.impersonated",
        actor: &Subject::Operator(operator).to_string(),
        payload: json!({ "user_id": user, "reason": wanted.reason }),
    };
    events::append(&tx, event, now).await?;
    let issued_at = tokens::issued_at(&tx, company.id, user, now).await?;
    tx.commit().await?;
    Ok((company, role, issued_at))
}
