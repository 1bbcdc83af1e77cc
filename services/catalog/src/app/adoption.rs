//! A company gets a database that is there already.

use tenantry_api::migrator::v1::{Adoption, CheckAdoptionRequest};
use tenantry_rpc::{Context, Error, Reason, client, reason_of};
use tonic::Status;

use super::App;
use super::companies::NewCompany;

/// Asks the migrator before anything is written, so that an operator who has named the wrong one hears why at once. A
/// repeated request is not asked again: it has its database by now.
pub(super) async fn check(app: &App, context: &Context, new: &NewCompany, wanted: &Adoption) -> Result<(), Error> {
    if new.replay.earlier(&app.db, app.now()).await?.is_some() {
        return Ok(());
    }
    let request =
        CheckAdoptionRequest { server: new.server.clone().unwrap_or_default(), adoption: Some(wanted.clone()) };
    let checked = app.migrator.clone().check_adoption(client::request(request, context.deadline())).await;
    checked.map(drop).map_err(as_ours)
}

/// The migrator's reasons and messages are for operators, who are the only ones to ask for this.
fn as_ours(status: Status) -> Error {
    match reason_of(&status) {
        Some(reason) => Error::new(reason, status.message().to_owned()),
        None => {
            let message = "the migrator cannot be asked at the moment; try again";
            Error::new(Reason::MigratorUnavailable, message).retry_after(RETRY).caused_by(status)
        }
    }
}

const RETRY: std::time::Duration = std::time::Duration::from_secs(2);
