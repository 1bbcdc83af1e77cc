//! Databases that are there already and become a company's.

use tenantry_migration::MigrationSet;
use tenantry_rpc::{Context, Error, Reason};

use super::App;
use super::databases::claimed_by_another;
use crate::ident::Ident;
use crate::servers::{self, NewTenant, ServerError};
use crate::store::claims::{self, Claim};
use crate::store::spares;

/// A database to adopt, as an operator names it.
pub(crate) struct ToAdopt {
    pub(crate) name: Ident,
    /// The migration that it is at; absent where its own records say so.
    pub(crate) baseline: Option<String>,
}

/// What the migrator makes beside tenants' databases, by what follows the prefix in their names.
const OWN: [&str; 2] = ["template_", "scratch_"];

/// Whether a database could become a company's. Changes nothing.
pub(crate) async fn check(app: &App, context: &Context, server: &str, wanted: &ToAdopt) -> Result<(), Error> {
    refuse_reserved(app, server, &wanted.name).await?;
    if claims::of_name(&app.db, server, wanted.name.as_str()).await?.is_some() {
        return Err(claimed_by_another());
    }
    let run = app.run(context);
    let adoption = servers::Adoption {
        set: &app.tenant_set,
        known: &app.tenant_set,
        baseline: wanted.baseline.as_deref(),
        run: &run,
    };
    Ok(app.servers.named(server)?.check_adoption(&wanted.name, adoption).await?)
}

/// Makes a claimed database the company's. Repeated, it goes on where it was.
pub(crate) async fn adopt(
    app: &App,
    context: &Context,
    claim: &Claim,
    tenant: &NewTenant,
    (wanted, set): (&ToAdopt, &MigrationSet),
    still_wanted: impl Future<Output = Result<(), ServerError>> + Send,
) -> Result<(), Error> {
    refuse_reserved(app, &claim.server, &wanted.name).await?;
    let run = app.run(context);
    let adoption = servers::Adoption { set, known: &app.tenant_set, baseline: wanted.baseline.as_deref(), run: &run };
    app.servers.named(&claim.server)?.adopt(tenant, adoption, still_wanted).await?;
    tracing::info!(audit = "database.adopted", tenant = %claim.company_id, database = claim.name, "a database was adopted");
    Ok(())
}

/// The control plane's own databases are nobody's, by whichever server they are reached, and neither is what the
/// migrator makes for itself.
async fn refuse_reserved(app: &App, server: &str, name: &Ident) -> Result<(), Error> {
    let refuse = |what: &str| {
        let message = format!("the database cannot be adopted: {:?} is {what}", name.as_str());
        Err(Error::new(Reason::DatabaseNotAdoptable, message))
    };
    if app.settings.control_databases.iter().any(|of| of == name.as_str()) {
        return refuse("a database of the control plane");
    }
    for family in OWN {
        if name.as_str().starts_with(app.prefix.with(family)?.as_str()) {
            return refuse("one of the migrator's own");
        }
    }
    if spares::on_server(&app.db, server).await?.iter().any(|spare| spare.name == name.as_str()) {
        return refuse("a spare, which the next company gets");
    }
    Ok(())
}
