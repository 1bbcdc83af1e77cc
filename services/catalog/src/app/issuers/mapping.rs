//! What a claim's value leads to, and who of an issuer's is whom of ours: what operators say, row by row.

use serde_json::json;
use tenantry_ids::{CompanyId, EventId, IssuerId, UserId};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Reason};

use super::{get, not_found};
use crate::app::App;
use crate::app::attempt::{Attempt, repeat};
use crate::domain::State;
use crate::store::entities::{issuer_company, issuer_user};
use crate::store::{companies, events, issuers, people};

/// The names of the lists in page tokens.
pub(crate) const COMPANIES: &str = "issuer_companies";
pub(crate) const USERS: &str = "issuer_users";

/// Maps a claim's value to a company.
pub(crate) async fn map(
    app: &App,
    context: &Context,
    (issuer, value, company): (IssuerId, &str, CompanyId),
) -> Result<issuer_company::Model, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_map(app, &actor, (issuer, value, company))).await
}

async fn attempt_map(
    app: &App,
    actor: &str,
    (issuer_id, value, company_id): (IssuerId, &str, CompanyId),
) -> Result<issuer_company::Model, Attempt> {
    let tx = app.db.begin().await?;
    // The company first, as everybody does; whoever purges it takes this away or comes before.
    let company = companies::lock(&tx, company_id).await?.filter(|company| company.state != State::Purged);
    company.ok_or_else(|| Error::new(Reason::CompanyNotFound, "there is no such company"))?;
    let issuer = issuers::lock(&tx, issuer_id).await?.ok_or_else(not_found)?;
    if let Some(known) = issuers::mapped(&tx, issuer_id, value).await? {
        if known.company_id == company_id {
            return Ok(known);
        }
        let message = "the value leads to another company; delete that first";
        return Err(Error::new(Reason::IssuerCompanyExists, message).into());
    }
    let (id, claim_value, created_at) = (app.ids.uuid(), value.to_owned(), app.now());
    let row = issuer_company::Model { id, issuer_id, claim_value, company_id, created_at };
    issuers::map(&tx, row.clone()).await?;
    let payload = json!({ "issuer_id": issuer_id, "issuer": issuer.issuer_url, "claim_value": value });
    let (id, company) = (EventId::new(&*app.ids), Some(company_id));
    events::append(&tx, events::NewEvent { id, company, kind: "issuer.company_mapped", actor, payload }, created_at)
        .await?;
    tx.commit().await?;
    Ok(row)
}

/// A page of what an issuer's values lead to, and the token of the next.
pub(crate) async fn companies(
    app: &App,
    issuer: IssuerId,
    page: Page,
) -> Result<(Vec<issuer_company::Model>, String), Error> {
    get(app, issuer).await?;
    let mut rows = issuers::companies(&app.db, issuer, page.after, page.size + 1).await?;
    let next = page.cut(COMPANIES, &mut rows, |row| row.id);
    Ok((rows, next))
}

/// Takes a value's company away.
pub(crate) async fn unmap(app: &App, context: &Context, issuer: IssuerId, value: &str) -> Result<(), Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_unmap(app, &actor, issuer, value)).await
}

async fn attempt_unmap(app: &App, actor: &str, issuer: IssuerId, value: &str) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let Some(row) = issuers::mapped(&tx, issuer, value).await? else {
        let message = "the value is mapped to no company; list what is";
        return Err(Error::new(Reason::IssuerCompanyNotFound, message).into());
    };
    issuers::unmap(&tx, &row).await?;
    let payload = json!({ "issuer_id": issuer, "claim_value": value });
    let (id, company) = (EventId::new(&*app.ids), Some(row.company_id));
    let event = events::NewEvent { id, company, kind: "issuer.company_unmapped", actor, payload };
    events::append(&tx, event, app.now()).await?;
    Ok(tx.commit().await?)
}

/// Links somebody of an issuer's to one of our users.
pub(crate) async fn link(
    app: &App,
    context: &Context,
    (issuer, subject, user): (IssuerId, &str, UserId),
) -> Result<issuer_user::Model, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_link(app, &actor, (issuer, subject, user))).await
}

async fn attempt_link(
    app: &App,
    actor: &str,
    (issuer_id, subject, user_id): (IssuerId, &str, UserId),
) -> Result<issuer_user::Model, Attempt> {
    let tx = app.db.begin().await?;
    let known = people::lock_user(&tx, user_id).await?;
    known.ok_or_else(|| Error::new(Reason::UserNotFound, "there is no such user"))?;
    issuers::lock(&tx, issuer_id).await?.ok_or_else(not_found)?;
    let (of_subject, of_user) =
        (issuers::linked(&tx, issuer_id, subject).await?, issuers::link_of(&tx, issuer_id, user_id).await?);
    match (of_subject, of_user) {
        (None, None) => {}
        (Some(row), _) if row.user_id == user_id => return Ok(row),
        (Some(_), _) | (None, Some(_)) => {
            let message = "the subject is linked to another user, or the user to another subject; delete that first";
            return Err(Error::new(Reason::IssuerUserExists, message).into());
        }
    }
    let (id, subject, created_at) = (app.ids.uuid(), subject.to_owned(), app.now());
    let row = issuer_user::Model { id, issuer_id, subject, user_id, created_at };
    issuers::link(&tx, row.clone()).await?;
    super::note(app, &tx, "issuer.user_linked", actor, json!({ "issuer_id": issuer_id, "user_id": user_id })).await?;
    tx.commit().await?;
    Ok(row)
}

/// A page of who is linked, and the token of the next.
pub(crate) async fn users(app: &App, issuer: IssuerId, page: Page) -> Result<(Vec<issuer_user::Model>, String), Error> {
    get(app, issuer).await?;
    let mut rows = issuers::users(&app.db, issuer, page.after, page.size + 1).await?;
    let next = page.cut(USERS, &mut rows, |row| row.id);
    Ok((rows, next))
}

/// Ends a link.
pub(crate) async fn unlink(app: &App, context: &Context, issuer: IssuerId, subject: &str) -> Result<(), Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_unlink(app, &actor, issuer, subject)).await
}

async fn attempt_unlink(app: &App, actor: &str, issuer: IssuerId, subject: &str) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let Some(row) = issuers::linked(&tx, issuer, subject).await? else {
        let message = "the subject is linked to nobody; list who is";
        return Err(Error::new(Reason::IssuerUserNotFound, message).into());
    };
    issuers::unlink(&tx, &row).await?;
    let payload = json!({ "issuer_id": issuer, "user_id": row.user_id });
    super::note(app, &tx, "issuer.user_unlinked", actor, payload).await?;
    Ok(tx.commit().await?)
}
