//! What companies can install, and what each of them has.
//!
//! Installing and dropping change the company's database, which is the migrator's to do. So they are states of a row that
//! any replica brings to their end; each of the migrator's calls is idempotent, and the row's revision fences what comes
//! late.

mod worker;

use std::time::Duration;

use serde_json::{Value, json};
use tenantry_ids::{CompanyId, EventId};
use tenantry_rpc::{Context, Error, Reason};
use tokio::time::Instant;

pub(crate) use worker::Installations;

use super::App;
use super::attempt::{Attempt, repeat};
use super::companies::not_found;
use crate::domain::State as CompanyState;
use crate::store::entities::company_plugin::{Model, State};
use crate::store::entities::plugin;
use crate::store::{CentralTx, StoreError, changes, companies, events, plugins};

/// How often a waiting call looks for itself: another replica may be at work.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What is kept of the deadline for answering.
const ANSWER_TIME: Duration = Duration::from_millis(100);

/// Everything that can be installed, by name.
pub(crate) async fn registry(app: &App) -> Result<Vec<plugin::Model>, Error> {
    Ok(plugins::registry(&app.db).await?)
}

/// Takes in what a migrator has.
pub(crate) async fn report(app: &App, reported: Vec<plugin::Model>) -> Result<(), Error> {
    repeat(async || {
        let tx = app.db.begin().await?;
        for row in &reported {
            plugins::register(&tx, row.clone()).await?;
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// What a company has, by name.
pub(crate) async fn of_company(app: &App, company: CompanyId) -> Result<Vec<Model>, Error> {
    companies::find(&app.db, company).await?.ok_or_else(not_found)?;
    Ok(plugins::of_company(&app.db, company).await?)
}

/// A plugin of a company's.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) company: CompanyId,
    pub(crate) plugin: &'a str,
}

/// Installs a plugin, and waits until its tables are there, up to shortly before the deadline. One that is installed
/// stays as it is; one that was uninstalled has its data again. `None` are the settings that it had, or its defaults.
pub(crate) async fn install(
    app: &App,
    context: &Context,
    named: Named<'_>,
    settings: Option<&Value>,
) -> Result<Model, Error> {
    let actor = context.caller().subject();
    repeat(|| begin_installation(app, &actor, named, settings)).await?;
    wake(app);
    let seen = wait(app, context, named, State::Installing).await?;
    seen.ok_or_else(not_installed)
}

async fn begin_installation(app: &App, actor: &str, named: Named<'_>, settings: Option<&Value>) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let known = plugins::known(&tx, named.plugin).await?.ok_or_else(no_plugin)?;
    expect_database(&tx, named.company).await?;
    let now = app.now();
    let (before, after) = match plugins::find(&tx, named.company, named.plugin).await? {
        Some(before) => {
            let settings = settings.unwrap_or(&before.settings).clone();
            let after = match before.state {
                State::Installing | State::Installed => Model { settings, ..before.clone() },
                State::Uninstalled => {
                    let due_at = Some(now);
                    Model { settings, state: State::Installing, attempts: 0, due_at, ..before.clone() }
                }
                State::Dropping => return Err(dropping().into()),
            };
            (Some(before), after)
        }
        None => {
            let row = Model {
                id: app.ids.uuid(),
                company_id: named.company,
                plugin: named.plugin.to_owned(),
                state: State::Installing,
                settings: settings.unwrap_or(&known.default_settings).clone(),
                schema_version: None,
                version_sequence: 0,
                revision: 1,
                attempts: 0,
                last_error: None,
                due_at: Some(now),
                changed_by: actor.to_owned(),
                created_at: now,
                updated_at: now,
            };
            (None, row)
        }
    };
    if before.as_ref() == Some(&after) {
        return Ok(());
    }
    let kind = if after.state == State::Installed { "plugin.settings_changed" } else { "plugin.installation_begun" };
    write(app, tx, before, after, (kind, actor)).await
}

/// Stops serving a plugin at once. Its tables stay, unless they are to be dropped: then it waits for that too. `None`
/// once nothing of it is left.
pub(crate) async fn uninstall(
    app: &App,
    context: &Context,
    named: Named<'_>,
    drop_data: bool,
) -> Result<Option<Model>, Error> {
    let actor = context.caller().subject();
    repeat(|| begin_removal(app, &actor, named, drop_data)).await?;
    wake(app);
    wait(app, context, named, State::Dropping).await
}

async fn begin_removal(app: &App, actor: &str, named: Named<'_>, drop_data: bool) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    expect_database(&tx, named.company).await?;
    let before = plugins::find(&tx, named.company, named.plugin).await?.ok_or_else(not_installed)?;
    let after = match (before.state, drop_data) {
        (State::Dropping, _) | (State::Uninstalled, false) => return Ok(()),
        (State::Installing | State::Installed, false) => {
            Model { state: State::Uninstalled, due_at: None, last_error: None, ..before.clone() }
        }
        (State::Installing | State::Installed | State::Uninstalled, true) => {
            let due_at = Some(app.now());
            Model { state: State::Dropping, due_at, attempts: 0, last_error: None, ..before.clone() }
        }
    };
    let kind = if drop_data { "plugin.removal_begun" } else { "plugin.uninstalled" };
    write(app, tx, Some(before), after, (kind, actor)).await
}

/// Commits the row with its event, and what the data plane has to hear of.
async fn write(
    app: &App,
    tx: CentralTx,
    before: Option<Model>,
    after: Model,
    (kind, actor): (&'static str, &str),
) -> Result<(), Attempt> {
    let after = Model { changed_by: actor.to_owned(), updated_at: app.now(), ..after };
    let payload = json!({
        "plugin": after.plugin, "from": before.as_ref().map(|row| row.state.as_str()), "to": after.state.as_str(),
        "settings": after.settings,
    });
    let company = after.company_id;
    match before {
        Some(before) => drop(plugins::save(&tx, &before, after).await?.ok_or(Attempt::Again)?),
        None => plugins::insert(&tx, after).await?,
    }
    tell(app, &tx, company, (kind, actor), payload).await?;
    tx.commit().await?;
    app.changes.wake();
    Ok(())
}

async fn tell(
    app: &App,
    tx: &CentralTx,
    company: CompanyId,
    (kind, actor): (&'static str, &str),
    payload: Value,
) -> Result<(), StoreError> {
    let now = app.now();
    let event = events::NewEvent { id: EventId::new(&*app.ids), company: Some(company), kind, actor, payload };
    events::append(tx, event, now).await?;
    changes::append(tx, [company], now).await
}

/// Waits until the plugin has left the state, or until shortly before the deadline: then it is told as it is.
async fn wait(app: &App, context: &Context, named: Named<'_>, leaving: State) -> Result<Option<Model>, Error> {
    let deadline = context.deadline().checked_sub(ANSWER_TIME).unwrap_or_else(Instant::now);
    let mut changed = app.installations.subscribe();
    loop {
        let row = plugins::find(&app.db, named.company, named.plugin).await?;
        let Some(under_way) = row.as_ref().filter(|row| row.state == leaving) else { return Ok(row) };
        if let Some(error) = &under_way.last_error {
            return Err(trouble(under_way, error));
        }
        if Instant::now() >= deadline {
            return Ok(row);
        }
        let news = async { while changed.recv().await.is_ok_and(|company| company != named.company) {} };
        // Either way the row is looked at again.
        let _ = tokio::time::timeout_at((Instant::now() + LOOK_EVERY).min(deadline), news).await;
    }
}

fn wake(app: &App) {
    app.installations.wake();
}

fn trouble(row: &Model, error: &str) -> Error {
    let reason = match error.parse() {
        Ok(Reason::DatabaseServerUnavailable) => Reason::DatabaseServerUnavailable,
        Ok(Reason::MigrationFailed) => Reason::MigrationFailed,
        _ => Reason::MigratorUnavailable,
    };
    let message = format!(
        "the tables of {} cannot be changed at the moment ({error}); it is tried again by itself: look again later",
        row.plugin
    );
    Error::new(reason, message).retry_after(Duration::from_secs(2)).with("company_id", row.company_id.to_string())
}

/// Plugins are tables of a database that is in service.
async fn expect_database(tx: &CentralTx, company: CompanyId) -> Result<(), Error> {
    let company = companies::find(tx, company).await?.ok_or_else(not_found)?;
    match company.state {
        CompanyState::Active | CompanyState::Suspended | CompanyState::Maintenance => Ok(()),
        state @ (CompanyState::Provisioning | CompanyState::Failed | CompanyState::Deleted | CompanyState::Purged) => {
            let message = format!("the company is {}; it has to be in service first", state.as_str());
            Err(Error::new(Reason::CompanyState, message).with("state", state.as_str()))
        }
    }
}

fn no_plugin() -> Error {
    Error::new(Reason::PluginNotFound, "there is no plugin of this name; list them")
}

fn not_installed() -> Error {
    Error::new(Reason::PluginNotInstalled, "the company does not have the plugin; install it first")
}

fn dropping() -> Error {
    let message = "the plugin is being removed from the company; install it again afterwards";
    Error::new(Reason::PluginBusy, message).retry_after(Duration::from_secs(1))
}
