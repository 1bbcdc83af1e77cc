//! A user's own password.

use serde_json::json;
use tenantry_ids::{EventId, UserId};
use tenantry_rpc::{Context, Error};

use super::attempt::{Attempt, repeat};
use super::{App, credentials_invalid, sessions, throttle};
use crate::store::{events, people};

/// Changes the caller's password, and ends every session and token that they have.
pub(crate) async fn change(app: &App, context: &Context, current: &str, new: &str) -> Result<(), Error> {
    let id = context.person()?.user;
    let known = people::find_user_by_id(&app.db, id).await?.ok_or_else(credentials_invalid)?;
    // A token that was stolen is not to become a password.
    if !throttle::compare(app, context, (&known.email_key, Some(id)), current, Some(&known.password_hash)).await? {
        return Err(credentials_invalid());
    }
    let hash = app.passwords.hash(new).await?;
    let actor = context.caller().subject();
    repeat(|| attempt(app, &actor, id, (&known.password_hash, &hash))).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt(app: &App, actor: &str, id: UserId, (old, new): (&str, &str)) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let locked = people::lock_user(&tx, id).await?;
    // Changed meanwhile: what was proven is not the password any more.
    locked.filter(|user| user.password_hash == old).ok_or_else(credentials_invalid)?;
    let now = app.now();
    people::set_password(&tx, id, new.to_owned(), now).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "user.password_changed",
        actor,
        payload: json!({ "user_id": id }),
    };
    events::append(&tx, event, now).await?;
    sessions::end_all(&tx, id, now).await?;
    tx.commit().await?;
    Ok(())
}
