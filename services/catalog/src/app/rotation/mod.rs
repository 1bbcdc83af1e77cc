//! A new credential for a company's database, without a failed request.
//!
//! A database has two login roles that take turns. The new password goes to the one that nobody uses, then the catalog
//! hands that one out under the placement's next generation, and the former one is locked when every service must have
//! heard. Each of these is a row's state, so that any replica goes on after a crash: the password is sealed into the row
//! before a server hears of it, and the generation fences what comes late.

mod worker;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error, Reason};
use tokio::time::Instant;

pub(crate) use worker::Rotations;

use super::App;
use super::attempt::{Attempt, repeat};
use super::companies::{database_owner, not_found};
use super::lifecycle::{refused, standing};
use super::replay::Replayable;
use crate::domain::{Action, transition};
use crate::secrets::TenantPassword;
use crate::store::entities::credential_rotation::{Model, State};
use crate::store::{companies, rotations, servers};

/// How often a waiting call looks for itself: another replica may be at work.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is kept of the deadline for answering.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// A credential that is in use.
pub(crate) struct Rotated {
    pub(crate) company: CompanyId,
    pub(crate) generation: i64,
    /// When the former one is locked; `None` once it is.
    pub(crate) former_lock_at: Option<DateTime<Utc>>,
}

/// Begins a rotation, or finds the one on its way, and waits until its credential is in use.
pub(crate) async fn rotate(app: &App, context: &Context, id: CompanyId, replay: &Replayable) -> Result<Rotated, Error> {
    let actor = context.caller().subject();
    repeat(|| begin(app, &actor, id, replay)).await?;
    app.rotations.wake();
    wait(app, context, id).await
}

async fn begin(app: &App, actor: &str, id: CompanyId, replay: &Replayable) -> Result<(), Attempt> {
    let now = app.now();
    if replay.earlier(&app.db, now).await?.is_some() {
        return Ok(());
    }
    let tx = app.db.begin().await?;
    let company = companies::find(&tx, id).await?.ok_or_else(not_found)?;
    transition(Action::RotateCredential, standing(&company)).map_err(refused)?;
    let database = companies::database_of(&tx, id).await?;
    let database = database.ok_or_else(|| Error::internal("a company in service without a database"))?;
    let server = servers::find(&tx, &database.server).await?;
    if server.is_some_and(|server| server.engine == "sqlite") {
        let message = "the company's database is a SQLite file, which has no login and so no credential";
        return Err(Error::new(Reason::NoDatabaseCredential, message).into());
    }
    match rotations::find(&tx, id).await? {
        Some(row) if row.state == State::Draining => return Err(draining(&row, now).into()),
        Some(_installing) => {}
        None => {
            let password = TenantPassword::generate().map_err(Error::from)?;
            let owner = database_owner(database.id);
            let sealed = app.sealer.seal(&owner, password.expose().as_bytes()).map_err(Error::from)?;
            rotations::insert(&tx, &database, sealed, actor, now).await?;
        }
    }
    replay.record(&tx, id, now).await?;
    Ok(tx.commit().await?)
}

fn draining(row: &Model, now: DateTime<Utc>) -> Error {
    let message = "the credential before this one is still in use; rotate again when it is locked";
    let until = (row.due_at - now).to_std().unwrap_or_default();
    Error::new(Reason::CredentialDraining, message).retry_after(until.max(Duration::from_secs(1)))
}

async fn wait(app: &App, context: &Context, id: CompanyId) -> Result<Rotated, Error> {
    let deadline = context.deadline().checked_sub(ANSWER_TIME).unwrap_or_else(Instant::now);
    let mut changed = app.rotations.subscribe();
    loop {
        let row = rotations::find(&app.db, id).await?;
        let installing = row.as_ref().filter(|row| row.state == State::Installing);
        let Some(installing) = installing else { return in_use(app, id, row).await };
        if installing.last_error.is_some() || Instant::now() >= deadline {
            return Err(trouble(installing));
        }
        let news = async { while changed.recv().await.is_ok_and(|company| company != id) {} };
        // Either way the row is looked at again.
        let _ = tokio::time::timeout_at((Instant::now() + LOOK_EVERY).min(deadline), news).await;
    }
}

async fn in_use(app: &App, id: CompanyId, row: Option<Model>) -> Result<Rotated, Error> {
    let database = companies::database_of(&app.db, id).await?.ok_or_else(not_found)?;
    Ok(Rotated { company: id, generation: database.generation, former_lock_at: row.map(|row| row.due_at) })
}

fn trouble(row: &Model) -> Error {
    let reason = match row.last_error.as_deref().map(str::parse) {
        Some(Ok(Reason::DatabaseServerUnavailable)) => Reason::DatabaseServerUnavailable,
        _ => Reason::MigratorUnavailable,
    };
    let message = "the new credential cannot be made at the moment; it goes on by itself, and the one in use works: \
                   look again later";
    Error::new(reason, message).retry_after(Duration::from_secs(2)).with("company_id", row.company_id.to_string())
}
