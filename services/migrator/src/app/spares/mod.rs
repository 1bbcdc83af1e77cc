//! Databases made ahead, so that a company need not wait for its own.
//!
//! A spare is named by an id of its own, and keeps that name: when a company takes it, the claim has the id that the
//! catalog gave and the spare's name, and the catalog hears of the name in the answer. So nothing is ever renamed.
//!
//! The row comes before the database and goes in the transaction that writes the claim, so there is no database without
//! a row that says whose it is: a company's claim, or a spare that is made, ready or to be dropped.

mod worker;

use std::time::Duration;

use tenantry_migration::MigrationSet;
use tenantry_rpc::Error;
use tokio::sync::Notify;

pub use worker::SpareSettings;
pub(crate) use worker::Spares;

use super::App;
use super::databases::NewDatabase;
use crate::ident::Ident;
use crate::servers::DatabaseServer;
use crate::store::StoreError;
use crate::store::claims::{self, ClaimState, NewClaim};
use crate::store::spares::{self, Spare, SpareState};

/// Whoever makes or drops one has so long; after that somebody else looks after it.
const LEASE: Duration = Duration::from_secs(60);
/// How often another spare is tried when somebody else has taken the one that was seen.
const TRIES: usize = 32;

/// Tells this process's worker that a spare was taken.
#[derive(Default)]
pub(crate) struct Taken(Notify);

/// Makes a spare the company's: in one transaction the spare's row goes and the claim comes. False when there is none
/// at these migrations.
pub(crate) async fn take(
    app: &App,
    new: &NewDatabase,
    server: &DatabaseServer,
    set: &MigrationSet,
) -> Result<bool, Error> {
    let checksum = server.digest(set)?;
    for _ in 0..TRIES {
        let Some(spare) = spares::ready(app.db.raw(), &new.server, &checksum).await? else { return Ok(false) };
        let tx = app.db.begin().await?;
        if !spares::remove(&tx, &spare).await? {
            continue;
        }
        let claim = NewClaim {
            database: new.database,
            company: new.company,
            server: &new.server,
            name: &spare.name,
            role: Some(&spare.name),
            state: ClaimState::Creating,
            adopting: false,
        };
        match claims::insert(&tx, claim, app.now()).await {
            Ok(()) => {}
            // A twin of this call has claimed a database already; the spare stays one.
            Err(StoreError::Taken(_)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        tx.commit().await.map_err(StoreError::from)?;
        app.spare_taken.0.notify_one();
        return Ok(true);
    }
    Ok(false)
}

/// Drops one that nobody takes any more, if that is still so; false when somebody else was faster.
pub(crate) async fn discard(app: &App, spare: &Spare) -> Result<bool, Error> {
    let until = app.now() + LEASE;
    if !spares::change(&app.db, spare, SpareState::Dropping, until).await? {
        return Ok(false);
    }
    drop_one(app, &Spare { state: SpareState::Dropping, lease_until: until, ..spare.clone() }).await?;
    Ok(true)
}

async fn drop_one(app: &App, spare: &Spare) -> Result<(), Error> {
    let name = Ident::new(&spare.name)?;
    app.servers.named(&spare.server)?.drop_database(&name, &[&name], async { Ok(()) }).await?;
    spares::remove(app.db.raw(), spare).await?;
    tracing::info!(database = spare.name, "a spare that was of no use is dropped");
    Ok(())
}
