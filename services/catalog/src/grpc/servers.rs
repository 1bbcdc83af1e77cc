use std::sync::Arc;

use tenantry_api::catalog::v1::database_server_service_server::DatabaseServerService;
use tenantry_api::catalog::v1::{
    DatabaseServer, DatabaseServerState as Wire, GetDatabaseServerRequest, ListDatabaseServersRequest,
    ListDatabaseServersResponse, RegisterDatabaseServerRequest, UpdateDatabaseServerRequest,
};
use tenantry_rpc::{Call, Error, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::PublicServer;
use crate::app::App;
use crate::app::servers::{self, Changes, Filter, NewServer, Seen};
use crate::domain::ServerState;

const MAX_NAME_CHARS: usize = 63;
const MAX_REGION_CHARS: usize = 63;
const MAX_DATABASES: i32 = 1_000_000;
const MAX_STATES: usize = 16;
/// The fields that a mask can name.
const FIELDS: [&str; 3] = ["region", "state", "max_databases"];

pub(crate) struct ServerGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl DatabaseServerService for ServerGrpc {
    async fn register_database_server(
        &self,
        request: Request<RegisterDatabaseServerRequest>,
    ) -> Result<Response<DatabaseServer>, Status> {
        let call = Call::open(request)?;
        let new = parse_registration(&call.body)?;
        Ok(Response::new(convert(servers::register(&self.0, &call.context, new).await?)))
    }

    async fn get_database_server(
        &self,
        request: Request<GetDatabaseServerRequest>,
    ) -> Result<Response<DatabaseServer>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        let name = violations.text("name", &body.name, MAX_NAME_CHARS);
        let name = violations.finish(Some(name))?;
        Ok(Response::new(convert(servers::get(&self.0, &name).await?)))
    }

    async fn list_database_servers(
        &self,
        request: Request<ListDatabaseServersRequest>,
    ) -> Result<Response<ListDatabaseServersResponse>, Status> {
        let filter = parse_filter(&Call::open(request)?.body)?;
        let found = servers::list(&self.0, &filter).await?;
        Ok(Response::new(ListDatabaseServersResponse { database_servers: found.into_iter().map(convert).collect() }))
    }

    async fn update_database_server(
        &self,
        request: Request<UpdateDatabaseServerRequest>,
    ) -> Result<Response<DatabaseServer>, Status> {
        let call = Call::open(request)?;
        let (name, revision, changes) = parse_update(call.body)?;
        let updated = servers::update(&self.0, &call.context, &name, revision, &changes).await?;
        Ok(Response::new(convert(updated)))
    }
}

fn parse_registration(body: &RegisterDatabaseServerRequest) -> Result<NewServer, Error> {
    let mut violations = Violations::new();
    let public = PublicServer::new(&body.name, &body.endpoint);
    let public = public.map_err(|(field, problem)| violations.add(field, problem)).ok();
    let region = violations.optional_text("region", &body.region, MAX_REGION_CHARS);
    let max_databases = parse_capacity(&mut violations, "max_databases", body.max_databases);
    let state = match body.state {
        0 => Some(ServerState::Open),
        state => parse_state(&mut violations, "state", state),
    };
    let new = public.zip(state).map(|(public, state)| NewServer { public, region, max_databases, state });
    violations.finish(new)
}

fn parse_filter(body: &ListDatabaseServersRequest) -> Result<Filter, Error> {
    let mut violations = Violations::new();
    violations.check(body.states.len() <= MAX_STATES, "states", "must be at most 16");
    let states = body.states.iter().take(MAX_STATES).enumerate();
    let states =
        states.filter_map(|(at, state)| parse_state(&mut violations, &format!("states[{at}]"), *state)).collect();
    let region = violations.optional_text("region", &body.region, MAX_REGION_CHARS);
    violations.finish(Some(Filter { states, region }))
}

/// A field that is not in the mask is not checked: it is not written.
fn parse_update(body: UpdateDatabaseServerRequest) -> Result<(String, Option<i64>, Changes), Error> {
    let mut violations = Violations::new();
    let server = body.database_server.unwrap_or_default();
    let fields = masked(&mut violations, body.update_mask.unwrap_or_default().paths, &server);
    let named = |field: &str| fields.iter().any(|path| path == field);
    let name = violations.text("database_server.name", &server.name, MAX_NAME_CHARS);
    let revision = violations.etag("database_server.etag", &server.etag);
    let region =
        named("region").then(|| violations.optional_text("database_server.region", &server.region, MAX_REGION_CHARS));
    let max_databases = named("max_databases")
        .then(|| parse_capacity(&mut violations, "database_server.max_databases", server.max_databases));
    let state = if named("state") { parse_state(&mut violations, "database_server.state", server.state) } else { None };
    violations.finish(Some((name, revision, Changes { region, max_databases, state })))
}

/// The fields that a mask names (AIP-134): an empty one names every field that is set, `*` names all.
fn masked(violations: &mut Violations, paths: Vec<String>, server: &DatabaseServer) -> Vec<String> {
    if paths.iter().any(|path| path == "*") {
        return FIELDS.map(str::to_owned).to_vec();
    }
    if paths.is_empty() {
        let set = [!server.region.is_empty(), server.state != 0, server.max_databases != 0];
        return FIELDS.into_iter().zip(set).filter(|(_, set)| *set).map(|(field, _)| field.to_owned()).collect();
    }
    for path in paths.iter().filter(|path| !FIELDS.contains(&path.as_str())) {
        violations.add("update_mask", format!("{path:?} is no field that can be changed"));
    }
    paths
}

fn parse_capacity(violations: &mut Violations, field: &str, databases: i32) -> i32 {
    violations.check((0..=MAX_DATABASES).contains(&databases), field, "must be 0 to 1,000,000");
    databases
}

fn parse_state(violations: &mut Violations, field: &str, state: i32) -> Option<ServerState> {
    let known = match Wire::try_from(state).unwrap_or_default() {
        Wire::Unspecified => None,
        Wire::Open => Some(ServerState::Open),
        Wire::Draining => Some(ServerState::Draining),
        Wire::Closed => Some(ServerState::Closed),
    };
    violations.check(known.is_some(), field, "must be OPEN, DRAINING or CLOSED");
    known
}

fn convert((server, databases): Seen) -> DatabaseServer {
    let state = match server.state {
        ServerState::Open => Wire::Open,
        ServerState::Draining => Wire::Draining,
        ServerState::Closed => Wire::Closed,
    };
    DatabaseServer {
        name: server.name,
        engine: server.engine,
        endpoint: server.endpoint,
        region: server.region.unwrap_or_default(),
        state: state.into(),
        max_databases: server.max_databases,
        databases,
        etag: server.revision.to_string(),
        create_time: Some(timestamp(server.created_at)),
        update_time: Some(timestamp(server.updated_at)),
    }
}
