//! A fleet gets to the next version although one database cannot and the migrator is killed in the middle; what came of
//! it is counted by psql, in the databases themselves.
//!
//! `TENANTRY_TEST_FLEET=1000 RUST_TEST_NOCAPTURE=1 cargo xtask test --only processes::fleet` takes a larger one.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tenantry_testkit::actors::Owner;
use tenantry_testkit::sandbox::{Clients, Engine, OnServer};
use tenantry_testkit::servers::free_in_a_row;
use tokio::task::JoinSet;

use super::operator::{Console, code};
use super::{Deployment, eventually, psql, serve};
use crate::migrations::{BEFORE, HEAD, another_company, database_of_at};

/// In waves of one and the rest, eight at a time, going on over as many failures as there are sabotaged databases.
const FORTH: [&str; 7] = ["migrate-tenants", "--canary", "1", "--parallel", "8", "--max-failures", "1"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_the_sabotaged_one_get_there() -> anyhow::Result<()> {
    let size: usize = std::env::var("TENANTRY_TEST_FLEET").map_or(Ok(24), |text| text.parse())?;
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let mut first = deployment.migrator()?;
    first.env("MIGRATOR_ROLLOUT_LEASE_MS", "1000");
    let first = serve(first).await?;
    let names = found(&deployment, size).await?;
    let server = deployment.control().context("a server")?;
    let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };
    console.say(&["migrate-tenants", "--to", BEFORE, "--allow-rollback", "--parallel", "8"]).await?.success()?;
    let sabotaged = &names[size - 2];
    psql(server, sabotaged, "CREATE TABLE person_tokens (id int)").await?;

    console.say(&[&FORTH[..], &["--no-wait"]].concat()).await?.success()?;
    let begun = Instant::now();
    let some = (size as u64 / 3).min(200);
    let done_at_the_kill = eventually("some of the fleet", async || {
        let done = console.ask(&["rollout", "show"]).await?["counts"]["succeeded"].as_u64().unwrap_or_default();
        Ok((done >= some).then_some(done))
    })
    .await?;
    first.signal("KILL")?;
    drop(first);

    let address = SocketAddr::from(([127, 0, 0, 1], free_in_a_row(1)?));
    let mut second = deployment.migrator()?;
    second.env("TENANTRY_LISTEN", address.to_string()).env("MIGRATOR_ROLLOUT_LEASE_MS", "1000");
    let second = serve(second).await?;
    let console = Console { deployment: &deployment, migrator: address };
    let watched = console.say(&["rollout", "watch"]).await?;
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(code(&watched), Some(3), "all but one: {watched:?}");

    let shown = console.ask(&["rollout", "show"]).await?;
    assert_eq!(shown["counts"]["succeeded"], size - 1, "{shown}");
    assert_eq!(shown["counts"]["failed"], 1, "{shown}");
    let counted = versions(server, &names).await?;
    println!("{size} companies; killed after {done_at_the_kill}, over after {took:.1} s; by psql {counted:#?}");
    println!("the second migrator's peak memory: {}", peak_memory(second.id())?);
    // One row in the ledger for each migration: nothing ran twice.
    let migrations = migrator::sets::tenant()?.versions().count();
    let at = |version: &str, rows: usize| format!("{version}|{rows}|{rows}");
    assert_eq!(counted, BTreeMap::from([(at(HEAD, migrations), size - 1), (at(BEFORE, migrations - 1), 1)]));

    // The repair, and only the one that has failed is tried again.
    psql(server, sabotaged, "DROP TABLE person_tokens").await?;
    console.say(&["rollout", "retry"]).await?.success()?;
    assert_eq!(versions(server, &names).await?, BTreeMap::from([(at(HEAD, migrations), size)]));

    second.stop("TERM").await?;
    catalog.stop("TERM").await?;
    deployment.remove().await
}

/// Companies, by four callers at once, and their databases' names.
async fn found(deployment: &Deployment, size: usize) -> anyhow::Result<Vec<String>> {
    let operator = Arc::new(deployment.operator().await?);
    let owner = Arc::new(Owner::of_new_company(deployment.clients(), "Fleet 0").await?);
    let next = Arc::new(AtomicUsize::new(1));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        let (operator, owner, next) = (operator.clone(), owner.clone(), next.clone());
        let clients: Clients = deployment.clients();
        callers.spawn(async move {
            let mut names = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= size {
                    return anyhow::Ok(names);
                }
                let id = another_company(clients, &operator, &owner, &format!("Fleet {n}")).await?;
                names.push(database_of_at(clients, &operator, &id).await?);
            }
        });
    }
    let mut names = vec![database_of_at(deployment.clients(), &operator, &owner.company.id).await?];
    while let Some(made) = callers.join_next().await {
        names.extend(made??);
    }
    Ok(names)
}

/// As the kernel counts it: `12345 kB`.
fn peak_memory(pid: u32) -> anyhow::Result<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak in the status")?;
    Ok(peak.trim().to_owned())
}

/// How many databases are at `newest version|rows in the ledger|different ones`.
async fn versions(server: &OnServer, names: &[String]) -> anyhow::Result<BTreeMap<String, usize>> {
    let query =
        "SELECT max(version), count(*), count(DISTINCT version) FROM tenantry_migrations WHERE \"set\" = 'tenant'";
    let mut counted = BTreeMap::new();
    for name in names {
        *counted.entry(psql(server, name, query).await?).or_insert(0) += 1;
    }
    Ok(counted)
}
