//! Making, seeding and knowing one tenant's database.

use tenantry_ids::{CompanyId, DatabaseId};
use tenantry_migration::{MigrationSet, seed, status};
use tenantry_rpc::{Context, Error, Reason, failpoint};

use super::adoption::{self, ToAdopt};
use super::{App, rollouts, spares};
use crate::ident::{Ident, IdentError};
use crate::servers::{DatabaseServer, NewTenant, ServerError, Verifier};
use crate::store::StoreError;
use crate::store::claims::{self, Claim, ClaimState, NewClaim};

/// A database to make for a company.
pub(crate) struct NewDatabase {
    pub(crate) company: CompanyId,
    pub(crate) database: DatabaseId,
    pub(crate) server: String,
    pub(crate) verifier: Verifier,
    /// One that is there already, instead of a new one.
    pub(crate) to_adopt: Option<ToAdopt>,
}

impl From<IdentError> for Error {
    fn from(error: IdentError) -> Self {
        Error::internal(error)
    }
}

/// Makes a company's database, or finishes or finds the one that it has.
pub(crate) async fn create(app: &App, context: &Context, new: NewDatabase) -> Result<Claim, Error> {
    let Claimed { claim, spare } = claim(app, &new).await?;
    failpoint::pass("create_database:claimed");
    if claim.state == ClaimState::Ready {
        // It has its data and its password by now; a call that comes late must bring neither back to where they were.
        return Ok(claim);
    }
    let server = server(app, &claim)?;
    let name = Ident::new(&claim.name)?;
    let role = claim.role.as_deref().map_or_else(|| Ok(name.clone()), Ident::new)?;
    let tenant = NewTenant { name, role, verifier: new.verifier };
    let still_wanted = async {
        match expect_kept(app, claim.company_id).await {
            Ok(now) if now.is_rotated() => Err(ServerError::Busy),
            Ok(_) => Ok(()),
            Err(error) => Err(ServerError::withdrawn(error)),
        }
    };
    let set = match &spare {
        Some(set) => set.clone(),
        None => rollouts::set_for_new_databases(app).await?,
    };
    match (&spare, &new.to_adopt) {
        (Some(_), _) => server.hand_over(&tenant, still_wanted).await?,
        (None, Some(wanted)) => {
            adoption::adopt(app, context, &claim, &tenant, (wanted, &set), still_wanted).await?;
        }
        // Also what finishes a spare that was cut short on its way to the company.
        (None, None) => server.create(&tenant, &set, &app.run(context), still_wanted).await?,
    }
    let version = version_now(app, &claim, &set).await?;
    failpoint::pass("create_database:migrated");
    claims::note_ready(&app.db, claim.database_id, &version, app.clock.now()).await?;
    failpoint::pass("create_database:ready");
    expect_kept(app, claim.company_id).await
}

/// One that was adopted may be further than new databases are.
async fn version_now(app: &App, claim: &Claim, set: &MigrationSet) -> Result<String, Error> {
    if !claim.adopting {
        return Ok(set.head().unwrap_or_default().to_owned());
    }
    let db = server(app, claim)?.open(&Ident::new(&claim.name)?).await?;
    let found = status(db.raw(), &app.tenant_set).await;
    db.close().await?;
    Ok(found.map_err(ServerError::from)?.version().unwrap_or_default().to_owned())
}

/// The claim, unless its database is dropped or being dropped.
pub(super) async fn expect_kept(app: &App, company: CompanyId) -> Result<Claim, Error> {
    let claim = claims::of_company(&app.db, company).await?.ok_or_else(no_database)?;
    match claim.state {
        ClaimState::Creating | ClaimState::Ready => Ok(claim),
        ClaimState::Dropping | ClaimState::Dropped => {
            let message = "the company's database was dropped, and it gets no other; create another company";
            Err(Error::new(Reason::DatabaseDropped, message))
        }
    }
}

/// A company's claim on a database.
struct Claimed {
    claim: Claim,
    /// The migrations of the spare that became the company's just now.
    spare: Option<MigrationSet>,
}

/// The company's claim, made where there is none, on a spare where there is one. Of two calls at once one makes it, and
/// the other finds it.
async fn claim(app: &App, new: &NewDatabase) -> Result<Claimed, Error> {
    if let Some(known) = claims::of_company(&app.db, new.company).await? {
        return Ok(Claimed { claim: known, spare: None });
    }
    let server = app.servers.named(&new.server)?;
    if new.to_adopt.is_none() && server.has_spares() {
        let set = rollouts::set_for_new_databases(app).await?;
        if spares::take(app, new, server, &set).await? {
            let claim = claims::of_company(&app.db, new.company).await?.ok_or_else(claim_gone)?;
            return Ok(Claimed { claim, spare: Some(set) });
        }
    }
    let role = app.prefix.database(new.database)?;
    let name = new.to_adopt.as_ref().map_or(&role, |wanted| &wanted.name);
    let row = NewClaim {
        database: new.database,
        company: new.company,
        server: &new.server,
        name: name.as_str(),
        role: server.has_roles().then_some(role.as_str()),
        state: ClaimState::Creating,
        adopting: new.to_adopt.is_some(),
    };
    match claims::insert(app.db.raw(), row, app.clock.now()).await {
        Ok(()) | Err(StoreError::Taken(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(claim) = claims::of_company(&app.db, new.company).await? {
        return Ok(Claimed { claim, spare: None });
    }
    let by_id = claims::of_database(&app.db, new.database).await?;
    let by_name = claims::of_name(&app.db, &new.server, name.as_str()).await?;
    Err(match by_id.or(by_name) {
        Some(_) => claimed_by_another(),
        None => claim_gone(),
    })
}

fn claim_gone() -> Error {
    Error::internal("a claim that was made is gone")
}

pub(super) fn claimed_by_another() -> Error {
    Error::new(Reason::DatabaseClaimed, "this database belongs, or belonged, to another company; use another one")
}

/// The server that the claim names.
pub(super) fn server<'a>(app: &'a App, claim: &Claim) -> Result<&'a DatabaseServer, Error> {
    app.servers.named(&claim.server)
}

/// Puts the seed data in.
pub(crate) async fn seed_database(app: &App, company: CompanyId) -> Result<Claim, Error> {
    let claim = find(app, company).await?;
    let db = server(app, &claim)?.open(&Ident::new(&claim.name)?).await?;
    let seeded = seed(db.raw(), &app.tenant_set).await;
    db.close().await?;
    seeded.map_err(ServerError::from)?;
    failpoint::pass("seed:seeded");
    claims::note_seeded(&app.db, claim.database_id, app.clock.now()).await?;
    find(app, company).await
}

/// What is known of a company's database, as long as there is one.
pub(crate) async fn find(app: &App, company: CompanyId) -> Result<Claim, Error> {
    let found = claims::of_company(&app.db, company).await?;
    found.filter(|claim| claim.state != ClaimState::Dropped).ok_or_else(no_database)
}

fn no_database() -> Error {
    Error::new(Reason::DatabaseNotFound, "the company has no database here")
}
