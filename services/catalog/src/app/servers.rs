//! Database servers, as operators set them up.

use serde_json::{Value, json};
use tenantry_ids::EventId;
use tenantry_rpc::{Context, Error, Reason};

use super::App;
use super::attempt::{Attempt, repeat};
use super::companies::some;
use crate::config::PublicServer;
use crate::domain::ServerState;
use crate::store::entities::database_server::Model;
use crate::store::{CentralTx, StoreError, events, servers};

/// The event log's name for what the configuration says.
const ACTOR: &str = "service:catalog";

/// A server, and how many databases of companies are there.
pub(crate) type Seen = (Model, i64);

/// A server as it is to be.
pub(crate) struct NewServer {
    pub(crate) public: PublicServer,
    /// Empty: none.
    pub(crate) region: String,
    pub(crate) max_databases: i32,
    pub(crate) state: ServerState,
}

/// The new values; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// Empty takes it away.
    pub(crate) region: Option<String>,
    pub(crate) max_databases: Option<i32>,
    pub(crate) state: Option<ServerState>,
}

/// Which servers a list is of; what is empty lets all through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) states: Vec<ServerState>,
    pub(crate) region: String,
}

pub(crate) async fn get(app: &App, name: &str) -> Result<Seen, Error> {
    let server = servers::find(&app.db, name).await?.ok_or_else(not_found)?;
    let databases = servers::loads(&app.db).await?.remove(name).unwrap_or_default();
    Ok((server, databases))
}

pub(crate) async fn list(app: &App, filter: &Filter) -> Result<Vec<Seen>, Error> {
    let mut loads = servers::loads(&app.db).await?;
    let mut all = servers::all(&app.db).await?;
    all.retain(|server| filter.states.is_empty() || filter.states.contains(&server.state));
    all.retain(|server| filter.region.is_empty() || server.region.as_deref() == Some(&filter.region));
    let seen = all.into_iter().map(|server| {
        let databases = loads.remove(&server.name).unwrap_or_default();
        (server, databases)
    });
    Ok(seen.collect())
}

/// Registers a server, once.
pub(crate) async fn register(app: &App, context: &Context, new: NewServer) -> Result<Seen, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_registration(app, &actor, &new)).await?;
    app.changes.wake();
    get(app, &new.public.name).await
}

async fn attempt_registration(app: &App, actor: &str, new: &NewServer) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    match servers::find(&tx, &new.public.name).await? {
        Some(known) if known.endpoint == new.public.endpoint => Ok(()),
        Some(_) => {
            let message = "another database server has this name; choose another, or change where the catalog is \
                           configured to find it";
            Err(Error::new(Reason::DatabaseServerExists, message).into())
        }
        None => {
            write(app, &tx, actor, new).await?;
            Ok(tx.commit().await?)
        }
    }
}

async fn write(app: &App, tx: &CentralTx, actor: &str, new: &NewServer) -> Result<(), StoreError> {
    let now = app.now();
    let row = Model {
        name: new.public.name.clone(),
        engine: new.public.engine.to_owned(),
        endpoint: new.public.endpoint.clone(),
        region: some(&new.region),
        state: new.state,
        created_at: now,
        updated_at: now,
        max_databases: new.max_databases,
        revision: 1,
    };
    let payload = json!({ "server": row.name, "after": described(&row) });
    servers::insert(tx, row).await?;
    note(app, tx, "server.registered", actor, payload).await
}

/// Changes a server that still has this revision, if one is given.
pub(crate) async fn update(
    app: &App,
    context: &Context,
    name: &str,
    revision: Option<i64>,
    changes: &Changes,
) -> Result<Seen, Error> {
    let actor = context.caller().subject();
    repeat(|| attempt_update(app, &actor, name, revision, changes)).await?;
    app.changes.wake();
    get(app, name).await
}

async fn attempt_update(
    app: &App,
    actor: &str,
    name: &str,
    revision: Option<i64>,
    changes: &Changes,
) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let before = servers::find(&tx, name).await?.ok_or_else(not_found)?;
    if revision.is_some_and(|revision| revision != before.revision) {
        return Err(Error::new(Reason::EtagMismatch, "somebody else has changed the server; read it again").into());
    }
    let region = match &changes.region {
        Some(region) => some(region),
        None => before.region.clone(),
    };
    let after = Model {
        region,
        max_databases: changes.max_databases.unwrap_or(before.max_databases),
        state: changes.state.unwrap_or(before.state),
        ..before.clone()
    };
    change(app, tx, actor, before, after).await
}

/// Registers a server of the configuration, or follows a known one to where the configuration says it is now.
pub(crate) async fn announce(app: &App, public: &PublicServer) -> Result<(), Error> {
    let new = NewServer { public: public.clone(), region: String::new(), max_databases: 0, state: ServerState::Open };
    repeat(|| attempt_announcement(app, &new)).await
}

async fn attempt_announcement(app: &App, new: &NewServer) -> Result<(), Attempt> {
    let tx = app.db.begin().await?;
    let Some(before) = servers::find(&tx, &new.public.name).await? else {
        write(app, &tx, ACTOR, new).await?;
        return Ok(tx.commit().await?);
    };
    let (engine, endpoint) = (new.public.engine.to_owned(), new.public.endpoint.clone());
    let after = Model { engine, endpoint, ..before.clone() };
    change(app, tx, ACTOR, before, after).await
}

/// The server's next revision with the event that tells of it; nothing where nothing changes.
async fn change(app: &App, tx: CentralTx, actor: &str, before: Model, after: Model) -> Result<(), Attempt> {
    if after == before {
        return Ok(());
    }
    let payload = json!({ "server": before.name, "before": described(&before), "after": described(&after) });
    servers::save(&tx, &before, after, app.now()).await?.ok_or(Attempt::Again)?;
    note(app, &tx, "server.updated", actor, payload).await?;
    Ok(tx.commit().await?)
}

async fn note(app: &App, tx: &CentralTx, kind: &'static str, actor: &str, payload: Value) -> Result<(), StoreError> {
    let id = EventId::new(&*app.ids);
    events::append(tx, events::NewEvent { id, company: None, kind, actor, payload }, app.now()).await
}

fn described(server: &Model) -> Value {
    json!({
        "endpoint": server.endpoint, "region": server.region, "state": server.state.as_str(),
        "max_databases": server.max_databases,
    })
}

fn not_found() -> Error {
    Error::new(Reason::DatabaseServerNotFound, "there is no database server of this name; list them, or register it")
}
