//! The two login roles of a tenant's database, of which one is in use.

use tenantry_ids::CompanyId;
use tenantry_rpc::{Error, Reason};

use super::{App, databases};
use crate::ident::{Ident, Logins, Slot};
use crate::servers::{NewTenant, ServerError, Verifier};
use crate::store::claims::{self, Claim};

/// A login role to let the tenant in by, or to shut it out by.
pub(crate) struct Credential {
    pub(crate) company: CompanyId,
    pub(crate) slot: Slot,
    /// Of the placement: what puts calls that come late or twice in order.
    pub(crate) generation: i64,
}

/// Lets the tenant in by the role of this slot, and leaves the other one as it is.
pub(crate) async fn set(app: &App, credential: Credential, verifier: Verifier) -> Result<Claim, Error> {
    let claim = databases::expect_kept(app, credential.company).await?;
    let tenant =
        NewTenant { name: Ident::new(&claim.name)?, role: logins(app, &claim)?.at(credential.slot).clone(), verifier };
    let confirmed = async { note(app, &claim, &credential).await.map_err(ServerError::withdrawn) };
    databases::server(app, &claim)?.set_credential(&tenant, confirmed).await?;
    databases::expect_kept(app, credential.company).await
}

/// Runs under the lock that creating, dropping and locking take too. Noted before the role is touched: from here on
/// nobody locks it.
async fn note(app: &App, claim: &Claim, credential: &Credential) -> Result<(), Error> {
    databases::expect_kept(app, claim.company_id).await?;
    let Credential { slot, generation, .. } = *credential;
    match claims::note_credential(&app.db, claim.database_id, slot, generation, app.now()).await? {
        true => Ok(()),
        false => Err(superseded()),
    }
}

/// Shuts the tenant out by the role of this slot, which must not be the one in use.
pub(crate) async fn lock(app: &App, credential: Credential) -> Result<Claim, Error> {
    let claim = databases::expect_kept(app, credential.company).await?;
    let logins = logins(app, &claim)?;
    let confirmed = async {
        let now = databases::expect_kept(app, credential.company).await.map_err(ServerError::withdrawn)?;
        let at_rest = now.credential_generation == credential.generation && now.slot() != credential.slot;
        if at_rest { Ok(()) } else { Err(ServerError::withdrawn(superseded())) }
    };
    let (server, name) = (databases::server(app, &claim)?, Ident::new(&claim.name)?);
    server.lock_credential(&name, logins.at(credential.slot), confirmed).await?;
    tracing::info!(audit = "credential.locked", tenant = %claim.company_id, role = logins.at(credential.slot).as_str(), "a former credential was locked");
    Ok(claim)
}

fn superseded() -> Error {
    Error::new(Reason::CredentialSuperseded, "another credential of this database is in use by now; read it again")
}

/// The login roles of a claim's database.
fn logins(app: &App, claim: &Claim) -> Result<Logins, Error> {
    let first = claim.role.as_deref().ok_or(ServerError::NoLogins)?;
    Ok(app.prefix.logins(Ident::new(first)?)?)
}

/// As [`logins`]; none where the engine has none.
pub(crate) fn logins_if_any(app: &App, claim: &Claim) -> Result<Option<Logins>, Error> {
    claim.role.is_some().then(|| logins(app, claim)).transpose()
}
