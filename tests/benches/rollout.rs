//! A rollout over a fleet beside a raw loop that does only what it must: connect, one batch, disconnect.
//!
//! `cargo xtask bench rollout`, or with TENANTRY_TEST_POSTGRES_URL set `cargo bench -p tenantry-tests --bench rollout`.
//! TENANTRY_BENCH_TENANTS says how many (200).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // A benchmark is no service.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sea_orm::DbBackend;
use tenantry_api::catalog::v1::CreateCompanyRequest;
use tenantry_api::migrator::v1::{
    CreateRolloutRequest, GetTenantDatabaseRequest, RolloutPolicy, RolloutState, WatchRolloutRequest,
};
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tokio::task::JoinSet;

/// At once, on both sides.
const AT_ONCE: usize = 8;
/// A fleet that is up to date: most of it are rows alone, since nobody connects to their databases.
const UP_TO_DATE: usize = 10_000;
/// How often each side is measured; they take turns.
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let tenants: usize = std::env::var("TENANTRY_BENCH_TENANTS").ok().and_then(|text| text.parse().ok()).unwrap_or(200);
    let sandbox = Sandbox::start(Engine::Postgres).await?;
    let fleet = Fleet::make(&sandbox, tenants).await?;
    let migrations = Migrations::newest()?;

    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        fleet.roll(&migrations.before, AT_ONCE).await?;
        ours.push(fleet.roll(&migrations.head, AT_ONCE).await?);
        fleet.raw(&migrations.down).await?;
        raw.push(fleet.raw(&migrations.up).await?);
        let per_second = |took: Duration| tenants as f64 / took.as_secs_f64();
        println!("round {round}: ours {:.0}/s, raw {:.0}/s", per_second(ours[round]), per_second(raw[round]));
    }
    let (ours, raw) = (median(ours), median(raw));
    println!("\nrollout of one migration over {tenants} tenants, {AT_ONCE} at a time");
    println!("  raw tokio-postgres  {:>8.1} /s", tenants as f64 / raw.as_secs_f64());
    println!(
        "  ours                {:>8.1} /s   {:.2} of raw",
        tenants as f64 / ours.as_secs_f64(),
        raw.as_secs_f64() / ours.as_secs_f64()
    );

    fleet.pretend(UP_TO_DATE - tenants).await?;
    let since = Instant::now();
    fleet.roll(&migrations.head, AT_ONCE).await?;
    let idle = since.elapsed();
    println!("\nnothing to do over {UP_TO_DATE} tenants, by their recorded versions");
    let connecting = UP_TO_DATE as f64 / fleet.versions_read().await?;
    println!("  raw, a connection each {connecting:>8.1} s");
    println!("  ours                   {:>8.1} s", idle.as_secs_f64());
    sandbox.stop().await
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort();
    all[all.len() / 2]
}

/// The newest migration, as its recording has it.
struct Migrations {
    head: String,
    before: String,
    up: String,
    down: String,
}

impl Migrations {
    fn newest() -> anyhow::Result<Self> {
        let set = migrator::sets::tenant()?;
        let versions: Vec<&str> = set.versions().collect();
        let [.., before, head] = versions.as_slice() else { anyhow::bail!("a set of one") };
        let recording = set.recordings(DbBackend::Postgres)?.last().expect("a recording");
        let ledger = format!(
            "INSERT INTO tenantry_migrations VALUES ('tenant', '{head}', '{}', 0, now(), gen_random_uuid())",
            recording.checksum
        );
        let forget = format!("DELETE FROM tenantry_migrations WHERE \"set\" = 'tenant' AND version = '{head}'");
        Ok(Self {
            head: (*head).to_owned(),
            before: (*before).to_owned(),
            up: format!("{};{ledger}", recording.up.join(";")),
            down: format!("{};{forget}", recording.down.join(";")),
        })
    }
}

struct Fleet<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
    urls: Arc<Vec<String>>,
}

impl<'s> Fleet<'s> {
    async fn make(sandbox: &'s Sandbox, tenants: usize) -> anyhow::Result<Self> {
        let owner = Owner::of_new_company(sandbox, "Bench").await?;
        let operator = Arc::new(Operator::of(sandbox).await?);
        let since = Instant::now();
        let next = Arc::new(AtomicUsize::new(1));
        let mut callers = JoinSet::new();
        for _ in 0..4 {
            let (mut companies, email) = (sandbox.companies()?, owner.email.clone());
            let (operator, next) = (operator.clone(), next.clone());
            callers.spawn(async move {
                let mut ids = Vec::new();
                while next.fetch_add(1, Ordering::Relaxed) < tenants {
                    let name = "Bench".to_owned();
                    let create = CreateCompanyRequest { name, owner_email: email.clone(), ..Default::default() };
                    ids.push(companies.create_company(operator.request(create)).await?.into_inner().id);
                }
                anyhow::Ok(ids)
            });
        }
        let mut ids = vec![owner.company.id.clone()];
        while let Some(made) = callers.join_next().await {
            ids.extend(made??);
        }
        println!("{tenants} companies, 4 callers: {:.1}/s", tenants as f64 / since.elapsed().as_secs_f64());

        let server = sandbox.on_server().expect("a server");
        let owner_role = format!("{}owner", server.prefix());
        let mut urls = Vec::new();
        let operator = Arc::into_inner(operator).expect("nobody else's");
        for company_id in ids {
            let get = operator.request(GetTenantDatabaseRequest { company_id });
            let name = sandbox.tenant_databases()?.get_tenant_database(get).await?.into_inner().name;
            urls.push(format!("{}?options=-crole%3D{owner_role}", server.url_of(&name)));
        }
        Ok(Self { sandbox, operator, urls: Arc::new(urls) })
    }

    /// A rollout, from its creation to the end of its watch.
    async fn roll(&self, version: &str, at_once: usize) -> anyhow::Result<Duration> {
        let policy = RolloutPolicy { parallelism: i32::try_from(at_once)?, ..Default::default() };
        let request = CreateRolloutRequest {
            version: version.to_owned(),
            policy: Some(policy),
            allow_rollback: true,
            ..Default::default()
        };
        let since = Instant::now();
        let mut rollouts = self.sandbox.rollouts()?;
        let created = rollouts.create_rollout(self.operator.request(request)).await?.into_inner();
        let id = created.rollout.expect("a rollout").id;
        let mut seen = rollouts.watch_rollout(self.operator.request(WatchRolloutRequest { id })).await?.into_inner();
        let mut last = None;
        while let Some(glance) = seen.message().await? {
            last = glance.rollout;
        }
        let last = last.expect("a look");
        anyhow::ensure!(last.state() == RolloutState::Succeeded, "{last:?}");
        let ended = last.end_time.zip(last.create_time).map(|(end, begin)| {
            Duration::new((end.seconds - begin.seconds).unsigned_abs(), 0).as_secs_f64()
                + f64::from(end.nanos - begin.nanos) / 1e9
        });
        // The rollout's own clock: a watch looks twice a second.
        Ok(ended.filter(|ended| *ended > 0.0).map_or(since.elapsed(), Duration::from_secs_f64))
    }

    /// Makes more tenants, as far as records go: copies of the first one's.
    async fn pretend(&self, more: usize) -> anyhow::Result<()> {
        let copies = |table: &str, own: &str| {
            format!(
                "INSERT INTO {table} SELECT (jsonb_populate_record(one.whole, jsonb_build_object({own}))).* \
                 FROM (SELECT t AS whole FROM {table} t LIMIT 1) one, generate_series(1, {more}) n"
            )
        };
        let (company, database, name) = ("md5('c' || n)::uuid", "md5('d' || n)::uuid", "'pretended_' || n");
        let companies = copies("companies", &format!("'id', {company}, 'slug', {name}"));
        self.sandbox.run_in_central(&companies).await?;
        let databases = format!("'id', {database}, 'company_id', {company}, 'name', {name}");
        self.sandbox.run_in_central(&copies("company_databases", &databases)).await?;
        let claims = format!("'database_id', {database}, 'company_id', {company}, 'name', {name}");
        self.sandbox.run_in_migrators(&copies("database_claims", &claims)).await
    }

    /// How many databases a second tell their version to who connects to each.
    async fn versions_read(&self) -> anyhow::Result<f64> {
        let took = self.raw("SELECT max(version) FROM tenantry_migrations").await?;
        Ok(self.urls.len() as f64 / took.as_secs_f64())
    }

    async fn raw(&self, batch: &str) -> anyhow::Result<Duration> {
        let since = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (next, urls, batch) = (next.clone(), self.urls.clone(), batch.to_owned());
            workers.spawn(async move {
                while let Some(url) = urls.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
                    let connection = tokio::spawn(connection);
                    client.batch_execute(&batch).await?;
                    drop(client);
                    connection.await??;
                }
                anyhow::Ok(())
            });
        }
        while let Some(done) = workers.join_next().await {
            done??;
        }
        Ok(since.elapsed())
    }
}
