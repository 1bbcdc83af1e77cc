//! A second tenant-aware service beside the crm: the example in `examples/notes`, with a plugin's tables of its own.

mod processes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use notes::v1::note_service_client::NoteServiceClient;
use notes::v1::{ListNotesRequest, Note, PutNoteRequest};
use tenantry_api::catalog::v1::{
    CreateApiKeyRequest, ExchangeApiKeyRequest, InstallPluginRequest, ListTenantsRequest, LoginRequest, PluginState,
    ResolveTenantRequest, UninstallPluginRequest,
};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{DatabaseTarget, MigrateRequest, RollbackRequest, RollbackScope};
use tenantry_rpc::auth::ServiceKeyFiles;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::command::Started as _;
use tenantry_rpc::server::{Mode, listen};
use tenantry_rpc::{Reason, Shutdown};
use tenantry_tenancy::TenantServiceConfig;
use tenantry_testkit::actors::{Actor, Bearer, LONGEST_CALL, Member, Operator, Owner, PASSWORD, Stranger, login};
use tenantry_testkit::process::run;
use tenantry_testkit::sandbox::{Beside, Engine, Sandbox};
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::clients::{command, tool};
use crate::lifecycle::Operations;
use crate::processes::eventually;
use crate::support::{fields, reason};

/// What the example's README has the catalog told.
const TENANT_SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/notes/tenant-services.json");
const NOTES: &str = "notes";

/// Three services and the example.
struct World {
    sandbox: Sandbox,
    address: SocketAddr,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

impl World {
    async fn start(engine: Engine) -> anyhow::Result<Self> {
        let beside = Beside {
            plugins: vec![notes_migrations::set()?],
            tenant_services_file: Some(TENANT_SERVICES.into()),
            // The other one has a key that is trusted, and is nothing to the catalog.
            services: vec![NOTES.to_owned(), "stranger".to_owned()],
        };
        let sandbox = Sandbox::start_beside(engine, beside).await?;
        let keys = sandbox.folder().join("data/keys");
        let identity = ServiceKeyFiles {
            service_key_file: Some(keys.join("notes.pem")),
            trusted_services_file: Some(keys.join("services.json")),
        };
        let mut config = TenantServiceConfig::at((Ipv4Addr::LOCALHOST, 0).into(), Mode::Dev, identity);
        config.catalog_address = format!("http://{}", sandbox.addresses().catalog);
        config.issuer.clone_from(&config.catalog_address);
        let port = listen(&config.server).await?;
        let service = notes::start(config, port).await?;
        let (address, shutdown) = (service.address()?, Shutdown::new());
        let serving = tokio::spawn(service.serve(shutdown.clone()));
        let world = Self { sandbox, address, shutdown, serving };
        world.is_registered().await?;
        Ok(world)
    }

    /// Waits until the migrator has told the catalog of its plugins.
    async fn is_registered(&self) -> anyhow::Result<()> {
        crate::plugins::registered(&self.sandbox).await
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.begin();
        self.serving.await?;
        self.sandbox.stop().await
    }

    fn notes(&self) -> anyhow::Result<NoteServiceClient<ServiceChannel>> {
        at(self.address)
    }

    async fn put(&self, by: &impl Actor, id: &str, text: &str) -> Result<Note, Status> {
        let request = PutNoteRequest { id: id.into(), text: text.into() };
        Ok(self.notes().expect("a client").put_note(by.request(request)).await?.into_inner())
    }

    async fn list(&self, by: &impl Actor) -> Result<Vec<Note>, Status> {
        let request = by.request(ListNotesRequest::default());
        Ok(self.notes().expect("a client").list_notes(request).await?.into_inner().notes)
    }

    /// A company, and whether it has notes.
    async fn company(&self, name: &str, with_notes: bool) -> anyhow::Result<Owner> {
        let owner = Owner::of_new_company(&self.sandbox, name).await?;
        if with_notes {
            install(self.sandbox.clients(), &owner).await?;
        }
        Ok(owner)
    }

    /// Waits until the service answers so; what it has heard is a moment old.
    async fn refuses(&self, by: &impl Actor, expected: Option<Reason>) -> anyhow::Result<()> {
        let what = format!("{expected:?}");
        eventually(&what, async || {
            let said = self.list(by).await.err().as_ref().and_then(tenantry_rpc::reason_of);
            Ok((said == expected).then_some(()))
        })
        .await
    }
}

fn at(address: SocketAddr) -> anyhow::Result<NoteServiceClient<ServiceChannel>> {
    Ok(NoteServiceClient::new(client::open(&format!("http://{address}"), NOTES, None)?))
}

async fn install(clients: tenantry_testkit::sandbox::Clients, owner: &Owner) -> anyhow::Result<()> {
    let company_id = owner.company.id.clone();
    let install = InstallPluginRequest { company_id, plugin: NOTES.into(), settings: String::new() };
    let installed = clients.plugins()?.install_plugin(owner.request(install)).await?.into_inner();
    anyhow::ensure!(installed.state() == PluginState::Installed, "{installed:?}");
    Ok(())
}

fn id(number: u8) -> String {
    format!("0192f0c1-7e57-7000-8000-0000000000{number:02}")
}

/// As [`per_engine!`](crate::support::per_engine), in a world of this module's.
macro_rules! per_engine {
    ($($name:ident),+ $(,)?) => {
        per_engine!(@ sqlite, Sqlite, $($name),+);
        per_engine!(@ postgres, Postgres, $($name),+);
        per_engine!(@ mariadb, MariaDb, $($name),+);
    };
    (@ $engine:ident, $kind:ident, $($name:ident),+) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    let world = super::World::start(super::Engine::$kind).await?;
                    super::$name(&world).await?;
                    world.stop().await
                }
            )+
        }
    };
}

per_engine!(
    each_company_has_its_own_notes,
    whoever_may_not_is_told_why,
    its_own_tables_have_their_own_gate,
    it_is_called_by_reflection_and_watched_by_health,
);

async fn each_company_has_its_own_notes(world: &World) -> anyhow::Result<()> {
    let (one, other) = (world.company("One", true).await?, world.company("Other", true).await?);
    let first = world.put(&one, &id(1), "Call Grace 'back'; -- \"☀\"").await?;
    let member = Member::invited_by(&world.sandbox, &one, "member").await?;
    let second = world.put(&member, &id(2), "  two\r\nlines ").await?;
    assert_eq!((second.text.as_str(), &second.author_id), ("two\nlines", &member.user_id));
    assert_eq!(world.list(&one).await?, [first.clone(), second.clone()]);
    assert!(world.list(&other).await?.is_empty());

    // The same id is another note there, and the same call twice is one here.
    let theirs = world.put(&other, &id(1), "theirs").await?;
    let again = world.put(&one, &id(1), &first.text).await?;
    assert_eq!((&again.id, &again.text), (&first.id, &first.text));
    assert_eq!(world.list(&other).await?, [theirs]);
    assert_eq!(world.list(&one).await?, [again.clone(), second.clone()]);

    let page = |token: &str| one.request(ListNotesRequest { page_size: 1, page_token: token.into() });
    let first_page = world.notes()?.list_notes(page("")).await?.into_inner();
    let last_page = world.notes()?.list_notes(page(&first_page.next_page_token)).await?.into_inner();
    assert_eq!((first_page.notes, last_page.notes), (vec![again], vec![second]));
    assert_eq!(last_page.next_page_token, "");

    assert_eq!(fields(world.put(&one, "?", "\u{0}").await), ["id", "text"]);
    assert_eq!(fields(world.put(&one, &id(3), " ").await), ["text"]);
    assert_eq!(fields(world.put(&one, &id(3), &"☀".repeat(1_001)).await), ["text"]);
    world.put(&one, &id(3), &"☀".repeat(1_000)).await.map(drop)?;
    Ok(())
}

async fn whoever_may_not_is_told_why(world: &World) -> anyhow::Result<()> {
    let (owner, without) = (world.company("With", true).await?, world.company("Without", false).await?);
    assert_eq!(reason(world.list(&without).await), Some(Reason::PluginNotInstalled));
    assert_eq!(reason(world.list(&Stranger).await), Some(Reason::TokenMissing));
    let operator = Operator::of(&world.sandbox).await?;
    assert_eq!(reason(world.list(&operator).await), Some(Reason::TokenInvalid), "no audience of operators");
    let service = Bearer(world.sandbox.service_token("crm", NOTES)?);
    assert_eq!(reason(world.list(&service).await), Some(Reason::CallerNotAllowed));

    let of = async |audience: &str| {
        let audiences = vec![audience.to_owned()];
        let login =
            LoginRequest { email: owner.email.clone(), password: PASSWORD.into(), audiences, ..Default::default() };
        anyhow::Ok(Bearer(world.sandbox.tokens()?.login(login).await?.into_inner().access_token))
    };
    assert_eq!(reason(world.list(&of("crm").await?).await), Some(Reason::TokenInvalid));
    world.list(&of(NOTES).await?).await?;
    let people = of(NOTES).await?.request(ListPeopleRequest::default());
    assert_eq!(reason(world.sandbox.people()?.list_people(people).await), Some(Reason::TokenInvalid));

    let viewer = Member::invited_by(&world.sandbox, &owner, "viewer").await?;
    world.list(&viewer).await?;
    assert_eq!(reason(world.put(&viewer, &id(1), "mine").await), Some(Reason::ScopeMissing));

    // A machine of the company's has what it was given, and may be given no more than a service's file says.
    let key = |scope: &str| CreateApiKeyRequest {
        company_id: owner.company.id.clone(),
        name: "Reader".into(),
        scopes: vec![scope.into()],
        ..Default::default()
    };
    let mut keys = world.sandbox.clients().api_keys()?;
    let secret = keys.create_api_key(owner.request(key("notes.notes.read"))).await?.into_inner().secret;
    let exchange = ExchangeApiKeyRequest { secret, audiences: vec![NOTES.into()] };
    let machine = Bearer(world.sandbox.tokens()?.exchange_api_key(exchange).await?.into_inner().access_token);
    world.list(&machine).await?;
    assert_eq!(reason(world.put(&machine, &id(1), "mine").await), Some(Reason::ScopeMissing));
    assert_eq!(fields(keys.create_api_key(owner.request(key("notes.notes.burn"))).await), ["scopes"]);

    // Of the services whose keys are trusted, the one that the catalog knows resolves tenants, and nothing else.
    let resolve = || ResolveTenantRequest { company_id: owner.company.id.clone() };
    let mut directory = world.sandbox.directory()?;
    let itself = Bearer(world.sandbox.service_token(NOTES, "catalog")?);
    directory.resolve_tenant(itself.request(resolve())).await?;
    let lists = directory.list_tenants(itself.request(ListTenantsRequest::default())).await;
    assert_eq!(reason(lists), Some(Reason::CallerNotAllowed));
    let stranger = Bearer(world.sandbox.service_token("stranger", "catalog")?);
    assert_eq!(reason(directory.resolve_tenant(stranger.request(resolve())).await), Some(Reason::CallerNotAllowed));

    let operations = Operations::of(&world.sandbox).await?;
    operations.suspend(&owner.company.id).await?;
    world.refuses(&owner, Some(Reason::TenantSuspended)).await?;
    operations.resume(&owner.company.id).await?;
    world.refuses(&owner, Some(Reason::TokenStale)).await?;
    let anew = Bearer(login(&world.sandbox, &owner.email).await?);
    world.list(&anew).await.map(drop)?;
    Ok(())
}

async fn its_own_tables_have_their_own_gate(world: &World) -> anyhow::Result<()> {
    let owner = world.company("Gated", true).await?;
    let note = world.put(&owner, &id(1), "kept").await?;
    let mut plugins = world.sandbox.clients().plugins()?;
    let uninstall = |drop_data| {
        let company_id = owner.company.id.clone();
        owner.request(UninstallPluginRequest { company_id, plugin: NOTES.into(), drop_data })
    };
    plugins.uninstall_plugin(uninstall(false)).await?;
    world.refuses(&owner, Some(Reason::PluginNotInstalled)).await?;
    install(world.sandbox.clients(), &owner).await?;
    // Its first call after that asks: what was refused a moment ago is looked up again.
    world.refuses(&owner, None).await?;
    assert_eq!(world.list(&owner).await?, [note]);

    // A step back, and its people are told before any statement is run; the crm's are not.
    let operator = Operator::of(&world.sandbox).await?;
    let target =
        || Some(DatabaseTarget { database: Some(Database::CompanyId(owner.company.id.clone())), plugin: NOTES.into() });
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: target(), scope, force: true };
    world.sandbox.migrations()?.rollback(operator.request(back)).await?;
    world.refuses(&owner, Some(Reason::SchemaTooOld)).await?;
    world.sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?;
    let forth = MigrateRequest { target: target(), ..MigrateRequest::default() };
    world.sandbox.migrations()?.migrate(operator.request(forth)).await?;
    world.refuses(&owner, None).await?;
    assert!(world.list(&owner).await?.is_empty(), "they went with the table");

    plugins.uninstall_plugin(uninstall(true)).await?;
    world.refuses(&owner, Some(Reason::PluginNotInstalled)).await
}

async fn it_is_called_by_reflection_and_watched_by_health(world: &World) -> anyhow::Result<()> {
    let owner = world.company("Curled", true).await?;
    let service = "notes.v1.NoteService";
    let mut health = HealthClient::new(client::open(&format!("http://{}", world.address), NOTES, None)?);
    let mut watch = Request::new(HealthCheckRequest { service: service.into() });
    watch.set_timeout(LONGEST_CALL);
    let mut health = health.watch(watch).await?.into_inner();
    // Once it has heard the catalog.
    while health.message().await?.context("the stream ended")?.status() != ServingStatus::Serving {}

    let home = tempfile::tempdir()?;
    let listed = curl(home.path(), &["--list-methods", &format!("http://{}", world.address)]).await?;
    assert!(listed.contains("notes.v1.NoteService/PutNote"), "{listed}");
    assert!(!listed.contains("tenantry.crm"), "{listed}");
    let bearer = format!("authorization: Bearer {}", owner.token().context("a token")?);
    let body = serde_json::json!({ "id": id(7), "text": "by \"curl\"" }).to_string();
    let url = format!("http://{}/{service}/PutNote", world.address);
    let said = curl(home.path(), &["--header", &bearer, "--data", &body, &url]).await?;
    let note: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!((&note["id"], &note["text"]), (&id(7).into(), &"by \"curl\"".into()));
    Ok(())
}

async fn curl(home: &Path, words: &[&str]) -> anyhow::Result<String> {
    let mut buf = command(tool("TENANTRY_TEST_BUF")?);
    buf.env("HOME", home).args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]).args(words);
    run(buf).await?.success()
}

/// What the catalog is told wrongly shows at its start, and not at a sign-in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_is_told_wrongly_does_not_start() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("services.json");
    for (text, problem) in [(r#"{"crm": {}}"#, "Tenantry's own"), ("{", "EOF")] {
        std::fs::write(&file, text)?;
        let beside = Beside { tenant_services_file: Some(file.clone()), ..Beside::default() };
        let refused = Sandbox::start_beside(Engine::Sqlite, beside).await.map(drop).expect_err(text);
        assert!(format!("{refused:#}").contains(problem), "{refused:#}");
    }
    let beside = Beside { tenant_services_file: Some(folder.path().join("none")), ..Beside::default() };
    let refused = Sandbox::start_beside(Engine::Sqlite, beside).await.map(drop).expect_err("no file");
    assert!(format!("{refused:#}").contains("--tenant-services-file"), "{refused:#}");
    Ok(())
}
