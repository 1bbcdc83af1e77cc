//! Sign-ins that go on: a session is continued by its refresh token, which each use replaces (RFC 9700, section 4.14.2).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tenantry_ids::{CompanyId, EventId, SessionId, UserId};
use tenantry_rpc::auth::Revocable;
use tenantry_rpc::{Caller, Context, Error, Reason};

use super::attempt::{Attempt, repeat};
use super::tokens::{self, Issued};
use super::{App, changes};
use crate::secrets::RefreshToken;
use crate::store::entities::{company, session};
use crate::store::{CentralTx, StoreError, companies, events, people, sessions};

/// How long sign-ins go on.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Sessions")]
pub struct SessionSettings {
    /// How long a session can be continued after it was last, in seconds.
    #[arg(long, env = "CATALOG_REFRESH_IDLE_S", default_value_t = 1_209_600, value_parser = clap::value_parser!(u32).range(1..=31_536_000))]
    pub refresh_idle_s: u32,

    /// How long a session can be continued at all, in seconds; then people sign in anew.
    #[arg(long, env = "CATALOG_SESSION_LIFETIME_S", default_value_t = 7_776_000, value_parser = clap::value_parser!(u32).range(1..=315_360_000))]
    pub session_lifetime_s: u32,

    /// For how long after its use a refresh token is taken again and answered with the same next one, in seconds, so
    /// that a lost answer, or two who refresh at once, sign nobody out; 0 for none. Used again later, it ends the session.
    #[arg(long, env = "CATALOG_REFRESH_GRACE_S", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub refresh_grace_s: u32,

    /// Sessions that a user has at most; a further one ends the one that was not continued for longest.
    #[arg(long, env = "CATALOG_SESSIONS_PER_USER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub sessions_per_user: u32,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self { refresh_idle_s: 1_209_600, session_lifetime_s: 7_776_000, refresh_grace_s: 10, sessions_per_user: 50 }
    }
}

/// A session that can be continued.
pub(crate) struct Continued {
    pub(crate) company: CompanyId,
    pub(crate) access: Issued,
    pub(crate) refresh: RefreshToken,
    /// When the refresh token is of no use any more.
    pub(crate) refresh_ends_at: DateTime<Utc>,
}

/// Begins a session, in the transaction that holds its user's lock.
pub(super) async fn begin(
    app: &App,
    tx: &CentralTx,
    (user, company): (UserId, &company::Model),
    audiences: &[String],
    now: DateTime<Utc>,
) -> Result<(session::Model, RefreshToken), Error> {
    let settings = &app.settings.sessions;
    let id = SessionId::new(&*app.ids);
    let token = RefreshToken::new(app.sealer.refresh_tokens(), id)?;
    let ends_at = now + seconds(settings.session_lifetime_s);
    let row = session::Model {
        id,
        company_id: company.id,
        user_id: user,
        access_epoch: company.access_epoch,
        audiences: audiences.join(" "),
        current_hash: token.hash(),
        previous_hash: None,
        rotated_at: now,
        idle_ends_at: ends_at.min(now + seconds(settings.refresh_idle_s)),
        ends_at,
        created_at: now,
    };
    sessions::insert(tx, row.clone(), settings.sessions_per_user.into()).await?;
    Ok((row, token))
}

/// Continues a session: an access token, and the refresh token that comes next.
pub(crate) async fn refresh(app: &App, text: &str) -> Result<Continued, Error> {
    let token = RefreshToken::parse(app.sealer.refresh_tokens(), text).ok_or_else(invalid)?;
    match repeat(|| attempt_refresh(app, &token)).await? {
        Outcome::Continued(continued) => Ok(*continued),
        Outcome::Reused => {
            app.changes.wake();
            Err(invalid())
        }
    }
}

enum Outcome {
    Continued(Box<Continued>),
    /// The token had been used. Somebody has it who should not, or a client is broken: nobody can tell which of them
    /// has come first, so the session is over for both.
    Reused,
}

async fn attempt_refresh(app: &App, token: &RefreshToken) -> Result<Outcome, Attempt> {
    let seen = sessions::find(&app.db, token.session()).await?.ok_or_else(invalid)?;
    let tx = app.db.begin().await?;
    people::lock_user(&tx, seen.user_id).await?;
    let session = sessions::find(&tx, seen.id).await?.ok_or_else(invalid)?;
    let now = app.now();
    if session.idle_ends_at <= now || session.ends_at <= now {
        return Err(invalid().into());
    }
    let settings = &app.settings.sessions;
    let (hash, is_first) = (token.hash(), session.current_hash == token.hash());
    let is_lost_answer =
        session.previous_hash.as_deref() == Some(&hash) && now < session.rotated_at + seconds(settings.refresh_grace_s);
    if !is_first && !is_lost_answer {
        end(app, &tx, &session, ("session.token_reused", &format!("user:{}", session.user_id)), now).await?;
        tx.commit().await?;
        return Ok(Outcome::Reused);
    }
    let company = companies::find(&tx, session.company_id).await?.ok_or_else(invalid)?;
    tokens::check_state(&company)?;
    let role = people::role_in(&tx, company.id, session.user_id).await?.ok_or_else(invalid)?;
    if session.access_epoch < company.access_epoch {
        return Err(invalid().into());
    }
    let refresh = token.next(app.sealer.refresh_tokens());
    let next = if is_first {
        let idle_ends_at = session.ends_at.min(now + seconds(settings.refresh_idle_s));
        let (current_hash, previous_hash) = (refresh.hash(), Some(hash));
        let next = session::Model { current_hash, previous_hash, rotated_at: now, idle_ends_at, ..session };
        sessions::rotate(&tx, &next).await?;
        next
    } else {
        // The session has gone on to this one already, and gets no further time.
        session
    };
    let issued_at = tokens::issued_at(&tx, company.id, next.user_id, now).await?;
    tx.commit().await?;
    let access = tokens::of_session(app, &next, &company, role, issued_at).await?;
    let refresh_ends_at = next.idle_ends_at;
    Ok(Outcome::Continued(Box::new(Continued { company: company.id, access, refresh, refresh_ends_at })))
}

/// Ends the session of a refresh token, with its access tokens. One that is unknown, old or over is fine, since it is
/// of no use then (RFC 7009, section 2.2).
pub(crate) async fn revoke(app: &App, text: &str) -> Result<(), Error> {
    if text.matches('.').count() == 2 {
        let message = "this is an access token, which ends by itself soon; send the refresh token of its session";
        return Err(Error::new(Reason::UnsupportedTokenType, message));
    }
    let Some(token) = RefreshToken::parse(app.sealer.refresh_tokens(), text) else { return Ok(()) };
    repeat(|| attempt_revoke(app, &token)).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt_revoke(app: &App, token: &RefreshToken) -> Result<(), Attempt> {
    let Some(seen) = sessions::find(&app.db, token.session()).await? else { return Ok(()) };
    let tx = app.db.begin().await?;
    people::lock_user(&tx, seen.user_id).await?;
    let Some(session) = sessions::find(&tx, seen.id).await? else { return Ok(()) };
    end(app, &tx, &session, ("session.ended", &format!("user:{}", session.user_id)), app.now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn end(
    app: &App,
    tx: &CentralTx,
    session: &session::Model,
    (kind, actor): (&'static str, &str),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    sessions::end(tx, session.id).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(session.company_id),
        kind,
        actor,
        payload: json!({ "session_id": session.id, "user_id": session.user_id }),
    };
    events::append(tx, event, now).await?;
    changes::revoke(tx, session.company_id, Revocable::Session(session.id), now).await
}

/// Ends everything that somebody is signed in to: the caller, or whom an operator names.
pub(crate) async fn sign_out_everywhere(app: &App, context: &Context, named: Option<UserId>) -> Result<(), Error> {
    let user = match (context.caller(), named) {
        (Caller::User(_), None) => context.person()?.user,
        (Caller::User(_), Some(named)) if context.person()?.user == named => named,
        (Caller::User(_), Some(_)) => {
            return Err(Error::new(Reason::CallerNotAllowed, "only operators sign others out; leave user_id empty"));
        }
        (_, Some(named)) => named,
        (_, None) => {
            let description = "must be the user to sign out".to_owned();
            return Err(Error::fields(vec![tenantry_rpc::FieldViolation { field: "user_id".into(), description }]));
        }
    };
    let actor = context.caller().subject();
    repeat(|| attempt_sign_out(app, user, &actor)).await?;
    app.changes.wake();
    Ok(())
}

async fn attempt_sign_out(app: &App, user: UserId, actor: &str) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let known = people::lock_user(&tx, user).await?;
    known.ok_or_else(|| Error::new(Reason::UserNotFound, "there is no such user"))?;
    let now = app.now();
    end_all(&tx, user, now).await?;
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: None,
        kind: "user.signed_out",
        actor,
        payload: json!({ "user_id": user }),
    };
    events::append(&tx, event, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends everything that a user has, in the transaction that holds their lock.
pub(super) async fn end_all(tx: &CentralTx, user: UserId, now: DateTime<Utc>) -> Result<(), StoreError> {
    sessions::end_of_user(tx, user).await?;
    for (company, _) in people::companies_of(tx, user).await? {
        changes::revoke(tx, company.id, Revocable::User(user), now).await?;
    }
    Ok(())
}

/// One answer for a token that is unknown, used, over or signed out.
fn invalid() -> Error {
    Error::new(Reason::RefreshTokenInvalid, "the refresh token is not valid any more; sign in again")
}

fn seconds(seconds: u32) -> TimeDelta {
    TimeDelta::seconds(seconds.into())
}
