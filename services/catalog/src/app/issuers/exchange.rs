//! An issuer's token for ours (RFC 8693). The issuer says who somebody is; what they may do is said here.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId, UserId};
use tenantry_rpc::auth::{ExternalClaims, ExternalToken, Subject};
use tenantry_rpc::{Error, Reason, Violations};

use super::rules;
use crate::app::App;
use crate::app::attempt::{Attempt, repeat};
use crate::app::tokens::{self, Claims, Issued};
use crate::domain::{Email, Role};
use crate::store::entities::issuer::Model;
use crate::store::entities::{company, issuer_user};
use crate::store::{CentralTx, companies, events, issuers, people};

/// The longest that is looked up, in characters: what is longer is nothing that was registered.
const MAX_URL_CHARS: usize = 512;
const MAX_VALUE_CHARS: usize = 255;

/// What a proven token says, as far as it can be looked up.
struct Said {
    company: Option<String>,
    subject: Option<String>,
    /// Only where the issuer says that it has verified it, and is asked to.
    email: Option<Email>,
}

/// Exchanges an issuer's token.
pub(crate) async fn exchange(app: &App, token: &str, audiences: Vec<String>) -> Result<(CompanyId, Issued), Error> {
    let token = ExternalToken::read(token)?;
    let issuer = find(app, token.issuer()?).await?;
    let (keys, rules) = (app.issuer_keys.of(&issuer), rules(&issuer, app.settings.issuer_leeway));
    // Nothing that it says of companies and people is looked up before it is proven.
    let proven = token.prove(&rules, &*keys, app.now().timestamp()).await?;
    let said = Said::of(&issuer, &proven);
    let (company, user, role, issued_at) = repeat(|| attempt(app, &issuer, &said)).await?;
    let end = proven.expires_at().and_then(|end| DateTime::from_timestamp(end, 0));
    let claims = Claims {
        tenant: Some((company.id, company.access_epoch)),
        scopes: app.settings.tenant_services.scopes_from_elsewhere(role),
        roles: vec![role.as_str().to_owned()],
        // It ends with the issuer's, by our clock or by theirs.
        ends_by: end.map(|end| end + rules.leeway),
        ..Claims::of(app, Subject::User(user), audiences)
    };
    Ok((company.id, tokens::issue(app, claims, issued_at).await?))
}

async fn find(app: &App, url: &str) -> Result<Model, Error> {
    let unknown = || {
        let message = "the token's issuer is not registered here; ask an operator to register it";
        Error::new(Reason::IssuerUnknown, message)
    };
    let url = storable(url, MAX_URL_CHARS).ok_or_else(unknown)?;
    let issuer = issuers::find_by_url(&app.db, url).await?.ok_or_else(unknown)?;
    if issuer.disabled {
        let message = "tokens of this issuer are not taken at the moment; ask an operator";
        return Err(Error::new(Reason::IssuerDisabled, message));
    }
    Ok(issuer)
}

impl Said {
    fn of(issuer: &Model, proven: &ExternalClaims) -> Self {
        let text = |claim: &str| proven.text(claim).and_then(|text| storable(text, MAX_VALUE_CHARS)).map(str::to_owned);
        let is_verified = issuer.link_by_verified_email && proven.holds("email_verified");
        let email = proven.text("email").filter(|_| is_verified).and_then(|text| {
            let mut violations = Violations::new();
            let email = Email::parse(&mut violations, "email", text);
            violations.finish(Some(email)).ok()
        });
        Self { company: text(&issuer.company_claim), subject: text(&issuer.user_claim), email }
    }
}

/// No registered text has control characters, and no engine finds a NUL.
fn storable(text: &str, most: usize) -> Option<&str> {
    (text.chars().count() <= most && !text.chars().any(char::is_control)).then_some(text)
}

async fn attempt(
    app: &App,
    issuer: &Model,
    said: &Said,
) -> Result<(company::Model, UserId, Role, DateTime<Utc>), Attempt> {
    let mapped = match &said.company {
        Some(value) => issuers::mapped(&app.db, issuer.id, value).await?,
        None => None,
    };
    let company = mapped.ok_or_else(|| not_mapped(issuer))?.company_id;
    let subject = said.subject.as_deref().ok_or_else(|| not_linked(issuer))?;
    let link = issuers::linked(&app.db, issuer.id, subject).await?;
    let user = match (&link, &said.email) {
        (Some(link), _) => Some(link.user_id),
        (None, Some(email)) => people::find_user(&app.db, email).await?.map(|user| user.id),
        (None, None) => None,
    };
    let user = user.ok_or_else(|| not_linked(issuer))?;

    let tx = app.db.begin().await?;
    people::lock_user(&tx, user).await?.ok_or(Attempt::Again)?;
    let now = app.now();
    // Once more under the lock: what was read before is what operators said then.
    let issuer = &issuers::find(&tx, issuer.id).await?.filter(|now| now == issuer).ok_or(Attempt::Again)?;
    let value = said.company.as_deref().unwrap_or_default();
    issuers::mapped(&tx, issuer.id, value).await?.filter(|row| row.company_id == company).ok_or(Attempt::Again)?;
    let role = people::role_in(&tx, company, user).await?;
    if issuers::linked(&tx, issuer.id, subject).await? != link {
        return Err(Attempt::Again);
    }
    if link.is_none() {
        link_member(app, &tx, (issuer, subject), (company, user, role), now).await?;
    }
    let role = role.ok_or_else(tokens::no_membership)?;
    let company = companies::find(&tx, company).await?.ok_or_else(|| not_mapped(issuer))?;
    tokens::check_state(&company)?;
    let payload = json!({ "user_id": user, "method": "issuer", "issuer": issuer.issuer_url });
    tokens::note_sign_in(app, &tx, (company.id, user), payload, now).await?;
    let issued_at = tokens::issued_at(&tx, company.id, user, now).await?;
    tx.commit().await?;
    Ok((company, user, role, issued_at))
}

/// By a verified address, somebody becomes the member who has it: no one else, and nobody whom another subject is.
async fn link_member(
    app: &App,
    tx: &CentralTx,
    (issuer, subject): (&Model, &str),
    (company, user, role): (CompanyId, UserId, Option<Role>),
    now: DateTime<Utc>,
) -> Result<(), Attempt> {
    if role.is_none() || issuers::link_of(tx, issuer.id, user).await?.is_some() {
        return Err(not_linked(issuer).into());
    }
    let (id, issuer_id) = (app.ids.uuid(), issuer.id);
    let row = issuer_user::Model { id, issuer_id, subject: subject.to_owned(), user_id: user, created_at: now };
    issuers::link(tx, row).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(company),
        kind: "issuer.user_linked",
        actor: &Subject::User(user).to_string(),
        payload: json!({ "issuer_id": issuer.id, "issuer": issuer.issuer_url, "user_id": user }),
    };
    Ok(events::append(tx, event, now).await?)
}

fn not_mapped(issuer: &Model) -> Error {
    let message = "what the token says of its company is mapped to none; ask an operator to map it";
    Error::new(Reason::ExternalCompanyNotMapped, message).with("company_claim", issuer.company_claim.clone())
}

fn not_linked(issuer: &Model) -> Error {
    let message = "the token's user is linked to nobody here; ask an operator to link them";
    Error::new(Reason::ExternalUserNotLinked, message).with("user_claim", issuer.user_claim.clone())
}
