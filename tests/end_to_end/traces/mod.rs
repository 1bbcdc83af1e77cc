//! Traces of three processes on every engine, at a real OTLP receiver.

mod receiver;
mod shapes;

use std::net::SocketAddr;
use std::process::Command;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tenantry_api::catalog::v1::{Company, DeleteCompanyRequest, PurgeCompanyRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, GetPersonRequest, Person};
use tenantry_api::migrator::v1::{CreateRolloutRequest, Rollout, WatchRolloutRequest};
use tenantry_testkit::actors::{Actor, Bearer, Operator, PASSWORD, fresh_email, login, registration};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::{Clients, Engine};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::matrix::Bytes;
use crate::migrations::BEFORE;
use crate::processes::Deployment;
pub(crate) use receiver::Receiver;
use receiver::Span;

/// The client's own span, in every trace of its.
const CLIENT_SPAN: &str = "00f067aa0ba902b7";
/// What is nobody's business but the company's.
const PERSON: &str = "Zoë \"Geheim\" O'Brien";

/// Three processes that send their spans, and of traces that nobody has decided about none.
struct World {
    deployment: Deployment,
    processes: Vec<Process>,
    receiver: Receiver,
    operator: Operator,
}

impl World {
    async fn start(engine: Engine) -> anyhow::Result<Self> {
        let receiver = Receiver::default();
        let endpoint = format!("http://{}", receiver.start().await?);
        let deployment = match engine {
            Engine::Sqlite => Deployment::on_files()?,
            engine => Deployment::on(engine)?,
        };
        deployment.prepare().await?;
        let sending = |command: &mut Command| {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).env("TENANTRY_TRACE_RATIO", "0");
        };
        let processes = deployment.serve_all(sending).await?;
        let operator = deployment.operator().await?;
        Ok(Self { deployment, processes, receiver, operator })
    }

    fn clients(&self) -> Clients {
        self.deployment.clients()
    }

    async fn register(&self, trace: Traced) -> anyhow::Result<(Company, Bearer)> {
        let email = fresh_email();
        let request = trace.of(Request::new(registration("Traced", &email)));
        let company = self.clients().companies()?.register_company(request).await?.into_inner();
        Ok((company, Bearer(login(self.clients(), &email).await?)))
    }

    async fn roll_out(&self, trace: Traced) -> anyhow::Result<Rollout> {
        let create = CreateRolloutRequest { version: BEFORE.into(), allow_rollback: true, ..Default::default() };
        let mut rollouts = self.clients().rollouts()?;
        let created = rollouts.create_rollout(trace.of(self.operator.request(create))).await?.into_inner();
        let rollout = created.rollout.unwrap_or_default();
        let watch = WatchRolloutRequest { id: rollout.id.clone() };
        let mut seen = rollouts.watch_rollout(self.operator.request(watch)).await?.into_inner();
        while seen.message().await?.is_some() {}
        Ok(rollout)
    }

    async fn purge(&self, id: &str, trace: Traced) -> anyhow::Result<()> {
        let mut companies = self.clients().companies()?;
        let delete = DeleteCompanyRequest { id: id.to_owned(), ..Default::default() };
        companies.delete_company(self.operator.request(delete)).await?;
        let purge = PurgeCompanyRequest { id: id.to_owned(), force: true, ..Default::default() };
        companies.purge_company(trace.of(self.operator.request(purge))).await?;
        Ok(())
    }

    /// Whatever is left is sent.
    async fn stop(self) -> anyhow::Result<Receiver> {
        for process in self.processes.into_iter().rev() {
            process.stop("TERM").await?;
        }
        self.deployment.remove().await?;
        Ok(self.receiver)
    }
}

/// A client's trace, by its number.
#[derive(Clone, Copy)]
struct Traced {
    number: u8,
    sampled: bool,
}

impl Traced {
    fn id(self) -> String {
        format!("4bf92f3577b34da6a3ce929d0e0e47{:02x}", self.number)
    }

    fn of<T>(self, mut request: Request<T>) -> Request<T> {
        let parent = format!("00-{}-{CLIENT_SPAN}-0{}", self.id(), u8::from(self.sampled));
        request.metadata_mut().insert("traceparent", parent.parse().expect("a header"));
        request
    }
}

const fn sampled(number: u8) -> Traced {
    Traced { number, sampled: true }
}

const fn unsampled(number: u8) -> Traced {
    Traced { number, sampled: false }
}

/// A method that nobody has.
async fn call_what_is_not_there(crm: SocketAddr, trace: Traced) -> anyhow::Result<Status> {
    let channel = tenantry_rpc::client::open(&format!("http://{crm}"), "crm", None)?;
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(anyhow::Error::from_boxed)?;
    let path = PathAndQuery::from_static("/tenantry.crm.v1.PersonService/Nothing");
    let refused = grpc.unary(trace.of(Request::new(Vec::new())), path, Bytes).await;
    Ok(refused.expect_err("there is no such method"))
}

async fn traces_join_three_services_and_their_statements(engine: Engine) -> anyhow::Result<()> {
    let world = World::start(engine).await?;
    let (registering, creating) = (sampled(1), sampled(2));
    let (company, owner) = world.register(registering).await?;
    let create = CreatePersonRequest {
        person: Some(Person { name: PERSON.into(), ..Default::default() }),
        ..Default::default()
    };
    world.clients().people()?.create_person(creating.of(owner.request(create))).await?;
    let receiver = world.stop().await?;

    let (registered, created) = (receiver.trace(&registering.id()), receiver.trace(&creating.id()));
    println!("{}\n{}", registered.tree(CLIENT_SPAN), created.tree(CLIENT_SPAN));
    assert_eq!(created.shape(CLIENT_SPAN), shapes::create_person(engine));
    let (shape, wanted) = (registered.shape(CLIENT_SPAN), shapes::register_company(engine));
    match engine {
        Engine::Postgres => assert_eq!(shape, wanted),
        _ => assert_eq!(shapes::without_the_migrators(&shape), shapes::without_the_migrators(&wanted)),
    }
    let made = registered.only(SpanKind::Server, "tenantry.migrator.v1.TenantDatabaseService/CreateTenantDatabase")?;
    let statement = format!("migrator {}: ", shapes::system(engine));
    assert!(registered.shape(&made.id).contains(&statement), "a database without a statement");
    for trace in [&registered, &created] {
        for span in &trace.0 {
            let parent = trace.0.iter().find(|other| other.id == span.parent);
            assert!(parent.is_some() || span.parent == CLIENT_SPAN, "an orphan: {span:?}");
            assert_eq!(span.attribute("tenantry.tenant"), Some(company.id.as_str()), "{span:?}");
            assert_eq!(span.schema, "https://opentelemetry.io/schemas/1.40.0");
            if let Some(caller) = parent.filter(|_| span.kind == SpanKind::Server) {
                assert_eq!((caller.kind, &caller.name), (SpanKind::Client, &span.name));
                assert_ne!(caller.service, span.service);
            }
            tells_no_value(span);
        }
    }
    Ok(())
}

/// What a span says may be read by whoever looks after the services.
fn tells_no_value(span: &Span) {
    for (name, value) in &span.attributes {
        for secret in [PERSON, "Geheim", PASSWORD, "@example.com", "$argon2"] {
            assert!(!value.contains(secret), "{name} of {span:?}");
        }
    }
    assert!(span.kind != SpanKind::Client || span.attribute("db.system.name").is_some() || span.name.contains('/'));
}

async fn what_is_done_later_is_linked_to_what_asked_for_it(engine: Engine) -> anyhow::Result<()> {
    let world = World::start(engine).await?;
    let (company, _owner) = world.register(unsampled(1)).await?;
    let rollout = world.roll_out(sampled(2)).await?;
    world.purge(&company.id, sampled(3)).await?;
    let receiver = world.stop().await?;

    let cause = |traced: Traced, name: &str| -> anyhow::Result<_> {
        let span = receiver.trace(&traced.id()).only(SpanKind::Server, name)?.clone();
        Ok(vec![(span.trace, span.id)])
    };
    let asked = cause(sampled(2), "tenantry.migrator.v1.RolloutService/CreateRollout")?;
    for name in ["rollout rehearsal", "rollout target"] {
        let spans: Vec<_> = receiver.spans().into_iter().filter(|span| span.name == name).collect();
        let [span] = spans.as_slice() else { anyhow::bail!("{name}: {spans:?}") };
        assert_eq!((span.parent.as_str(), &span.links), ("", &asked), "{span:?}");
        assert_eq!(span.attribute("tenantry.rollout"), Some(rollout.id.as_str()));
        let shape = receiver.trace(&span.trace).shape(&span.id);
        assert!(
            shape.contains(&format!("migrator {}: ", shapes::system(engine))),
            "{name} without statements: {shape}"
        );
    }
    let target = receiver.spans().into_iter().find(|span| span.name == "rollout target").expect("seen above");
    assert_eq!(target.attribute("tenantry.tenant"), Some(company.id.as_str()));

    let asked = cause(sampled(3), "tenantry.catalog.v1.CompanyService/PurgeCompany")?;
    let purge: Vec<_> = receiver.spans().into_iter().filter(|span| span.name == "provision").collect();
    // That of the registration was not sampled.
    let [purge] = purge.as_slice() else { anyhow::bail!("{purge:?}") };
    assert_eq!((purge.parent.as_str(), &purge.links), ("", &asked));
    let dropped = receiver.trace(&purge.trace);
    let called = dropped.only(SpanKind::Server, "tenantry.migrator.v1.TenantDatabaseService/DropTenantDatabase")?;
    assert_eq!(called.attribute("tenantry.tenant"), Some(company.id.as_str()));
    Ok(())
}

/// The client, and so the trace, decides; but what fails is kept, and its error names the trace.
async fn what_fails_is_kept_though_it_was_not_sampled(engine: Engine) -> anyhow::Result<()> {
    let world = World::start(engine).await?;
    let (_, owner) = world.register(unsampled(1)).await?;
    let get = GetPersonRequest { id: "01890a5d-ac96-774b-bcce-b302099a8057".into() };
    let missing = world.clients().people()?.get_person(unsampled(2).of(owner.request(get))).await;
    assert_eq!(missing.expect_err("nobody").code(), tonic::Code::NotFound);
    let refused = call_what_is_not_there(world.deployment.addresses.crm, unsampled(3)).await?;
    assert_eq!(refused.get_error_details().request_info().map(|info| info.request_id.clone()), Some(unsampled(3).id()));
    let receiver = world.stop().await?;

    assert_eq!(receiver.trace(&unsampled(1).id()).0.len(), 0);
    assert_eq!(receiver.trace(&unsampled(2).id()).0.len(), 0, "a client's mistake is no failure");
    assert_eq!(receiver.trace(&unsampled(3).id()).tree(CLIENT_SPAN), "crm server: _OTHER FAILED\n");
    let failed = receiver.trace(&unsampled(3).id());
    let failed = failed.only(SpanKind::Server, "_OTHER")?;
    assert_eq!(failed.attribute("rpc.method_original"), Some("tenantry.crm.v1.PersonService/Nothing"));
    assert_eq!(failed.attribute("rpc.response.status_code"), Some("UNIMPLEMENTED"));
    // Nobody's call, and no look for work, begins a trace that is kept.
    let roots: Vec<_> = receiver.spans().into_iter().filter(|span| span.parent.is_empty()).collect();
    assert!(roots.is_empty(), "{roots:?}");
    Ok(())
}

macro_rules! on {
    ($engine:ident, $kind:ident, $($name:ident),+ $(,)?) => {
        mod $engine {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    super::$name(super::Engine::$kind).await
                }
            )+
        }
    };
}

on!(
    postgres,
    Postgres,
    traces_join_three_services_and_their_statements,
    what_is_done_later_is_linked_to_what_asked_for_it,
    what_fails_is_kept_though_it_was_not_sampled,
);
on!(
    mariadb,
    MariaDb,
    traces_join_three_services_and_their_statements,
    what_is_done_later_is_linked_to_what_asked_for_it,
);
on!(sqlite, Sqlite, traces_join_three_services_and_their_statements, what_is_done_later_is_linked_to_what_asked_for_it,);
