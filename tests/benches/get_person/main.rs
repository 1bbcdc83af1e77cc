//! `GetPerson` through a crm with every layer on and a company for each token, beside the service that one would write by
//! hand for one company (tonic, SeaORM, nobody is asked who they are) and beside an echo. Each server is a process of its
//! own, and they take turns, so that the machine's mood is the same for all.
//!
//! `cargo xtask bench get_person`. TENANTRY_BENCH_TENANTS says how many companies (100), TENANTRY_BENCH_SECONDS how long
//! each server is measured in a round (2). The promises: at least 1.1 of the throughput of the one by hand, at most 0.95
//! of its CPU for a call.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // A benchmark is no service.

mod by_hand;
mod server;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::{CreatePersonRequest, GetPersonRequest, Person};
use tenantry_api::migrator::v1::GetTenantDatabaseRequest;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::command::{self, ServiceCommand};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use server::{Server, ready_in};

const ROUNDS: usize = 7;
/// Calls under way at a time.
const CALLERS: usize = 16;
/// Connections that they share.
const CONNECTIONS: usize = 4;
/// In each company.
const PEOPLE: usize = 10;
/// How often each server is started for the time that it takes.
const STARTS: usize = 11;

/// The crm's own command line.
#[derive(Parser)]
struct Crm {
    #[command(subcommand)]
    command: ServiceCommand<crm::CrmConfig>,
}

/// This program is all three servers too, by its first argument.
fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let word = |position: usize| words.get(position).map(String::as_str).unwrap_or_default();
    match word(0) {
        "crm" => {
            let arguments: Crm = command::parse(std::env::args_os().skip(1)).unwrap_or_else(|error| error.exit());
            command::run(arguments.command.run(crm::NAME, async |config, port| Ok(crm::start(config, port).await?)))
        }
        "by-hand" => command::run(by_hand::serve(word(1))),
        "echo" => command::run(by_hand::echo()),
        _ => command::run(bench()),
    }
}

async fn bench() -> anyhow::Result<()> {
    let tenants = number("TENANTRY_BENCH_TENANTS", 100);
    let seconds = Duration::from_secs(number("TENANTRY_BENCH_SECONDS", 2).try_into()?);
    let sandbox = Sandbox::start(Engine::Postgres).await?;
    let companies = Companies::make(&sandbox, tenants).await?;
    let crm = crm_arguments(&sandbox, tenants)?;
    let by_hand = ["by-hand".to_owned(), companies.first_url.clone()];
    let commands: [(&str, &[String]); 3] = [("echo", &["echo".to_owned()]), ("by hand", &by_hand), ("crm", &crm)];

    let starts = commands.map(|(_, words)| ready_in(words, STARTS));
    let mut sides = Vec::new();
    for (name, words) in commands {
        let server = Server::start(words).await?;
        let idle = server.resident_kib()?;
        // Only the crm asks who calls, and only it has more than the first company.
        let calls = if name == "crm" { companies.calls.clone() } else { companies.anonymous() };
        let side = Side { name, idle, clients: server.clients(CONNECTIONS)?, server, calls: calls.into() };
        side.everything_once().await?;
        sides.push(side);
    }

    let mut rounds: Vec<[Measured; 3]> = Vec::new();
    for round in 0..=ROUNDS {
        let mut measured = Vec::new();
        for side in &sides {
            measured.push(side.measure(seconds).await?);
        }
        // The first one warms everybody up.
        if round > 0 {
            rounds.push(measured.try_into().map_err(|_| anyhow::anyhow!("three sides"))?);
        }
    }
    println!("GetPerson, {tenants} companies, {CALLERS} at a time, median of {ROUNDS} rounds of {seconds:?}");
    for (position, side) in sides.iter().enumerate() {
        let of = |what: fn(&Measured) -> f64| median(rounds.iter().map(|round| what(&round[position])));
        let (rate, cpu) = (of(Measured::per_second), of(Measured::cpu_micros));
        let start = starts[position].as_ref().map_or(f64::NAN, |took| took.as_secs_f64() * 1e3);
        println!(
            "  {:<8} {rate:>8.0} /s {cpu:>8.1} µs of CPU a call   ready in {start:>6.1} ms, {:>5.1} MB, then {:>5.1} MB",
            side.name,
            megabytes(side.idle),
            megabytes(side.server.resident_kib()?),
        );
    }
    let ratio = |what: fn(&Measured) -> f64| median(rounds.iter().map(|[_, hand, crm]| what(crm) / what(hand)));
    println!("  crm beside the one by hand");
    println!("    throughput {:.2} (at least 1.1)", ratio(Measured::per_second));
    println!("    CPU        {:.2} (at most 0.95)", ratio(Measured::cpu_micros));
    drop(sides);
    sandbox.stop().await
}

/// A crm of its own process beside the sandbox's, with as many connections as companies can have in use: nothing misses.
fn crm_arguments(sandbox: &Sandbox, tenants: usize) -> anyhow::Result<Vec<String>> {
    let keys = sandbox.folder().join("data/keys");
    let catalog = format!("http://{}", sandbox.address_of("catalog")?);
    let connections = (tenants + CALLERS).to_string();
    let (key, trusted) = (keys.join("crm.pem"), keys.join("services.json"));
    let words = [
        ["crm", "serve"],
        ["--listen", "127.0.0.1:0"],
        ["--issuer", &catalog],
        ["--catalog-address", &catalog],
        ["--service-key-file", &key.to_string_lossy()],
        ["--trusted-services-file", &trusted.to_string_lossy()],
        ["--pool-connections-per-server", &connections],
    ];
    Ok(words.concat().into_iter().map(str::to_owned).collect())
}

/// Who is asked for, and by whom.
#[derive(Clone)]
struct Call {
    bearer: Option<MetadataValue<Ascii>>,
    id: String,
}

struct Companies {
    /// Everybody, of every company in turn.
    calls: Vec<Call>,
    /// The database of the first company.
    first_url: String,
}

impl Companies {
    async fn make(sandbox: &Sandbox, tenants: usize) -> anyhow::Result<Self> {
        let mut by_company = Vec::new();
        let mut first_url = None;
        for number in 0..tenants {
            let owner = Owner::of_new_company(sandbox, &format!("Bench {number}")).await?;
            if first_url.is_none() {
                let get = GetTenantDatabaseRequest { company_id: owner.company.id.clone() };
                let get = Operator::of(sandbox).await?.request(get);
                let name = sandbox.tenant_databases()?.get_tenant_database(get).await?.into_inner().name;
                first_url = sandbox.on_server().map(|server| server.url_of(&name));
            }
            by_company.push(people_of(sandbox, &owner).await?);
        }
        let in_turn =
            (0..PEOPLE).flat_map(|person| by_company.iter().map(move |calls: &Vec<Call>| calls[person].clone()));
        Ok(Self { calls: in_turn.collect(), first_url: first_url.expect("a company on a server") })
    }

    /// The first company's people, without a token.
    fn anonymous(&self) -> Vec<Call> {
        let tenants = self.calls.len() / PEOPLE;
        self.calls.iter().step_by(tenants).map(|call| Call { bearer: None, id: call.id.clone() }).collect()
    }
}

async fn people_of(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<Vec<Call>> {
    let token = owner.token().expect("a token");
    let (bearer, mut people) = (format!("Bearer {token}").parse()?, sandbox.people()?);
    let owner = Bearer(token.to_owned());
    let mut calls = Vec::new();
    for number in 0..PEOPLE {
        let person = Person {
            name: format!("Grace {number}"),
            surname: "Hopper 電".to_owned(),
            title: "Dr".to_owned(),
            nationality: "American".to_owned(),
            labels: [("segment".to_owned(), "household".to_owned())].into(),
            ..Default::default()
        };
        let create = CreatePersonRequest { person: Some(person), ..Default::default() };
        let id = people.create_person(owner.request(create)).await?.into_inner().id;
        calls.push(Call { bearer: Some(MetadataValue::clone(&bearer)), id });
    }
    Ok(calls)
}

/// A server with those who call it.
struct Side {
    name: &'static str,
    server: Server,
    /// What it had in memory before the first call.
    idle: u64,
    clients: Vec<PersonServiceClient<ServiceChannel>>,
    calls: Arc<[Call]>,
}

struct Measured {
    calls: usize,
    took: Duration,
    cpu: Duration,
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.calls as f64 / self.took.as_secs_f64()
    }

    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.calls as f64
    }
}

impl Side {
    /// So that everybody's placement, connection and statement is there.
    async fn everything_once(&self) -> anyhow::Result<()> {
        for call in self.calls.iter() {
            ask(&mut self.clients[0].clone(), call).await?;
        }
        Ok(())
    }

    async fn measure(&self, seconds: Duration) -> anyhow::Result<Measured> {
        let next = Arc::new(AtomicUsize::new(0));
        let (cpu, begun) = (self.server.cpu()?, Instant::now());
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (mut client, calls) = (self.clients[caller % self.clients.len()].clone(), self.calls.clone());
            let next = next.clone();
            callers.spawn(async move {
                let mut done = 0;
                while begun.elapsed() < seconds {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    ask(&mut client, &calls[turn % calls.len()]).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            });
        }
        let mut calls = 0;
        while let Some(done) = callers.join_next().await {
            calls += done??;
        }
        Ok(Measured { calls, took: begun.elapsed(), cpu: self.server.cpu()? - cpu })
    }
}

async fn ask(client: &mut PersonServiceClient<ServiceChannel>, call: &Call) -> anyhow::Result<()> {
    let mut request = Request::new(GetPersonRequest { id: call.id.clone() });
    if let Some(bearer) = &call.bearer {
        request.metadata_mut().insert("authorization", bearer.clone());
    }
    let person = client.get_person(request).await?.into_inner();
    anyhow::ensure!(person.surname == "Hopper 電", "{person:?}");
    Ok(())
}

impl Server {
    fn clients(&self, count: usize) -> anyhow::Result<Vec<PersonServiceClient<ServiceChannel>>> {
        let open = |_| Ok(PersonServiceClient::new(client::open(&format!("http://{}", self.address()), "crm", None)?));
        (0..count).map(open).collect()
    }
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn median(all: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = all.collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn megabytes(kib: u64) -> f64 {
    kib as f64 * 1_024.0 / 1e6
}
