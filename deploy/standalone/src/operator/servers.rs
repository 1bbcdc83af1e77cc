//! Database servers: what there is, and where new companies go.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use prost_types::FieldMask;
use tenantry_api::catalog::v1::{
    DatabaseServer, DatabaseServerState, ListDatabaseServersRequest, RegisterDatabaseServerRequest,
    UpdateDatabaseServerRequest,
};

use super::connection::Session;
use super::exit::Exit;
use super::output::{Output, table};

const MESSAGE: &str = "tenantry.catalog.v1.DatabaseServer";

#[derive(Subcommand)]
pub enum Servers {
    /// The servers, with the room that they have.
    List(List),
    /// Registers a server that the migrator knows by the same name.
    Register(Register),
    /// Opens, drains or closes a server, moves it to a region, or says how many databases it takes.
    Update(Update),
}

#[derive(Args)]
pub struct List {
    /// Those of this region.
    #[arg(long)]
    region: Option<String>,

    /// Those in this state; may be repeated.
    #[arg(long)]
    state: Vec<State>,
}

#[derive(Args)]
pub struct Register {
    /// Its name, as the migrator has it.
    name: String,

    /// Its address without credentials: postgres://host:port, mysql://host:port or sqlite:/folder.
    endpoint: String,

    /// Where it is.
    #[arg(long, default_value = "")]
    region: String,

    /// How many databases it takes; 0 is as many as come.
    #[arg(long, default_value_t = 0)]
    max_databases: i32,

    /// Whether new companies go there at once.
    #[arg(long, default_value = "open")]
    state: State,
}

#[derive(Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args(["region", "state", "max_databases"]))]
pub struct Update {
    /// The server's name.
    name: String,

    /// Where it is; empty takes it out of its region.
    #[arg(long)]
    region: Option<String>,

    /// Whether new companies go there.
    #[arg(long)]
    state: Option<State>,

    /// How many databases it takes; 0 is as many as come.
    #[arg(long)]
    max_databases: Option<i32>,

    /// The etag that the server must still have.
    #[arg(long, default_value = "")]
    etag: String,
}

/// Whether new companies go to a server.
#[derive(Clone, Copy, ValueEnum)]
enum State {
    /// They do.
    Open,
    /// They do not, and those that are there are to leave.
    Draining,
    /// They do not.
    Closed,
}

impl From<State> for DatabaseServerState {
    fn from(state: State) -> Self {
        match state {
            State::Open => Self::Open,
            State::Draining => Self::Draining,
            State::Closed => Self::Closed,
        }
    }
}

impl Servers {
    pub(crate) async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        match self {
            Self::List(list) => list.run(session, output).await,
            Self::Register(register) => register.run(session, output).await,
            Self::Update(update) => update.run(session, output).await,
        }
    }
}

impl List {
    async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let states = self.state.into_iter().map(|state| DatabaseServerState::from(state).into()).collect();
        let request = ListDatabaseServersRequest { states, region: self.region.unwrap_or_default() };
        let found = session.database_servers().list_database_servers(session.request(request)?).await?.into_inner();
        if output.is_json() {
            for server in &found.database_servers {
                output.answer(MESSAGE, server, |_| String::new())?;
            }
            return Ok(Exit::Done);
        }
        output.line(&rows(&found.database_servers))?;
        Ok(Exit::Done)
    }
}

impl Register {
    async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let request = RegisterDatabaseServerRequest {
            name: self.name,
            endpoint: self.endpoint,
            region: self.region,
            max_databases: self.max_databases,
            state: DatabaseServerState::from(self.state).into(),
        };
        let made = session.database_servers().register_database_server(session.request(request)?).await?.into_inner();
        show(output, &made)
    }
}

impl Update {
    async fn run(self, session: &Session, output: &Output) -> anyhow::Result<Exit> {
        let given = [
            ("region", self.region.is_some()),
            ("state", self.state.is_some()),
            ("max_databases", self.max_databases.is_some()),
        ];
        let paths = given.into_iter().filter(|(_, given)| *given).map(|(field, _)| field.to_owned()).collect();
        let server = DatabaseServer {
            name: self.name,
            region: self.region.unwrap_or_default(),
            state: self.state.map_or(DatabaseServerState::Unspecified, Into::into).into(),
            max_databases: self.max_databases.unwrap_or_default(),
            etag: self.etag,
            ..Default::default()
        };
        let request =
            UpdateDatabaseServerRequest { database_server: Some(server), update_mask: Some(FieldMask { paths }) };
        let now = session.database_servers().update_database_server(session.request(request)?).await?.into_inner();
        show(output, &now)
    }
}

fn show(output: &Output, server: &DatabaseServer) -> anyhow::Result<Exit> {
    output.answer(MESSAGE, server, |server| rows(std::slice::from_ref(server)))?;
    Ok(Exit::Done)
}

fn rows(servers: &[DatabaseServer]) -> String {
    let mut rows =
        vec![["name", "engine", "region", "state", "databases", "of", "endpoint"].map(str::to_owned).to_vec()];
    rows.extend(servers.iter().map(|server| {
        let most = if server.max_databases == 0 { "-".to_owned() } else { server.max_databases.to_string() };
        let state = server.state().as_str_name().trim_start_matches("DATABASE_SERVER_STATE_").to_owned();
        let (name, engine, region) = (server.name.clone(), server.engine.clone(), server.region.clone());
        vec![name, engine, region, state, server.databases.to_string(), most, server.endpoint.clone()]
    }));
    table(&rows)
}
