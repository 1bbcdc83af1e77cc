//! Creating companies, and reading them.

use serde_json::json;
use tenantry_api::migrator::v1::Adoption;
use tenantry_ids::{CompanyId, DatabaseId, EventId, UserId};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, Reason};
use tenantry_telemetry::propagation;
use tokio::sync::OnceCell;

use super::adoption;
use super::attempt::{Attempt, repeat};
use super::replay::Replayable;
use super::{App, placement, provisioning};
use crate::domain::{CompanyName, Email, Labels, Limits, Role, Slug, SlugChoice, State};
use crate::secrets::TenantPassword;
pub(crate) use crate::store::companies::Filter;
use crate::store::entities::{company, company_database, provisioning_step};
use crate::store::plans::{self, PlanTable};
use crate::store::{CentralTx, StoreError, companies, events, people, provisioning as steps};

/// A company as it is to be.
pub(crate) struct NewCompany {
    pub(crate) name: CompanyName,
    pub(crate) slug: SlugChoice,
    pub(crate) owner: NewOwner,
    pub(crate) server: Option<String>,
    pub(crate) adoption: Option<Adoption>,
    pub(crate) traits: Traits,
    pub(crate) replay: Replayable,
}

/// What an operator says of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traits {
    pub(crate) labels: Labels,
    /// Empty: none.
    pub(crate) plan: String,
    /// Empty: none.
    pub(crate) region: String,
}

/// Its first owner.
pub(crate) struct NewOwner {
    pub(crate) email: Email,
    /// Empty for somebody known.
    pub(crate) password: String,
    /// Whether somebody known is taken as the owner; else the address is taken.
    pub(crate) known_is_fine: bool,
}

/// A company with its database and the steps that make and remove it.
pub(crate) struct CompanyView {
    pub(crate) company: company::Model,
    pub(crate) database: Option<company_database::Model>,
    pub(crate) steps: Vec<provisioning_step::Model>,
    /// With what its plan says.
    pub(crate) limits: Limits,
}

/// What one company is asked for by.
pub(crate) enum Wanted {
    Id(CompanyId),
    Slug(String),
}

/// Public sign-up: creates and waits.
pub(crate) async fn register(app: &App, context: &Context, new: NewCompany) -> Result<CompanyView, Error> {
    if !app.settings.public_sign_up {
        return Err(Error::new(Reason::SignUpClosed, "public sign-up is closed here; ask an operator for a company"));
    }
    create(app, context, new, true).await
}

/// Creates a company and its intent to have a database, and waits for it if asked.
pub(crate) async fn create(app: &App, context: &Context, new: NewCompany, wait: bool) -> Result<CompanyView, Error> {
    if let Some(adoption) = &new.adoption {
        adoption::check(app, context, &new, adoption).await?;
    }
    let password_hash = OnceCell::new();
    let id = repeat(|| attempt(app, context, &new, &password_hash)).await?;
    app.progress.wake();
    if wait { provisioning::wait(app, context, id).await } else { view(app, id).await }
}

async fn attempt(
    app: &App,
    context: &Context,
    new: &NewCompany,
    password_hash: &OnceCell<String>,
) -> Result<CompanyId, Attempt> {
    if let Some(earlier) = new.replay.earlier(&app.db, app.now()).await? {
        return Ok(earlier);
    }
    match write(app, context, new, password_hash).await {
        // What refuses this request may be its own twin, done since the first look.
        Err(Attempt::Failed(refusal)) => new.replay.earlier(&app.db, app.now()).await?.ok_or(Attempt::Failed(refusal)),
        other => other,
    }
}

async fn write(
    app: &App,
    context: &Context,
    new: &NewCompany,
    password_hash: &OnceCell<String>,
) -> Result<CompanyId, Attempt> {
    let id = CompanyId::new(&*app.ids);
    propagation::concerns(id);
    let slug = free_slug(app, &new.slug, id).await?;
    // The slow hash is made before the transaction: it must not hold a connection.
    let owner = owner_of(app, &new.owner, password_hash).await?;
    let (asked, region) = (new.server.as_deref(), Some(new.traits.region.as_str()).filter(|region| !region.is_empty()));
    for place in placement::candidates(app, asked, region).await? {
        let tx = app.db.begin().await?;
        if placement::take(&tx, &place).await? {
            write_there(app, context, tx, new, (id, &slug, &owner, &place.name)).await?;
            return Ok(id);
        }
    }
    Err(placement::full(asked, region).into())
}

/// The company, and all that it needs, in the transaction that has its place.
async fn write_there(
    app: &App,
    context: &Context,
    tx: CentralTx,
    new: &NewCompany,
    (id, slug, owner, server): (CompanyId, &Slug, &Owner, &str),
) -> Result<(), Attempt> {
    let actor = context.caller().subject();
    let now = app.now();
    let Traits { labels, plan, region } = &new.traits;
    let row = companies::NewCompany {
        id,
        labels: labels.to_json(),
        plan: some(plan),
        region: some(region),
        name: new.name.as_str().to_owned(),
        slug: slug.as_str().to_owned(),
        created_by: actor.clone(),
    };
    companies::insert(&tx, row, now).await?;
    let user = write_owner(app, &tx, owner, &new.owner.email).await?;
    people::add_member(&tx, id, user, Role::Owner, now).await?;
    let database = write_database(app, &tx, id, server, new.adoption.as_ref()).await?;
    steps::insert(&tx, id, app.hooks.turns(), now).await?;
    let payload = json!({
        "to": State::Provisioning.as_str(), "access_epoch": 1, "name": new.name.as_str(), "slug": slug.as_str(),
        "labels": labels.to_json(), "plan": some(plan), "region": some(region), "server": server,
        "database_id": database, "generation": 1, "owner": user,
    });
    let event = events::NewEvent {
        id: EventId::new(&*app.ids),
        company: Some(id),
        kind: "company.created",
        actor: &actor,
        payload,
    };
    events::append(&tx, event, now).await?;
    new.replay.record(&tx, id, now).await?;
    Ok(tx.commit().await?)
}

/// What is empty is not there.
pub(super) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

async fn free_slug(app: &App, choice: &SlugChoice, id: CompanyId) -> Result<Slug, Attempt> {
    let first = choice.first();
    if companies::find_by_slug(&app.db, first.as_str()).await?.is_none() {
        return Ok(first.clone());
    }
    Ok(choice.fallback(id).ok_or_else(slug_taken)?)
}

pub(super) fn slug_taken() -> Error {
    Error::new(Reason::SlugTaken, "this slug belongs to another company; choose another")
}

enum Owner {
    Known(UserId),
    New { password_hash: String },
}

async fn owner_of(app: &App, owner: &NewOwner, password_hash: &OnceCell<String>) -> Result<Owner, Attempt> {
    match people::find_user(&app.db, &owner.email).await? {
        Some(user) if owner.known_is_fine && owner.password.is_empty() => Ok(Owner::Known(user.id)),
        Some(_) if owner.known_is_fine => {
            let message = "this address has a user already; leave the password empty to make them the owner";
            Err(Error::fields(vec![field("owner_password", message)]).into())
        }
        Some(_) => {
            let message = "this e-mail address has a user already; sign in, or register with another address";
            Err(Error::new(Reason::EmailTaken, message).into())
        }
        None if owner.password.is_empty() => {
            let message = "there is no user with this address; give a password for a new one";
            Err(Error::fields(vec![field("owner_password", message)]).into())
        }
        None => {
            let hash = password_hash.get_or_try_init(|| app.passwords.hash(&owner.password)).await;
            Ok(Owner::New { password_hash: hash.map_err(Error::from)?.clone() })
        }
    }
}

fn field(field: &str, description: &str) -> tenantry_rpc::FieldViolation {
    tenantry_rpc::FieldViolation { field: field.to_owned(), description: description.to_owned() }
}

async fn write_owner(app: &App, tx: &CentralTx, owner: &Owner, email: &Email) -> Result<UserId, StoreError> {
    match owner {
        Owner::Known(id) => Ok(*id),
        Owner::New { password_hash } => {
            let id = UserId::new(&*app.ids);
            people::insert_user(tx, id, (email.address(), email.key()), password_hash.clone(), app.now()).await?;
            Ok(id)
        }
    }
}

async fn write_database(
    app: &App,
    tx: &CentralTx,
    company: CompanyId,
    server: &str,
    adoption: Option<&Adoption>,
) -> Result<DatabaseId, Attempt> {
    let id = DatabaseId::new(&*app.ids);
    let password = TenantPassword::generate().map_err(Error::from)?;
    let sealed = app.sealer.seal(&database_owner(id), password.expose().as_bytes()).map_err(Error::from)?;
    let row = companies::NewDatabase {
        id,
        company_id: company,
        server: server.to_owned(),
        sealed_password: sealed,
        adopted_name: adoption.map(|adoption| adoption.name.clone()),
        baseline_version: adoption.and_then(|adoption| some(&adoption.baseline_version)),
    };
    companies::insert_database(tx, row, app.now()).await?;
    Ok(id)
}

/// Whose a sealed tenant password is, as associated data.
pub(crate) fn database_owner(id: DatabaseId) -> String {
    format!("database:{id}")
}

/// One company.
pub(crate) async fn view(app: &App, id: CompanyId) -> Result<CompanyView, Error> {
    let company = companies::find(&app.db, id).await?.ok_or_else(not_found)?;
    with_steps(app, company).await
}

/// One company, by its id or its slug.
pub(crate) async fn get(app: &App, wanted: Wanted) -> Result<CompanyView, Error> {
    match wanted {
        Wanted::Id(id) => view(app, id).await,
        Wanted::Slug(slug) => {
            let company = companies::find_by_slug(&app.db, &slug).await?.ok_or_else(not_found)?;
            with_steps(app, company).await
        }
    }
}

/// A company that was just read or written, with the rest of what operators see.
pub(super) async fn with_steps(app: &App, company: company::Model) -> Result<CompanyView, Error> {
    let database = companies::database_of(&app.db, company.id).await?;
    let steps = steps::steps(&app.db, company.id).await?;
    let limits = plans::effective(&app.db, &company).await?;
    Ok(CompanyView { company, database, steps, limits })
}

pub(super) fn not_found() -> Error {
    Error::new(Reason::CompanyNotFound, "there is no such company")
}

/// A page of companies, oldest first and without their steps, and the token of the next.
pub(crate) async fn list(app: &App, filter: &Filter, page: Page) -> Result<(Vec<CompanyView>, String), Error> {
    let mut rows = companies::list(&app.db, filter, page.after, page.size + 1).await?;
    let next = page.cut(LIST, &mut rows, |row| row.id.0);
    let mut databases = companies::databases_of(&app.db, rows.iter().map(|row| row.id)).await?;
    let plans = PlanTable::read(&app.db).await?;
    let view = |company: company::Model| {
        let (database, limits) = (databases.remove(&company.id), plans.effective(&company));
        CompanyView { company, database, steps: Vec::new(), limits }
    };
    Ok((rows.into_iter().map(view).collect(), next))
}

/// The name of the list of companies in page tokens.
pub(crate) const LIST: &str = "companies";
