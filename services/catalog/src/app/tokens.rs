//! Signing in.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId, UserId};
use tenantry_rpc::auth::{AccessClaims, Subject};
use tenantry_rpc::{Error, Reason};

use super::{App, changes, credentials_invalid};
use crate::domain::{Email, OPERATOR_SCOPES, Role};
use crate::secrets::Credential;
use crate::store::entities::{company, user};
use crate::store::{companies, events, people};

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
    /// A token for a company.
    Token(Issued, CompanyId),
    /// The user has to choose.
    Choose(Vec<(company::Model, Role)>),
}

/// Signs a user in, to the company asked for or to the only one.
pub(crate) async fn login(
    app: &App,
    email: &Email,
    password: &str,
    asked: Option<CompanyId>,
    audiences: Vec<String>,
) -> Result<SignIn, Error> {
    let user = people::find_user(&app.db, email).await?;
    let hash = user.as_ref().map(|user| user.password_hash.as_str());
    if !app.passwords.verify(password, hash).await? {
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
    let issued_at = stand_still(app, &user, &company, role).await?;
    let claims = Claims {
        subject: Subject::User(user.id),
        tenant: Some((company.id, company.access_epoch)),
        scopes: role.scopes().into_iter().map(str::to_owned).collect(),
        roles: vec![role.as_str().to_owned()],
        audiences,
    };
    Ok(SignIn::Token(issue(app, claims, issued_at).await?, company.id))
}

/// Makes sure that what was proven still holds, and says when: whoever revokes the user's tokens after that revokes
/// one that is dated so. A token is dated ahead, by a second as a rule, where one of now would be among those that
/// were revoked just before.
async fn stand_still(
    app: &App,
    seen: &user::Model,
    company: &company::Model,
    role: Role,
) -> Result<DateTime<Utc>, Error> {
    let tx = app.db.begin().await?;
    let locked = people::lock_user(&tx, seen.id).await?;
    locked.filter(|user| user.password_hash == seen.password_hash).ok_or_else(credentials_invalid)?;
    let now = app.now();
    if people::role_in(&tx, company.id, seen.id).await? != Some(role) {
        return Err(no_membership());
    }
    let revoked = changes::revoked_before(&tx, company.id, seen.id).await?;
    tx.commit().await?;
    Ok(revoked.map_or(now, |revoked| revoked.max(now)))
}

fn no_membership() -> Error {
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
    let claims = Claims {
        subject: Subject::Operator(id),
        tenant: None,
        scopes: OPERATOR_SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
        roles: Vec::new(),
        audiences,
    };
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

/// Whether tokens of the user for the company from then are accepted still.
pub(crate) async fn check_revoked(app: &App, tenant: CompanyId, user: UserId, issued_at: i64) -> Result<(), Error> {
    match changes::revoked_before(&app.db, tenant, user).await? {
        Some(before) if issued_at < before.timestamp() => {
            Err(Error::new(Reason::TokenRevoked, "the token was revoked; sign in again"))
        }
        Some(_) | None => Ok(()),
    }
}

struct Claims {
    subject: Subject,
    tenant: Option<(CompanyId, i64)>,
    scopes: Vec<String>,
    roles: Vec<String>,
    audiences: Vec<String>,
}

async fn issue(app: &App, claims: Claims, issued_at: DateTime<Utc>) -> Result<Issued, Error> {
    let expires_at = app.now() + app.settings.token_lifetime;
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
        tenant: claims.tenant.map(|(tenant, _)| tenant),
        access_epoch: claims.tenant.map(|(_, epoch)| epoch.unsigned_abs()),
        scope: claims.scopes.join(" "),
        roles: claims.roles,
    };
    let token = key.sign_access(&access).map_err(Error::internal)?;
    Ok(Issued { token, expires_at, scopes: claims.scopes })
}
