//! Mending, one finding after the other, each on the record.

use std::sync::Arc;
use std::time::Duration;

use tenantry_api::catalog::v1::CompanyState;
use tenantry_ids::{CompanyId, RunId};
use tenantry_rpc::{Context, Error, Reason};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::finding::{Action, Finding, Kind, Outcome};
use super::names::Name;
use super::{MOST_FINDINGS, Report, Scope, look};
use crate::app::{App, credentials, databases, fleet, spares as making_spares};
use crate::ident::{Ident, Logins};
use crate::servers::{DatabaseServer, ServerError};
use crate::store::claims::{self, Claim, ClaimState};
use crate::store::spares::{self, SpareState};
use crate::store::{drift, runs};

/// What is left of a call's time for its answer.
const TO_ANSWER: Duration = Duration::from_secs(3);
/// When a server or the catalog may be back.
const SOON: Duration = Duration::from_secs(2);

/// What is to be mended.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) scope: Scope,
    /// Empty: everything that mends by itself, or nothing where databases are named.
    pub(crate) kinds: Vec<Kind>,
    /// Databases to drop, by server and name.
    pub(crate) drop: Vec<(String, String)>,
    pub(crate) force: bool,
    pub(crate) validate_only: bool,
}

impl Order {
    fn wants(&self, finding: &Finding) -> bool {
        match finding.action {
            None => false,
            Some(Action::DropNamedDatabase) => self.names(finding),
            Some(_) if self.kinds.is_empty() => self.drop.is_empty(),
            Some(_) => self.kinds.contains(&finding.kind),
        }
    }

    fn names(&self, finding: &Finding) -> bool {
        self.drop.iter().any(|(server, name)| (server, name) == (&finding.server, &finding.name))
    }
}

/// Mends, on the record. Once begun it goes on without its caller: a database that is half dropped is worse than either.
pub(crate) async fn repair(app: &Arc<App>, context: &Context, order: Order) -> Result<Report, Error> {
    if !order.drop.is_empty() && !order.force && !order.validate_only {
        let message = "databases are dropped for good; confirm it with force";
        return Err(Error::new(Reason::ConfirmationRequired, message));
    }
    let (app, caller) = (app.clone(), context.caller().subject());
    let until = context.deadline().checked_sub(TO_ANSWER).unwrap_or(context.deadline());
    let tasks = app.tasks.clone();
    let work = async move { carry_out(&app, &order, &caller, until).await };
    tasks.spawn(work.in_current_span()).await.map_err(Error::internal)?
}

/// What is not begun by then is left for the next call.
async fn carry_out(app: &Arc<App>, order: &Order, caller: &str, until: Instant) -> Result<Report, Error> {
    let mut report = look(app, &order.scope).await?;
    for (server, name) in &order.drop {
        expect_droppable(&report.findings, server, name)?;
    }
    // What is mended is in the report, however much there is.
    report.findings.sort_by_key(|finding| !order.wants(finding));
    report.findings.truncate(MOST_FINDINGS);
    for finding in report.findings.iter_mut().filter(|finding| order.wants(finding)) {
        if order.validate_only {
            finding.outcome = Outcome::Planned;
        } else if Instant::now() < until && !app.stopping.has_begun() {
            finding.outcome = on_record(app, finding, caller).await;
        }
    }
    Ok(report)
}

fn expect_droppable(findings: &[Finding], server: &str, name: &str) -> Result<(), Error> {
    let is_it = |finding: &Finding| finding.action == Some(Action::DropNamedDatabase) && finding.name == name;
    if findings.iter().any(|finding| is_it(finding) && finding.server == server) {
        return Ok(());
    }
    if findings.iter().any(|finding| finding.kind == Kind::CatalogUnreachable) {
        let message = "the catalog cannot be asked whether a company has the database; try again";
        return Err(Error::new(Reason::CatalogUnavailable, message).retry_after(SOON));
    }
    if findings.iter().any(|finding| finding.kind == Kind::ServerUnreachable && finding.server == server) {
        let message = format!("the database server {server:?} cannot be reached; try again");
        return Err(Error::new(Reason::DatabaseServerUnavailable, message).retry_after(SOON));
    }
    let message =
        format!("{server:?} has no database {name:?} that is found to be without a company; nothing was done");
    Err(Error::new(Reason::DatabaseNotFound, message))
}

/// Mends one, with a row that says who did it and how it ended. One that stays without an end was cut short.
async fn on_record(app: &App, finding: &Finding, caller: &str) -> Outcome {
    let id = RunId::new(&*app.ids);
    let new = runs::NewRun {
        id,
        server: &finding.server,
        database: &finding.name,
        set: app.tenant_set.name(),
        command: "reconcile",
        caller: caller.to_owned(),
        from: None,
    };
    let mended = async {
        runs::begin(&app.db, new, app.now()).await?;
        let mended = mend(app, finding).await;
        let failed = mended.as_ref().err().map(in_words);
        runs::end(&app.db, id, None, failed, app.now()).await?;
        mended
    };
    match mended.await {
        Ok(true) => {
            let (kind, server, name) = (finding.kind, &finding.server, &finding.name);
            tracing::info!(audit = "reconciliation.repaired", caller, ?kind, server, name, "a finding was mended");
            Outcome::Done
        }
        Ok(false) => Outcome::Gone,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, name = finding.name, "a finding was not mended");
            Outcome::Failed(in_words(&error))
        }
    }
}

fn in_words(error: &Error) -> String {
    format!("{}: {error}", error.reason())
}

/// False when it was no mess any more.
async fn mend(app: &App, finding: &Finding) -> Result<bool, Error> {
    let server = app.servers.named(&finding.server)?;
    let name = Ident::new(&finding.name)?;
    match finding.action {
        None => Ok(false),
        Some(Action::DropLeftover) => Ok(server.drop_leftover(&name).await?),
        Some(Action::DropRole) => drop_role(app, server, &name).await,
        Some(Action::DropSpare) => drop_spare(app, finding).await,
        Some(Action::RestoreRole) => restore_role(app, server, finding).await,
        Some(Action::CloseClaim) => close_claim(app, server, finding).await,
        Some(Action::DropNamedDatabase) => drop_database(app, server, &finding.server, &name).await,
    }
}

/// The outcome of something that was asked once more under the lock, and `gone` when the answer was no.
fn unless_gone(done: Result<(), ServerError>, gone: bool) -> Result<bool, Error> {
    match done {
        Ok(()) => Ok(true),
        Err(_) if gone => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn drop_role(app: &App, server: &DatabaseServer, role: &Ident) -> Result<bool, Error> {
    // What the role and its database's name end with; the lock is on that name, as far as it is known.
    let (ending, locked) = match Name::read(&app.prefix, role.as_str()) {
        Name::First => (role.as_str(), role.clone()),
        Name::Second(kept) => (kept, app.prefix.with(kept)?),
        _ => return Ok(false),
    };
    let mut gone = false;
    let confirmed = async {
        let is_used = claims::is_login(&app.db, ending).await.map_err(|error| ServerError::withdrawn(error.into()))?;
        let spares = spares::all(&app.db).await.map_err(|error| ServerError::withdrawn(error.into()))?;
        gone = is_used || spares.iter().any(|spare| spare.name.ends_with(ending));
        if gone { Err(ServerError::Busy) } else { Ok(()) }
    };
    let dropped = server.drop_logins(&locked, &[role], confirmed).await;
    unless_gone(dropped, gone)
}

async fn drop_spare(app: &App, finding: &Finding) -> Result<bool, Error> {
    let all = spares::all(&app.db).await?;
    let it = all.iter().find(|spare| spare.server == finding.server && spare.name == finding.name);
    match it {
        // Somebody has taken it over meanwhile.
        Some(spare) if spare.state != SpareState::Ready && spare.lease_until > app.now() => Ok(false),
        Some(spare) => making_spares::discard(app, spare).await,
        None => Ok(false),
    }
}

async fn restore_role(app: &App, server: &DatabaseServer, finding: &Finding) -> Result<bool, Error> {
    let Some(claim) = of_company(app, finding.company).await? else { return Ok(false) };
    let Some(logins) = credentials::logins_if_any(app, &claim)? else { return Ok(false) };
    let role = logins.at(claim.slot());
    if role.as_str() != finding.name {
        return Ok(false);
    }
    let mut gone = false;
    let confirmed = async {
        let now = claims::of_database(&app.db, claim.database_id).await;
        let now = now.map_err(|error| ServerError::withdrawn(error.into()))?;
        gone = !now.is_some_and(|now| now.state == ClaimState::Ready && now.slot() == claim.slot());
        if gone { Err(ServerError::Busy) } else { Ok(()) }
    };
    let restored = server.restore_login(&Ident::new(&claim.name)?, role, confirmed).await;
    unless_gone(restored, gone)
}

/// The record of a database of which nothing is there. Its login roles go, and the database, should it have come back,
/// stays.
async fn close_claim(app: &App, server: &DatabaseServer, finding: &Finding) -> Result<bool, Error> {
    let Some(claim) = of_company(app, finding.company).await? else { return Ok(false) };
    let logins = credentials::logins_if_any(app, &claim)?;
    let roles: Vec<_> = logins.iter().flat_map(Logins::both).collect();
    let mut gone = false;
    let confirmed = async {
        gone = has_company(app, &claim).await.map_err(ServerError::withdrawn)?;
        if gone {
            Err(ServerError::Busy)
        } else {
            note(app, &claim, ClaimState::Dropping).await.map_err(ServerError::withdrawn)
        }
    };
    let dropped = server.drop_logins(&Ident::new(&claim.name)?, &roles, confirmed).await;
    let closed = unless_gone(dropped, gone)?;
    if closed {
        forget(app, &claim).await?;
    }
    Ok(closed)
}

/// For good: everything that could speak against it is asked under the lock.
async fn drop_database(app: &App, server: &DatabaseServer, at: &str, name: &Ident) -> Result<bool, Error> {
    let claim = claims::of_name(&app.db, at, name.as_str()).await?.filter(|claim| claim.state != ClaimState::Dropped);
    let logins = match &claim {
        Some(claim) => credentials::logins_if_any(app, claim)?,
        None if server.has_roles() && Name::read(&app.prefix, name.as_str()) == Name::First => {
            Some(app.prefix.logins(name.clone())?)
        }
        None => None,
    };
    let roles: Vec<_> = logins.iter().flat_map(Logins::both).collect();
    let mut gone = false;
    let confirmed = async {
        gone = is_wanted(app, at, name).await.map_err(ServerError::withdrawn)?;
        match &claim {
            _ if gone => Err(ServerError::Busy),
            Some(claim) => note(app, claim, ClaimState::Dropping).await.map_err(ServerError::withdrawn),
            None => Ok(()),
        }
    };
    let dropped = server.drop_database(name, &roles, confirmed).await;
    let is_dropped = unless_gone(dropped, gone)?;
    if let Some(claim) = claim.filter(|_| is_dropped) {
        forget(app, &claim).await?;
    }
    Ok(is_dropped)
}

/// Whether anybody has the database: a company, by the migrator's or by the catalog's records, or the next one.
async fn is_wanted(app: &App, at: &str, name: &Ident) -> Result<bool, Error> {
    let claims = claims::kept_of_name(&app.db, name.as_str()).await?;
    for claim in &claims {
        if claim.server != at || claim.adopting || has_company(app, claim).await? {
            return Ok(true);
        }
    }
    if spares::all(&app.db).await?.iter().any(|spare| spare.name == name.as_str()) {
        return Ok(true);
    }
    let has_it = |state: CompanyState| state != CompanyState::Purged;
    let tenants = fleet::all(&app.catalog).await?;
    Ok(tenants.iter().any(|of| of.server == at && of.database == name.as_str() && has_it(of.state())))
}

async fn has_company(app: &App, claim: &Claim) -> Result<bool, Error> {
    let tenant = fleet::find(&app.catalog, claim.company_id).await?;
    Ok(tenant.is_some_and(|tenant| tenant.state() != CompanyState::Purged))
}

/// The company's claim, unless it is a tombstone.
async fn of_company(app: &App, company: Option<CompanyId>) -> Result<Option<Claim>, Error> {
    let Some(company) = company else { return Ok(None) };
    match databases::find(app, company).await {
        Ok(claim) => Ok(Some(claim)),
        Err(error) if error.reason() == Reason::DatabaseNotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn note(app: &App, claim: &Claim, state: ClaimState) -> Result<(), Error> {
    Ok(claims::note_state(&app.db, claim.database_id, state, app.now()).await?)
}

async fn forget(app: &App, claim: &Claim) -> Result<(), Error> {
    drift::forget(&app.db, claim.database_id).await?;
    note(app, claim, ClaimState::Dropped).await
}
