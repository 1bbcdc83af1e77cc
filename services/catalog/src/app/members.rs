//! Who belongs to a company: inviting, accepting, listing.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId, InvitationId, UserId};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Reason, Violations};

use super::{App, credentials_invalid, throttle};
use crate::domain::{Email, Role, check_password};
use crate::secrets::Credential;
use crate::store::entities::{invitation, membership, user};
use crate::store::{StoreError, events, people};

/// An invitation, with its secret.
pub(crate) struct Invited {
    pub(crate) id: InvitationId,
    pub(crate) secret: Credential,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A membership that came of an invitation.
pub(crate) struct Joined {
    pub(crate) company: CompanyId,
    pub(crate) user: UserId,
    pub(crate) role: Role,
}

/// Invites an address into the caller's company.
pub(crate) async fn invite(
    app: &App,
    context: &Context,
    company: CompanyId,
    email: Email,
    role: Role,
) -> Result<Invited, Error> {
    let inviter = context.person()?.user;
    let own_role = people::role_in(&app.db, company, inviter).await?;
    if !own_role.is_some_and(|own| own.can_grant(role)) {
        return Err(Error::new(Reason::RoleNotGrantable, "your role in the company cannot give this role"));
    }
    if let Some(user) = people::find_user(&app.db, &email).await?
        && people::role_in(&app.db, company, user.id).await?.is_some()
    {
        return Err(Error::new(Reason::AlreadyMember, "this person belongs to the company already"));
    }
    let now = app.now();
    let secret = Credential::new("tninv")?;
    let row = invitation::Model {
        id: InvitationId::new(&*app.ids),
        company_id: company,
        email: email.address().to_owned(),
        email_key: email.key().to_owned(),
        role,
        secret_hash: secret.hash(),
        invited_by: inviter,
        expires_at: now + app.settings.invitation_lifetime,
        accepted_at: None,
        created_at: now,
    };
    let invited = Invited { id: row.id, secret, expires_at: row.expires_at };
    let tx = app.db.begin().await?;
    people::insert_invitation(&tx, row).await?;
    let payload = json!({ "invitation_id": invited.id, "role": role.as_str() });
    let actor = context.caller().subject();
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(company),
        kind: "member.invited",
        actor: &actor,
        payload,
    };
    events::append(&tx, event, now).await?;
    tx.commit().await?;
    Ok(invited)
}

/// Accepts an invitation, by its secret and the user's password.
pub(crate) async fn accept(app: &App, context: &Context, secret: &str, password: &str) -> Result<Joined, Error> {
    let now = app.now();
    let row =
        people::open_invitation(&app.db, &Credential::hash_of(secret), now).await?.ok_or_else(credentials_invalid)?;
    let known = people::find_user_by_key(&app.db, &row.email_key).await?;
    let new_hash = prove(app, context, known.as_ref(), password).await?;

    let tx = app.db.begin().await?;
    if !people::use_invitation(&tx, &row, now).await? {
        return Err(credentials_invalid());
    }
    let user = match (&known, new_hash) {
        (Some(user), _) => user.id,
        (None, hash) => {
            let id = UserId::new(&*app.ids);
            people::insert_user(&tx, id, (&row.email, &row.email_key), hash.unwrap_or_default(), now)
                .await
                .map_err(raced)?;
            id
        }
    };
    people::add_member(&tx, row.company_id, user, row.role, now).await.map_err(raced)?;
    let actor = format!("user:{user}");
    let payload = json!({ "invitation_id": row.id, "user_id": user, "role": row.role.as_str() });
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(row.company_id),
        kind: "member.joined",
        actor: &actor,
        payload,
    };
    events::append(&tx, event, now).await?;
    tx.commit().await?;
    Ok(Joined { company: row.company_id, user, role: row.role })
}

/// Someone known proves to be it; someone new chooses a password, whose hash is returned.
async fn prove(
    app: &App,
    context: &Context,
    known: Option<&user::Model>,
    password: &str,
) -> Result<Option<String>, Error> {
    match known {
        Some(user) => {
            // Whoever invites knows the secret, and is not to guess the password with it.
            if !throttle::compare(app, context, (&user.email_key, Some(user.id)), password, Some(&user.password_hash))
                .await?
            {
                return Err(credentials_invalid());
            }
            Ok(None)
        }
        None => {
            let mut violations = Violations::new();
            check_password(&mut violations, "password", password);
            violations.into_result()?;
            Ok(Some(app.passwords.hash(password).await?))
        }
    }
}

/// A member, with the user's address.
pub(crate) type Member = (membership::Model, user::Model);

/// The name of the list of members in page tokens.
pub(crate) const LIST: &str = "members";

/// A page of a company's members, and the token of the next.
pub(crate) async fn list(app: &App, company: CompanyId, page: Page) -> Result<(Vec<Member>, String), Error> {
    let mut rows = people::members_of(&app.db, company, page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |(member, _)| member.user_id.0);
    Ok((rows, next))
}

fn raced(error: StoreError) -> Error {
    match error {
        StoreError::Taken(_) => Error::new(Reason::AlreadyMember, "this person belongs to the company already"),
        StoreError::Collided(_) | StoreError::Unavailable(_) | StoreError::Full(_) | StoreError::Database(_) => {
            error.into()
        }
    }
}
