//! A new password for somebody who has lost theirs.

use chrono::{DateTime, Utc};
use serde_json::json;
use tenantry_ids::{EventId, PasswordResetId, UserId};
use tenantry_rpc::{Context, Error, Reason};

use super::attempt::{Attempt, repeat};
use super::{App, credentials_invalid, sessions};
use crate::domain::Email;
use crate::secrets::Credential;
use crate::store::entities::password_reset;
use crate::store::{events, password_resets, people};

/// A secret to hand over.
pub(crate) struct Reset {
    pub(crate) user: UserId,
    pub(crate) secret: Credential,
    pub(crate) expires_at: DateTime<Utc>,
}

/// Makes a secret for a user; earlier ones are good for nothing any more.
pub(crate) async fn issue(app: &App, context: &Context, email: &Email) -> Result<Reset, Error> {
    let user = people::find_user(&app.db, email).await?;
    let user = user.ok_or_else(|| Error::new(Reason::UserNotFound, "nobody has this address here"))?.id;
    let (secret, actor) = (Credential::new("tnrst")?, context.caller().subject());
    let expires_at = app.now() + app.settings.invitation_lifetime;
    let row = password_reset::Model {
        id: PasswordResetId::new(&*app.ids),
        user_id: user,
        secret_hash: secret.hash(),
        expires_at,
        used_at: None,
        created_at: app.now(),
    };
    repeat(|| attempt_issue(app, &actor, &row)).await?;
    Ok(Reset { user, secret, expires_at })
}

async fn attempt_issue(app: &App, actor: &str, row: &password_reset::Model) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    people::lock_user(&tx, row.user_id).await?;
    password_resets::replace(&tx, row.clone()).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "user.password_reset_issued",
        actor,
        payload: json!({ "user_id": row.user_id }),
    };
    events::append(&tx, event, app.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// Sets a new password, and ends every session and token that the user has.
pub(crate) async fn reset(app: &App, secret: &str, new: &str) -> Result<(), Error> {
    let hash_of = Credential::hash_of(secret);
    // Before a password is hashed, which costs much and which anybody can ask for.
    let known = password_resets::open(&app.db, &hash_of, app.now()).await?.ok_or_else(credentials_invalid)?;
    let hash = app.passwords.hash(new).await?;
    repeat(|| attempt_reset(app, &known, &hash)).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt_reset(app: &App, row: &password_reset::Model, hash: &str) -> Result<(), Attempt> {
    let (tx, now) = (app.db.begin().await?, app.now());
    people::lock_user(&tx, row.user_id).await?;
    if row.expires_at <= now || !password_resets::consume(&tx, row, now).await? {
        return Err(credentials_invalid().into());
    }
    people::set_password(&tx, row.user_id, hash.to_owned(), now).await?;
    let actor = format!("user:{}", row.user_id);
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "user.password_reset",
        actor: &actor,
        payload: json!({ "user_id": row.user_id }),
    };
    events::append(&tx, event, now).await?;
    sessions::end_all(&tx, row.user_id, now).await?;
    tx.commit().await?;
    Ok(())
}
