//! Where companies' databases go, with several servers at once.

use prost_types::FieldMask;
use tenantry_api::catalog::v1::{
    Company, CreateCompanyRequest, DatabaseServer, DatabaseServerState as State, GetDatabaseServerRequest,
    ListDatabaseServersRequest, LoginRequest, PurgeCompanyRequest, RegisterDatabaseServerRequest,
    UpdateDatabaseServerRequest,
};
use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Operator, PASSWORD, fresh_email};
use tenantry_testkit::sandbox::Sandbox;
use tokio::task::JoinSet;
use tonic::Status;

use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    servers_are_registered_listed_and_changed,
    companies_go_where_there_is_room_and_each_refusal_is_its_own,
    many_at_once_never_overfill,
);

/// An operator who sets servers up.
struct Setup<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
}

impl<'s> Setup<'s> {
    async fn of(sandbox: &'s Sandbox) -> anyhow::Result<Self> {
        Ok(Self { sandbox, operator: Operator::of(sandbox).await? })
    }

    async fn register(&self, request: RegisterDatabaseServerRequest) -> Result<DatabaseServer, Status> {
        let mut servers = self.sandbox.clients().database_servers().expect("a client");
        Ok(servers.register_database_server(self.operator.request(request)).await?.into_inner())
    }

    /// One that nobody makes databases on: what goes there waits.
    async fn imagined(&self, name: &str, region: &str, max_databases: i32) -> Result<DatabaseServer, Status> {
        let (name, region, endpoint) = (name.to_owned(), region.to_owned(), "sqlite:/nowhere".to_owned());
        self.register(RegisterDatabaseServerRequest { name, endpoint, region, max_databases, state: 0 }).await
    }

    async fn update(&self, server: DatabaseServer, paths: &[&str]) -> Result<DatabaseServer, Status> {
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let request = UpdateDatabaseServerRequest { database_server: Some(server), update_mask };
        let mut servers = self.sandbox.clients().database_servers().expect("a client");
        Ok(servers.update_database_server(self.operator.request(request)).await?.into_inner())
    }

    async fn set(&self, name: &str, state: State) -> Result<DatabaseServer, Status> {
        let server = DatabaseServer { name: name.to_owned(), state: state.into(), ..Default::default() };
        self.update(server, &["state"]).await
    }

    async fn list(&self, request: ListDatabaseServersRequest) -> Result<Vec<DatabaseServer>, Status> {
        let mut servers = self.sandbox.clients().database_servers().expect("a client");
        Ok(servers.list_database_servers(self.operator.request(request)).await?.into_inner().database_servers)
    }

    async fn databases(&self, name: &str) -> Result<i64, Status> {
        let mut servers = self.sandbox.clients().database_servers().expect("a client");
        let request = self.operator.request(GetDatabaseServerRequest { name: name.to_owned() });
        Ok(servers.get_database_server(request).await?.into_inner().databases)
    }

    /// A company that is not waited for: the server's name, or the refusal.
    async fn place(&self, server: &str, region: &str) -> Result<String, Status> {
        Ok(self.create(server, region, true).await?.0.database_server)
    }

    /// A company, and its owner's address.
    async fn create(&self, server: &str, region: &str, no_wait: bool) -> Result<(Company, String), Status> {
        let request = CreateCompanyRequest {
            name: "Placed".into(),
            owner_email: fresh_email(),
            owner_password: PASSWORD.into(),
            database_server: server.into(),
            region: region.into(),
            no_wait,
            ..Default::default()
        };
        let email = request.owner_email.clone();
        let mut companies = self.sandbox.companies().expect("a client");
        let company = companies.create_company(self.operator.request(request)).await?.into_inner();
        Ok((company, email))
    }
}

async fn servers_are_registered_listed_and_changed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    let before = setup.list(ListDatabaseServersRequest::default()).await?;
    assert_eq!((before.len(), before[0].state(), before[0].max_databases), (1, State::Open, 0));
    let asked = RegisterDatabaseServerRequest {
        name: "pg-2".into(),
        endpoint: "postgres://db2.example:5432".into(),
        region: "eu".into(),
        max_databases: 7,
        state: State::Closed.into(),
    };
    let made = setup.register(asked.clone()).await?;
    assert_eq!((made.engine.as_str(), made.region.as_str(), made.max_databases), ("postgres", "eu", 7));
    assert_eq!((made.state(), made.databases), (State::Closed, 0));
    // Twice is once, and somebody else's name is theirs.
    assert_eq!(setup.register(asked.clone()).await?, made);
    let other = RegisterDatabaseServerRequest { endpoint: "postgres://db3.example:5432".into(), ..asked.clone() };
    assert_eq!(reason(setup.register(other).await), Some(Reason::DatabaseServerExists));
    let wrong = [
        RegisterDatabaseServerRequest { name: "a b".into(), ..asked.clone() },
        RegisterDatabaseServerRequest { name: "n".repeat(64), ..asked.clone() },
        RegisterDatabaseServerRequest { name: "x'; DROP TABLE database_servers; --".into(), ..asked.clone() },
        RegisterDatabaseServerRequest { endpoint: "postgres://user:password@db".into(), ..asked.clone() },
        RegisterDatabaseServerRequest { endpoint: "postgres:".into(), ..asked.clone() },
        RegisterDatabaseServerRequest { endpoint: "oracle://db".into(), ..asked.clone() },
        RegisterDatabaseServerRequest { region: "r".repeat(64), ..asked.clone() },
        RegisterDatabaseServerRequest { max_databases: -1, ..asked.clone() },
        RegisterDatabaseServerRequest { max_databases: 1_000_001, ..asked.clone() },
        RegisterDatabaseServerRequest { state: 9, ..asked.clone() },
    ];
    for request in wrong {
        let refused = setup.register(RegisterDatabaseServerRequest { name: request.name.clone(), ..request.clone() });
        assert_eq!(reason(refused.await), Some(Reason::FieldViolations), "{request:?}");
    }

    let new = DatabaseServer { region: "電 \"us\"".into(), max_databases: 1_000_000, ..made.clone() };
    let changed = setup.update(new.clone(), &["region"]).await?;
    assert_eq!((changed.region.as_str(), changed.max_databases), ("電 \"us\"", 7));
    assert_ne!(changed.etag, made.etag);
    assert_eq!(reason(setup.update(new.clone(), &["max_databases"]).await), Some(Reason::EtagMismatch));
    let any = DatabaseServer { etag: String::new(), ..new };
    let changed = setup.update(any.clone(), &["*"]).await?;
    assert_eq!((changed.state(), changed.max_databases), (State::Closed, 1_000_000));
    // What changes nothing is no change.
    assert_eq!(setup.update(any.clone(), &[]).await?, changed);
    let emptied = setup.update(DatabaseServer { region: String::new(), ..any.clone() }, &["region"]).await?;
    assert_eq!(emptied.region, "");
    let refused = setup.update(any.clone(), &["endpoint"]).await;
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    let nowhere = DatabaseServer { state: 0, ..any.clone() };
    assert_eq!(reason(setup.update(nowhere, &["state"]).await), Some(Reason::FieldViolations));
    let unknown = DatabaseServer { name: "unknown".into(), ..any };
    assert_eq!(reason(setup.update(unknown, &["region"]).await), Some(Reason::DatabaseServerNotFound));
    assert_eq!(reason(setup.databases("unknown").await), Some(Reason::DatabaseServerNotFound));

    setup.imagined("eu-1", "eu", 1).await?;
    let names = |servers: Vec<DatabaseServer>| servers.into_iter().map(|server| server.name).collect::<Vec<_>>();
    let closed = ListDatabaseServersRequest { states: vec![State::Closed.into()], ..Default::default() };
    assert_eq!(names(setup.list(closed).await?), ["pg-2"]);
    let in_eu = ListDatabaseServersRequest { region: "eu".into(), ..Default::default() };
    assert_eq!(names(setup.list(in_eu).await?), ["eu-1"]);
    assert_eq!(setup.list(ListDatabaseServersRequest::default()).await?.len(), 3);
    let odd = ListDatabaseServersRequest { states: vec![0], ..Default::default() };
    assert_eq!(reason(setup.list(odd).await), Some(Reason::FieldViolations));
    Ok(())
}

async fn companies_go_where_there_is_room_and_each_refusal_is_its_own(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    let own = setup.list(ListDatabaseServersRequest::default()).await?.remove(0).name;
    setup.set(&own, State::Closed).await?;
    assert_eq!(reason(setup.place("", "").await), Some(Reason::NoDatabaseServer));
    setup.imagined("a", "eu", 2).await?;
    setup.imagined("b", "us", 3).await?;

    // The one with most room, and the first by name of two alike.
    for expected in ["b", "a", "b"] {
        assert_eq!(setup.place("", "").await?, expected);
    }
    assert_eq!(setup.place("", "eu").await?, "a");
    // At the limit, and one more.
    for (server, region) in [("", "eu"), ("a", ""), ("a", "eu")] {
        assert_eq!(reason(setup.place(server, region).await), Some(Reason::ServerAtCapacity), "{server} {region}");
    }
    assert_eq!(setup.place("b", "us").await?, "b");
    let full = setup.place("", "").await.expect_err("a refusal");
    assert_eq!(reason_of(&full), Some(Reason::ServerAtCapacity));
    assert!(full.message().contains("max_databases"), "{}", full.message());
    assert_eq!((setup.databases("a").await?, setup.databases("b").await?), (2, 3));

    assert_eq!(reason(setup.place("unknown", "").await), Some(Reason::DatabaseServerNotFound));
    assert_eq!(reason(setup.place(&own, "").await), Some(Reason::ServerNotOpen));
    setup.set("b", State::Draining).await?;
    assert_eq!(reason(setup.place("b", "").await), Some(Reason::ServerNotOpen));
    assert_eq!(reason(setup.place("", "us").await), Some(Reason::NoServerInRegion));
    assert_eq!(reason(setup.place("a", "us").await), Some(Reason::NoServerInRegion));
    assert_eq!(reason(setup.place("", "mars").await), Some(Reason::NoServerInRegion));

    // Raised, there is room again; lowered below what is there, there is none, and nobody is put out.
    let at_most = |max_databases| DatabaseServer { name: "a".into(), max_databases, ..Default::default() };
    setup.update(at_most(3), &["max_databases"]).await?;
    assert_eq!(setup.place("", "").await?, "a");
    setup.update(at_most(1), &["max_databases"]).await?;
    assert_eq!(reason(setup.place("", "").await), Some(Reason::ServerAtCapacity));
    setup.update(at_most(0), &["max_databases"]).await?;
    assert_eq!((setup.place("", "").await?.as_str(), setup.databases("a").await?), ("a", 4));
    Ok(())
}

const ROOM: [(&str, i32); 2] = [("a", 4), ("b", 3)];
const ASKING: usize = 16;

async fn many_at_once_never_overfill(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = std::sync::Arc::new(Setup::of(sandbox).await?);
    let own = setup.list(ListDatabaseServersRequest::default()).await?.remove(0).name;
    setup.set(&own, State::Closed).await?;
    for (name, max_databases) in ROOM {
        setup.imagined(name, "", max_databases).await?;
    }
    let (mut placed, mut refused) = (0, 0);
    let asked: Vec<_> = (0..ASKING).map(|_| setup.place("", "")).collect();
    for outcome in futures_of(asked).await {
        match outcome {
            Ok(_) => placed += 1,
            Err(status) => {
                let reason = reason_of(&status);
                assert!(matches!(reason, Some(Reason::ServerAtCapacity | Reason::Overloaded)), "{status:?}");
                refused += 1;
            }
        }
    }
    // Who was told to try again does.
    while setup.place("", "").await.is_ok() {
        placed += 1;
    }
    let room: i32 = ROOM.iter().map(|(_, room)| room).sum();
    assert_eq!(placed, room, "{refused} were refused");
    for (name, most) in ROOM {
        assert_eq!(setup.databases(name).await?, i64::from(most), "{name}");
    }
    Ok(())
}

/// All of them at once.
async fn futures_of<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::with_capacity(all.len());
    std::future::poll_fn(|context| {
        all.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(outcome) => {
                done.push(outcome);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

/// PostgreSQL, MariaDB and files at once: each company works where its region is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_engines_at_once_each_in_its_region() -> anyhow::Result<()> {
    let sandbox = Sandbox::start_on_all().await?;
    let setup = Setup::of(&sandbox).await?;
    let regions = [("main", "eu"), ("mariadb", "us"), ("sqlite", "here")];
    for (name, region) in regions {
        let max_databases = 2;
        let server = DatabaseServer { name: name.into(), region: region.into(), max_databases, ..Default::default() };
        setup.update(server, &[]).await?;
    }
    let mut created = JoinSet::new();
    for (name, region) in regions.into_iter().cycle().take(6) {
        let at = sandbox.clients();
        let token = setup.operator.token().unwrap_or_default().to_owned();
        created.spawn(async move {
            let request = CreateCompanyRequest {
                name: format!("In {region}"),
                owner_email: fresh_email(),
                owner_password: PASSWORD.into(),
                region: region.into(),
                ..Default::default()
            };
            let email = request.owner_email.clone();
            let company = at.companies()?.create_company(Bearer(token).request(request)).await?.into_inner();
            assert_eq!(company.database_server, name);
            let login = LoginRequest { email, password: PASSWORD.into(), ..Default::default() };
            let owner = Bearer(at.tokens()?.login(login).await?.into_inner().access_token);
            let person = Some(Person { name: region.into(), ..Default::default() });
            at.people()?.create_person(owner.request(CreatePersonRequest { person, ..Default::default() })).await?;
            anyhow::Ok(company.id)
        });
    }
    let mut ids = Vec::new();
    while let Some(one) = created.join_next().await {
        ids.push(one??);
    }
    for (name, region) in regions {
        assert_eq!(setup.databases(name).await?, 2, "{name}");
        assert_eq!(reason(setup.place("", region).await), Some(Reason::ServerAtCapacity), "{name}");
    }
    // Who is purged leaves room.
    let operations = Operations::of(&sandbox).await?;
    operations.delete(&ids[0]).await?;
    let purge = PurgeCompanyRequest { id: ids[0].clone(), force: true, ..Default::default() };
    sandbox.companies()?.purge_company(operations.operator.request(purge)).await?;
    let room: i64 =
        6 - [setup.databases("main").await?, setup.databases("mariadb").await?, setup.databases("sqlite").await?]
            .iter()
            .sum::<i64>();
    assert_eq!(room, 1);
    setup.place("", "").await?;
    sandbox.stop().await
}
