//! Every service is started again, one replica after the other, while it is called without a pause: no call fails. Callers
//! are our own client, a stock one with the published service config, and one behind an Envoy.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use tenantry::Addresses;
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::catalog::v1::{GetCompanyRequest, LoginRequest};
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::transfer_service_client::TransferServiceClient;
use tenantry_api::crm::v1::{CreatePersonRequest, ExportPeopleRequest, GetPersonRequest, Person, TransferFormat};
use tenantry_api::migrator::v1::GetFleetStatusRequest;
use tenantry_api::migrator::v1::rollout_service_client::RolloutServiceClient;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_testkit::actors::{Actor, Operator, Owner, PASSWORD, fresh_email, registration};
use tenantry_testkit::process::{Process, program, run};
use tenantry_testkit::sandbox::Engine;
use tokio::task::JoinSet;
use tonic::Status;

use super::{Deployment, ISSUER, eventually, serve};
use crate::clients::python;
use crate::envoy::{Behind, Envoy};

/// Calls of each kind between two restarts, at the least.
const BETWEEN: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_everything_is_started_again() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?.with_others()?;
    deployment.prepare().await?;
    let mut replicas = VecDeque::new();
    for replica in Replica::all(&deployment) {
        let process = replica.start(&deployment).await?;
        replicas.push_back((replica, process));
    }
    let owner = Arc::new(Owner::of_new_company(deployment.clients(), "Always There").await?);
    let operator = Arc::new(deployment.operator().await?);

    let mut load = Load::default();
    load.on(&deployment, &owner, &operator)?;
    let envoy = Envoy::in_front_of(&Replica::behind(&deployment)).await?;
    load.through(&envoy, &owner)?;
    let mut stock = Process::start(stock_client(&deployment, &owner)?)?;
    let mut said = 0;
    for _ in 0..replicas.len() {
        load.goes_on().await?;
        said = stock.says(|text| Some(text.lines().count()).filter(|lines| *lines > said)).await?;
        let (replica, process) = replicas.pop_front().context("a replica")?;
        process.stop("TERM").await?;
        let again = replica.start(&deployment).await?;
        replicas.push_back((replica, again));
    }
    load.goes_on().await?;
    stock.says(|text| Some(()).filter(|()| text.lines().count() > said)).await?;
    let lines = stock.stop("TERM").await?.lines().count();
    let calls = load.end().await?;
    println!("{} restarts; calls {calls:?}, and {} of the stock client", replicas.len(), lines * 5);
    envoy.stop().await?;
    for (_, process) in replicas {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// One process of a service.
struct Replica {
    service: &'static str,
    address: SocketAddr,
}

impl Replica {
    /// Two of each, those of the same service after each other.
    fn all(deployment: &Deployment) -> Vec<Self> {
        let of = |service, at: fn(&Addresses) -> SocketAddr| {
            let all = [Some(deployment.addresses), deployment.others].into_iter().flatten();
            all.map(move |addresses| Self { service, address: at(&addresses) })
        };
        of("catalog", |at| at.catalog).chain(of("migrator", |at| at.migrator)).chain(of("crm", |at| at.crm)).collect()
    }

    fn behind(deployment: &Deployment) -> Behind {
        let all = Self::all(deployment);
        let of = |name| all.iter().filter(|replica| replica.service == name).map(|replica| replica.address).collect();
        Behind { catalogs: of("catalog"), crms: of("crm"), issuer: ISSUER.to_owned() }
    }

    /// Serves, and is ready.
    async fn start(&self, deployment: &Deployment) -> anyhow::Result<Process> {
        let address = self.address.to_string();
        let mut command = match self.service {
            "catalog" => deployment.catalog()?,
            "migrator" => deployment.migrator()?,
            _ => deployment.crm_at(&address)?,
        };
        command.env("TENANTRY_LISTEN", &address);
        let process = serve(command).await?;
        eventually("a replica that is ready", async || {
            let mut health = program(self.service)?;
            health.args(["health", "--address", &address]);
            Ok(run(health).await?.status.success().then_some(()))
        })
        .await?;
        Ok(process)
    }
}

fn stock_client(deployment: &Deployment, owner: &Owner) -> anyhow::Result<Command> {
    let mut load = python::script("load.py")?;
    load.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/service_config.json"));
    load.arg(format!("ipv4:{}", deployment.all(|at| at.crm).replace("http://", "")));
    load.arg(owner.token().context("a token")?);
    Ok(load)
}

/// Callers of every service, each of which goes on until it is told to stop.
#[derive(Default)]
struct Load {
    tally: Arc<Tally>,
    callers: JoinSet<()>,
}

#[derive(Default)]
struct Tally {
    over: AtomicBool,
    calls: Mutex<BTreeMap<&'static str, usize>>,
    failures: Mutex<Vec<String>>,
}

impl Load {
    fn on(&mut self, deployment: &Deployment, owner: &Arc<Owner>, operator: &Arc<Operator>) -> anyhow::Result<()> {
        let catalog = client::open(&deployment.all(|at| at.catalog), "catalog", None)?;
        let migrator = client::open(&deployment.all(|at| at.migrator), "migrator", None)?;
        let crm = client::open(&deployment.all(|at| at.crm), "crm", None)?;
        for _ in 0..2 {
            self.call("CreatePerson, GetPerson", &crm, owner, add_and_read);
        }
        self.call("ExportPeople", &crm, owner, export);
        self.call("GetCompany", &catalog, owner, get_company);
        self.call("Login", &catalog, owner, login);
        self.call("RegisterCompany", &catalog, owner, register);
        self.call("GetFleetStatus", &migrator, operator, fleet_status);
        Ok(())
    }

    fn through(&mut self, envoy: &Envoy, owner: &Arc<Owner>) -> anyhow::Result<()> {
        self.call("CreatePerson, GetPerson by Envoy", &envoy.channel("crm")?, owner, add_and_read);
        self.call("ExportPeople by Envoy", &envoy.channel("crm")?, owner, export);
        self.call("GetCompany by Envoy", &envoy.channel("catalog")?, owner, get_company);
        Ok(())
    }

    fn call<A, F>(&mut self, what: &'static str, at: &ServiceChannel, by: &Arc<A>, one: fn(ServiceChannel, Arc<A>) -> F)
    where
        A: Send + Sync + 'static,
        F: Future<Output = Result<(), Status>> + Send + 'static,
    {
        let (tally, at, by) = (self.tally.clone(), at.clone(), by.clone());
        tally.called(what, 0);
        self.callers.spawn(async move {
            while !tally.over.load(Ordering::Relaxed) {
                match one(at.clone(), by.clone()).await {
                    Ok(()) => tally.called(what, 1),
                    Err(status) => return tally.failed(format!("{what}: {status:?}")),
                }
            }
        });
    }

    /// Every caller makes some more calls.
    async fn goes_on(&self) -> anyhow::Result<()> {
        let before = self.tally.calls();
        eventually("some more calls of each kind", async || {
            self.tally.is_good()?;
            let now = self.tally.calls();
            Ok(before.iter().all(|(what, calls)| now[what] >= calls + BETWEEN).then_some(()))
        })
        .await
        .with_context(|| format!("from {before:?} to {:?}", self.tally.calls()))
    }

    /// How often each was called.
    async fn end(mut self) -> anyhow::Result<BTreeMap<&'static str, usize>> {
        self.tally.over.store(true, Ordering::Relaxed);
        while self.callers.join_next().await.is_some() {}
        self.tally.is_good()?;
        Ok(self.tally.calls())
    }
}

impl Tally {
    fn called(&self, what: &'static str, times: usize) {
        *self.calls.lock().expect("nobody panics").entry(what).or_default() += times;
    }

    fn failed(&self, failure: String) {
        self.failures.lock().expect("nobody panics").push(failure);
    }

    fn is_good(&self) -> anyhow::Result<()> {
        let failures = self.failures.lock().expect("nobody panics");
        anyhow::ensure!(failures.is_empty(), "{failures:#?}");
        Ok(())
    }

    fn calls(&self) -> BTreeMap<&'static str, usize> {
        self.calls.lock().expect("nobody panics").clone()
    }
}

async fn add_and_read(crm: ServiceChannel, owner: Arc<Owner>) -> Result<(), Status> {
    let mut people = PersonServiceClient::new(crm);
    let person = Person { name: "Grace".to_owned(), ..Default::default() };
    let create = CreatePersonRequest { person: Some(person), ..Default::default() };
    let added = people.create_person(owner.request(create)).await?.into_inner();
    let get = GetPersonRequest { id: added.id.clone() };
    let read = people.get_person(owner.request(get)).await?.into_inner();
    if read == added { Ok(()) } else { Err(Status::data_loss("another person was read")) }
}

async fn export(crm: ServiceChannel, owner: Arc<Owner>) -> Result<(), Status> {
    let request = owner.request(ExportPeopleRequest { format: TransferFormat::JsonLines.into() });
    let mut rows = TransferServiceClient::new(crm).export_people(request).await?.into_inner();
    while rows.message().await?.is_some() {}
    Ok(())
}

async fn get_company(catalog: ServiceChannel, owner: Arc<Owner>) -> Result<(), Status> {
    let get = GetCompanyRequest { id: owner.company.id.clone(), ..Default::default() };
    CompanyServiceClient::new(catalog).get_company(owner.request(get)).await.map(drop)
}

async fn login(catalog: ServiceChannel, owner: Arc<Owner>) -> Result<(), Status> {
    let request = LoginRequest { email: owner.email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
    TokenServiceClient::new(catalog).login(request).await.map(drop)
}

/// With a database, which the migrator makes.
async fn register(catalog: ServiceChannel, _: Arc<Owner>) -> Result<(), Status> {
    let request = registration("Newcomer", &fresh_email());
    CompanyServiceClient::new(catalog).register_company(request).await.map(drop)
}

async fn fleet_status(migrator: ServiceChannel, operator: Arc<Operator>) -> Result<(), Status> {
    let request = operator.request(GetFleetStatusRequest::default());
    RolloutServiceClient::new(migrator).get_fleet_status(request).await.map(drop)
}
