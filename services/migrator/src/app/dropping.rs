//! Dropping one tenant's database, for good.

use tenantry_api::catalog::v1::{CompanyState, Tenant};
use tenantry_ids::{CompanyId, DatabaseId};
use tenantry_rpc::{Error, Reason, failpoint};

use super::databases::{claimed_by_another, server};
use super::{App, credentials, fleet};
use crate::ident::{Ident, Logins};
use crate::servers::ServerError;
use crate::store::StoreError;
use crate::store::claims::{self, Claim, ClaimState, NewClaim};
use crate::store::{drift, plugins};

/// A database that is not wanted any more.
pub(crate) struct Unwanted {
    pub(crate) company: CompanyId,
    pub(crate) database: DatabaseId,
    pub(crate) server: String,
}

/// Drops a company's database. Its claim stays as a tombstone, so that the company never gets another.
pub(crate) async fn drop_database(app: &App, unwanted: Unwanted) -> Result<(), Error> {
    let Some(claim) = claim(app, &unwanted).await? else { return Ok(()) };
    if claim.state == ClaimState::Dropped {
        return Ok(());
    }
    let confirmed = async {
        let noted = confirm_and_note(app, &claim).await;
        noted.map_err(ServerError::withdrawn)
    };
    let logins = credentials::logins_if_any(app, &claim)?;
    let roles = logins.iter().flat_map(Logins::both).collect::<Vec<_>>();
    let (server, name) = (server(app, &claim)?, Ident::new(&claim.name)?);
    match claim.adopting {
        true => server.drop_logins(&name, &roles, confirmed).await?,
        false => server.drop_database(&name, &roles, confirmed).await?,
    }
    failpoint::pass("drop_database:dropped");
    drift::forget(&app.db, claim.database_id).await?;
    plugins::forget(app.db.raw(), claim.database_id).await?;
    claims::note_state(&app.db, claim.database_id, ClaimState::Dropped, app.clock.now()).await?;
    tracing::info!(audit = "database.dropped", tenant = %claim.company_id, database = claim.name, "a database was dropped");
    Ok(())
}

/// The company's claim. Without one nothing was ever made, and the tombstone alone is written: a creation that comes
/// late finds it.
async fn claim(app: &App, unwanted: &Unwanted) -> Result<Option<Claim>, Error> {
    if let Some(known) = claims::of_company(&app.db, unwanted.company).await? {
        return Ok(Some(known));
    }
    let name = app.prefix.database(unwanted.database)?;
    let tombstone = NewClaim {
        database: unwanted.database,
        company: unwanted.company,
        server: &unwanted.server,
        name: name.as_str(),
        role: None,
        state: ClaimState::Dropped,
        adopting: false,
    };
    match claims::insert(app.db.raw(), tombstone, app.clock.now()).await {
        Ok(()) => Ok(None),
        // Either a creation of this moment, or another company's database.
        Err(StoreError::Taken(_)) => {
            claims::of_company(&app.db, unwanted.company).await?.map(Some).ok_or_else(claimed_by_another)
        }
        Err(error) => Err(error.into()),
    }
}

/// Runs under the lock that creating takes too: from here on no creation goes ahead.
async fn confirm_and_note(app: &App, claim: &Claim) -> Result<(), Error> {
    if let Some(tenant) = fleet::find(&app.catalog, claim.company_id).await?.filter(|tenant| !may_go(tenant)) {
        let state = tenant.state().as_str_name().trim_start_matches("COMPANY_STATE_").to_owned();
        let message = format!("the catalog has the company {state}; its database is not dropped before its purge");
        return Err(Error::new(Reason::CompanyState, message).with("state", state));
    }
    claims::note_state(&app.db, claim.database_id, ClaimState::Dropping, app.clock.now()).await?;
    Ok(())
}

/// Whether a company's database may go. One that the catalog does not know has nobody to miss it.
fn may_go(tenant: &Tenant) -> bool {
    match tenant.state() {
        CompanyState::Deleted => tenant.purge_begun,
        CompanyState::Failed | CompanyState::Purged => true,
        CompanyState::Unspecified
        | CompanyState::Provisioning
        | CompanyState::Active
        | CompanyState::Suspended
        | CompanyState::Maintenance => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_still_be_served_is_not_dropped() {
        let may = |state: CompanyState, purge_begun| {
            may_go(&Tenant { state: state.into(), purge_begun, ..Default::default() })
        };
        for state in
            [CompanyState::Provisioning, CompanyState::Active, CompanyState::Suspended, CompanyState::Maintenance]
        {
            assert!(!may(state, false) && !may(state, true), "{state:?}");
        }
        assert!(may(CompanyState::Failed, false) && may(CompanyState::Purged, true));
        assert!(may(CompanyState::Deleted, true) && !may(CompanyState::Deleted, false));
    }
}
