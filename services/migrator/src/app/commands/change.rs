use std::sync::Arc;

use sea_orm::{ConnectionTrait, Statement};
use tenantry_api::catalog::v1::CompanyState;
use tenantry_ids::RunId;
use tenantry_migration::{
    Applied, Direction, MigrationSet, Rollback, Run, is_missing_table, migrate, rollback, seed, status, wipe,
};
use tenantry_rpc::server::Mode;
use tenantry_rpc::{Context, Error, Reason};
use tracing::Instrument;

use super::{Back, Subject, Target};
use crate::app::plugins::plugin_of;
use crate::app::{App, fleet};
use crate::servers::{AdminDb, ServerError};
use crate::store::{claims, plugins, runs};

/// What to do to a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    Migrate { version: Option<String> },
    Rollback { back: Back },
    Reset,
    Refresh { seed: bool },
    Fresh { seed: bool },
    Seed,
}

/// A command for one database.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) target: Target,
    pub(crate) command: Command,
    /// Confirms a destructive command in production.
    pub(crate) force: bool,
}

/// What a command did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) run: String,
    pub(crate) database: String,
    pub(crate) set: &'static str,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) changes: Vec<(String, Direction)>,
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Command::Migrate { .. } => "migrate",
            Command::Rollback { .. } => "rollback",
            Command::Reset => "reset",
            Command::Refresh { .. } => "refresh",
            Command::Fresh { .. } => "fresh",
            Command::Seed => "seed",
        }
    }

    fn takes_data_away(&self) -> bool {
        match self {
            Command::Rollback { .. } | Command::Reset | Command::Refresh { .. } | Command::Fresh { .. } => true,
            Command::Migrate { .. } | Command::Seed => false,
        }
    }

    fn needs_quiet(&self) -> bool {
        match self {
            Command::Reset | Command::Refresh { .. } | Command::Fresh { .. } => true,
            Command::Migrate { .. } | Command::Rollback { .. } | Command::Seed => false,
        }
    }
}

/// Does it, on the record. Once begun it goes on without its caller: a statement
/// that was sent cannot be taken back by hanging up.
pub(crate) async fn carry_out(app: &Arc<App>, context: &Context, order: Order) -> Result<Report, Error> {
    if order.command.takes_data_away() && !order.force && app.settings.mode == Mode::Production {
        let message = format!("{} takes data away; confirm it with force", order.command.name());
        return Err(Error::new(Reason::ConfirmationRequired, message));
    }
    let (app, run, caller) = (app.clone(), app.run(context), context.caller().subject());
    let tasks = app.tasks.clone();
    let work = async move { recorded(&app, &order, run, caller).await };
    tasks.spawn(work.in_current_span()).await.map_err(Error::internal)?
}

async fn recorded(app: &App, order: &Order, run: Run, caller: String) -> Result<Report, Error> {
    let subject = Subject::find(app, &order.target).await?;
    let db = subject.open().await?;
    let done = on_record(app, &subject, &db, order, run, caller).await;
    if let Err(error) = db.close().await {
        tracing::debug!(%error, "an administrative connection did not close");
    }
    done
}

async fn on_record(
    app: &App,
    subject: &Subject<'_>,
    db: &AdminDb,
    order: &Order,
    run: Run,
    caller: String,
) -> Result<Report, Error> {
    if order.command.needs_quiet() {
        refuse_unless_quiet(app, db, order).await?;
    }
    let before = status(db.raw(), subject.set).await.map_err(ServerError::from)?;
    let from = before.version().map(str::to_owned);
    let new = runs::NewRun {
        id: RunId(run.id),
        server: subject.server_name(),
        database: subject.name(),
        set: subject.set.name(),
        command: order.command.name(),
        caller,
        from: from.as_deref(),
    };
    runs::begin(&app.db, new, app.now()).await?;

    let done = execute(app, subject, db, &order.command, &run).await;
    // Read again even after a failure: on MariaDB some of it may be done.
    let after = status(db.raw(), subject.set).await.map_err(ServerError::from);
    let to = match &after {
        Ok(after) => after.version().map(str::to_owned),
        Err(_) => from.clone(),
    };
    let failed = done.as_ref().err().map(|error| format!("{}: {error}", error.reason()));
    runs::end(&app.db, RunId(run.id), to.as_deref(), failed, app.now()).await?;
    if let Some(claim) = subject.claim().filter(|_| to != from) {
        let (id, now) = (claim.database_id, app.now());
        match plugin_of(subject.set.name()) {
            Some(plugin) => {
                plugins::note_version(app.db.raw(), (id, plugin), to.as_deref().unwrap_or_default(), now).await?;
            }
            None => claims::note_version(app.db.raw(), id, to.as_deref(), now).await?,
        }
        app.reporter.wake();
    }
    let changes = done?;
    Ok(Report {
        run: RunId(run.id).to_string(),
        database: subject.name().to_owned(),
        set: subject.set.name(),
        from,
        to,
        changes,
    })
}

async fn execute(
    app: &App,
    subject: &Subject<'_>,
    db: &AdminDb,
    command: &Command,
    run: &Run,
) -> Result<Vec<(String, Direction)>, Error> {
    let (raw, set) = (db.raw(), subject.set);
    let others = standing_on(app, subject, command).await?;
    let mut changes = Vec::new();
    let mut note = |applied: Applied, direction: Direction| {
        changes.extend(applied.done.into_iter().map(|done| (done.version, direction)));
    };
    for plugin in &others {
        if !matches!(command, Command::Fresh { .. }) {
            note(rollback(raw, plugin, Rollback::All, run).await.map_err(ServerError::from)?, Direction::Down);
        }
    }
    match command {
        Command::Migrate { version } => {
            note(migrate(raw, set, version.as_deref(), run).await.map_err(ServerError::from)?, Direction::Up)
        }
        Command::Rollback { back } => {
            note(rollback(raw, set, back.as_rollback(), run).await.map_err(ServerError::from)?, Direction::Down)
        }
        Command::Reset => {
            note(rollback(raw, set, Rollback::All, run).await.map_err(ServerError::from)?, Direction::Down)
        }
        Command::Refresh { .. } => {
            note(rollback(raw, set, Rollback::All, run).await.map_err(ServerError::from)?, Direction::Down);
            note(migrate(raw, set, None, run).await.map_err(ServerError::from)?, Direction::Up);
        }
        Command::Fresh { .. } => {
            wipe(raw, set, run).await.map_err(ServerError::from)?;
            note(migrate(raw, set, None, run).await.map_err(ServerError::from)?, Direction::Up);
        }
        Command::Seed => {}
    }
    for plugin in &others {
        let made_again = match command {
            Command::Reset => None,
            _ => {
                note(migrate(raw, plugin, None, run).await.map_err(ServerError::from)?, Direction::Up);
                plugin.head()
            }
        };
        if let (Some(claim), Some(name)) = (subject.claim(), plugin_of(plugin.name())) {
            let version = made_again.unwrap_or_default();
            plugins::note_version(app.db.raw(), (claim.database_id, name), version, app.now()).await?;
        }
    }
    if !changes.is_empty() {
        subject.settle().await?;
    }
    if let Command::Seed | Command::Refresh { seed: true } | Command::Fresh { seed: true } = command {
        seed(raw, set).await.map_err(ServerError::from)?;
    }
    Ok(changes)
}

/// The sets of the plugins whose tables stand on what the command takes away from under them: they go first, and come
/// back with it.
async fn standing_on(app: &App, subject: &Subject<'_>, command: &Command) -> Result<Vec<MigrationSet>, Error> {
    match (command, subject.claim()) {
        (Command::Reset | Command::Refresh { .. } | Command::Fresh { .. }, Some(claim))
            if plugin_of(subject.set.name()).is_none() =>
        {
            let names = plugins::of_database(app.db.raw(), claim.database_id).await?;
            names.iter().map(|name| app.plugins.named(name).cloned()).collect()
        }
        _ => Ok(Vec::new()),
    }
}

/// A database is emptied only when nobody works in it.
async fn refuse_unless_quiet(app: &App, db: &AdminDb, order: &Order) -> Result<(), Error> {
    match &order.target {
        // Whoever removes a plugin has stopped serving it.
        Target::Plugin(..) => Ok(()),
        Target::Company(company) => match fleet::find(&app.catalog, *company).await?.map(|tenant| tenant.state()) {
            Some(CompanyState::Maintenance) => Ok(()),
            state => {
                let state = state.map_or("unknown to the catalog", |state| state.as_str_name());
                let state = state.trim_start_matches("COMPANY_STATE_");
                let message = format!(
                    "{} needs the company in MAINTENANCE, and it is {state}; enter maintenance first",
                    order.command.name()
                );
                Err(Error::new(Reason::MaintenanceRequired, message))
            }
        },
        Target::Central => {
            // No such table: a central database that was never migrated, or is reset.
            let companies = db.raw().query_one_raw(Statement::from_string(
                db.raw().get_database_backend(),
                "SELECT 1 FROM companies LIMIT 1",
            ));
            match companies.await {
                Ok(Some(_)) => {
                    let message = "the central database has companies; it is never reset, refreshed or made afresh";
                    Err(Error::new(Reason::CompaniesExist, message))
                }
                Ok(None) => Ok(()),
                Err(error) if is_missing_table(&error) => Ok(()),
                Err(error) => Err(ServerError::from(error).into()),
            }
        }
    }
}
