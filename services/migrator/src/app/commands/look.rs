use std::collections::HashSet;

use tenantry_migration::{Plan, Status, dry_run, plan as plan_up, plan_back, status};
use tenantry_rpc::{Context, Error};

use super::{Back, Subject, Target};
use crate::app::App;
use crate::servers::{AdminDb, ServerError};
use crate::store::runs::{self, RunRow};

/// A database beside its set.
pub(crate) struct Look {
    pub(crate) database: String,
    pub(crate) status: Status,
    pub(crate) runs: Vec<RunRow>,
}

pub(crate) async fn look(app: &App, target: &Target) -> Result<Look, Error> {
    let subject = Subject::find(app, target).await?;
    let db = subject.open().await?;
    let read = status(db.raw(), subject.set).await;
    db.close().await?;
    let status = read.map_err(ServerError::from)?;
    let runs = runs::last(&app.db, subject.server_name(), subject.name()).await?;
    Ok(Look { database: subject.name().to_owned(), status, runs })
}

/// What a plan is wanted for.
pub(crate) struct PlanWish {
    pub(crate) target: Target,
    pub(crate) version: Option<String>,
    pub(crate) back: Option<Back>,
    pub(crate) dry_run: bool,
}

/// A plan, and what of it was tried.
pub(crate) struct Planned {
    pub(crate) database: String,
    pub(crate) plan: Plan,
    pub(crate) tried: HashSet<String>,
}

pub(crate) async fn plan(app: &App, context: &Context, wish: PlanWish) -> Result<Planned, Error> {
    let subject = Subject::find(app, &wish.target).await?;
    let db = subject.open().await?;
    let made = plan_with(app, context, &subject, &db, &wish).await;
    db.close().await?;
    let (plan, tried) = made?;
    Ok(Planned { database: subject.name().to_owned(), plan, tried })
}

async fn plan_with(
    app: &App,
    context: &Context,
    subject: &Subject<'_>,
    db: &AdminDb,
    wish: &PlanWish,
) -> Result<(Plan, HashSet<String>), ServerError> {
    let (raw, set) = (db.raw(), subject.set);
    let back = wish.back.as_ref().map(Back::as_rollback);
    let plan = match back {
        Some(to) => plan_back(raw, set, to).await?,
        None => plan_up(raw, set, wish.version.as_deref()).await?,
    };
    let mut tried = HashSet::new();
    if wish.dry_run {
        tried.extend(dry_run(raw, set, wish.version.as_deref(), back, &app.run(context)).await?.tried);
    }
    Ok((plan, tried))
}
