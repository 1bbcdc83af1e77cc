//! How soon a company has its database, beside a bare clone of the same template on the same server.
//!
//! `cargo xtask bench provisioning`. TENANTRY_BENCH_COMPANIES says how many one after the other (30), and
//! TENANTRY_BENCH_SUSTAINED how many by four callers (200).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // A benchmark is no service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tenantry_api::catalog::v1::{CompanyState, CreateCompanyRequest};
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// At once, on both sides.
const CALLERS: usize = 4;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (one_by_one, sustained) = (number("TENANTRY_BENCH_COMPANIES", 30), number("TENANTRY_BENCH_SUSTAINED", 200));
    let bench = Bench::start(0).await?;
    // In turn, so that the machine's mood is the same for both.
    let (mut clones, mut made) = (Vec::new(), Vec::new());
    for n in 0..one_by_one {
        clones.push(bench.clone_template(&bench.connect().await?, &format!("bare{n}")).await?);
        made.push(bench.create().await?);
    }
    let (clone, made) = (median(clones), median(made));
    println!("to ACTIVE, one by one, median of {one_by_one}");
    println!("  bare clone            {:>7.1} ms", millis(clone));
    println!("  CreateCompany         {:>7.1} ms   {:.2} of it", millis(made), ratio(made, clone));

    let bare = bench.clones_at_once(sustained).await?;
    let ours = bench.companies_at_once(sustained).await?;
    let rate = |took: Duration| sustained as f64 / took.as_secs_f64();
    println!("{sustained} by {CALLERS} callers");
    println!("  bare clones           {:>7.1} /s", rate(bare));
    println!("  CreateCompany         {:>7.1} /s   {:.2} of it", rate(ours), ratio(bare, ours));
    bench.sandbox.stop().await?;

    let spares = u16::try_from(one_by_one.min(100))?;
    let bench = Bench::start(spares).await?;
    let mut made = Vec::new();
    for _ in 0..spares {
        bench.wait_for_a_spare().await?;
        made.push(bench.create().await?);
    }
    println!(
        "  CreateCompany, spare  {:>7.1} ms   {:.2} of a bare clone",
        millis(median(made.clone())),
        ratio(median(made), clone)
    );
    bench.sandbox.stop().await
}

struct Bench {
    sandbox: Sandbox,
    operator: Arc<Operator>,
    email: String,
    template: String,
}

impl Bench {
    async fn start(spares: u16) -> anyhow::Result<Self> {
        let tuning = Tuning { spares_per_server: Some(spares), ..Tuning::default() };
        let sandbox = Sandbox::start_tuned(OnServer::of_suite(Engine::Postgres)?, tuning).await?;
        // The first company has the template made, and an owner whom the others need no password hash for.
        let owner = Owner::of_new_company(&sandbox, "First").await?;
        let operator = Arc::new(Operator::of(&sandbox).await?);
        let prefix = sandbox.on_server().expect("a server").prefix().to_owned();
        let query = format!("SELECT datname::text FROM pg_database WHERE datname LIKE '{prefix}template%'");
        let template = sandbox.ask_migrators(&query).await?.pop().expect("a template");
        Ok(Self { sandbox, operator, email: owner.email, template })
    }

    async fn connect(&self) -> anyhow::Result<Client> {
        let (client, connection) =
            tokio_postgres::connect(&self.sandbox.on_server().expect("a server").admin_url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The statement that clones the template as this.
    fn cloning(&self) -> impl Fn(&str) -> String + Send + 'static {
        let prefix = self.sandbox.on_server().expect("a server").prefix().to_owned();
        let template = self.template.clone();
        move |name| format!("CREATE DATABASE {prefix}{name} TEMPLATE {template} STRATEGY WAL_LOG")
    }

    async fn clone_template(&self, client: &Client, name: &str) -> anyhow::Result<Duration> {
        let since = Instant::now();
        client.batch_execute(&self.cloning()(name)).await?;
        Ok(since.elapsed())
    }

    async fn create(&self) -> anyhow::Result<Duration> {
        let request = self.operator.request(creation(&self.email));
        let since = Instant::now();
        let company = self.sandbox.companies()?.create_company(request).await?.into_inner();
        anyhow::ensure!(company.state() == CompanyState::Active, "{company:?}");
        Ok(since.elapsed())
    }

    async fn wait_for_a_spare(&self) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        while self.sandbox.ask_migrators("SELECT name FROM spares WHERE state = 'ready'").await?.is_empty() {
            anyhow::ensure!(Instant::now() < until, "no spare for a minute");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn clones_at_once(&self, all: usize) -> anyhow::Result<Duration> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut callers = JoinSet::new();
        let since = Instant::now();
        for _ in 0..CALLERS {
            let (client, cloning, next) = (self.connect().await?, self.cloning(), next.clone());
            callers.spawn(async move {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= all {
                        return anyhow::Ok(());
                    }
                    client.batch_execute(&cloning(&format!("many{n}"))).await?;
                }
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        Ok(since.elapsed())
    }

    async fn companies_at_once(&self, all: usize) -> anyhow::Result<Duration> {
        let next = Arc::new(AtomicUsize::new(0));
        let since = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let (mut companies, operator) = (self.sandbox.companies()?, self.operator.clone());
            let (next, email) = (next.clone(), self.email.clone());
            callers.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < all {
                    companies.create_company(operator.request(creation(&email))).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = callers.join_next().await {
            done??;
        }
        Ok(since.elapsed())
    }
}

fn creation(owner_email: &str) -> CreateCompanyRequest {
    CreateCompanyRequest { name: "Bench".to_owned(), owner_email: owner_email.to_owned(), ..Default::default() }
}

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
