//! What becomes of somebody in a company: another role, or none.

use serde_json::{Value, json};
use tenantry_ids::{CompanyId, EventId, UserId};
use tenantry_rpc::auth::Revocable;
use tenantry_rpc::{Context, Error, Reason};

use super::attempt::{Attempt, repeat};
use super::members::Member;
use super::{App, changes};
use crate::domain::Role;
use crate::store::{CentralTx, companies, events, people, sessions};

/// Who does it, to whom, in which company.
struct Act<'a> {
    caller: UserId,
    actor: &'a str,
    company: CompanyId,
    user: UserId,
}

/// Gives a member of the caller's company another role.
pub(crate) async fn change_role(
    app: &App,
    context: &Context,
    company: CompanyId,
    user: UserId,
    role: Role,
) -> Result<Member, Error> {
    let (caller, actor) = (context.person()?.user, context.caller().subject());
    let act = Act { caller, actor: &actor, company, user };
    repeat(|| attempt_change(app, &act, role)).await?;
    app.changes.wake();
    people::member(&app.db, company, user).await?.ok_or_else(not_found)
}

async fn attempt_change(app: &App, act: &Act<'_>, role: Role) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let (own, before) = roles(&tx, act).await?;
    if !own.is_some_and(|own| own.can_grant(before)) {
        return Err(Error::new(Reason::RoleTooLow, "your role in the company cannot change this member").into());
    }
    if !own.is_some_and(|own| own.can_grant(role)) {
        return Err(Error::new(Reason::RoleNotGrantable, "your role in the company cannot give this role").into());
    }
    if before == role {
        return Ok(());
    }
    expect_another_owner(&tx, act.company, before).await?;
    let now = app.now();
    people::set_role(&tx, act.company, act.user, role).await?;
    let payload = json!({ "user_id": act.user, "from": before.as_str(), "role": role.as_str() });
    append(app, &tx, act, "member.role_changed", payload).await?;
    if role < before {
        // Tokens carry roles; those with more than is left must not go on.
        changes::revoke(&tx, act.company, Revocable::User(act.user), now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Takes somebody out of the caller's company, or the caller.
pub(crate) async fn remove(app: &App, context: &Context, company: CompanyId, user: UserId) -> Result<(), Error> {
    let (caller, actor) = (context.person()?.user, context.caller().subject());
    let act = Act { caller, actor: &actor, company, user };
    repeat(|| attempt_removal(app, &act)).await?;
    app.changes.wake();
    Ok(())
}

/// The caller leaves. Nobody's leave is needed for that.
pub(crate) async fn leave(app: &App, context: &Context, company: CompanyId) -> Result<(), Error> {
    remove(app, context, company, context.person()?.user).await
}

async fn attempt_removal(app: &App, act: &Act<'_>) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let (own, role) = roles(&tx, act).await?;
    if act.user != act.caller && !own.is_some_and(|own| own.can_grant(role)) {
        return Err(Error::new(Reason::RoleTooLow, "your role in the company cannot remove this member").into());
    }
    expect_another_owner(&tx, act.company, role).await?;
    people::remove_member(&tx, act.company, act.user).await?;
    let payload = json!({ "user_id": act.user, "role": role.as_str() });
    append(app, &tx, act, "member.removed", payload).await?;
    sessions::end_of_member(&tx, act.company, act.user).await?;
    changes::revoke(&tx, act.company, Revocable::User(act.user), app.now()).await?;
    tx.commit().await?;
    Ok(())
}

/// The caller's role and the member's, with both locked: of two owners who remove each other one is left.
async fn roles(tx: &CentralTx, act: &Act<'_>) -> Result<(Option<Role>, Role), Attempt> {
    companies::lock(tx, act.company).await?;
    people::lock_user(tx, act.user).await?;
    let role = people::role_in(tx, act.company, act.user).await?.ok_or_else(not_found)?;
    Ok((people::role_in(tx, act.company, act.caller).await?, role))
}

/// For whoever has this role and is to have it no more.
async fn expect_another_owner(tx: &CentralTx, company: CompanyId, role: Role) -> Result<(), Attempt> {
    if role == Role::Owner && people::owners_of(tx, company).await? == 1 {
        let message = "the company has no other owner; make somebody else an owner first";
        return Err(Error::new(Reason::LastOwner, message).into());
    }
    Ok(())
}

async fn append(app: &App, tx: &CentralTx, act: &Act<'_>, kind: &'static str, payload: Value) -> Result<(), Attempt> {
    let id = EventId::new(&*app.ids);
    let event = events::NewEvent { id, company: Some(act.company), kind, actor: act.actor, payload };
    Ok(events::append(tx, event, app.now()).await?)
}

fn not_found() -> Error {
    Error::new(Reason::MemberNotFound, "nobody of this id belongs to the company")
}
