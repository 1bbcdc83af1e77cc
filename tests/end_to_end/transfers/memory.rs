//! However many rows there are, the crm holds a batch of them.
//!
//! `TENANTRY_TEST_IMPORT_ROWS=1000000 RUST_TEST_NOCAPTURE=1 cargo xtask test --only transfer` says what a million takes.

use std::time::Instant;

use anyhow::Context as _;
use tenantry_api::crm::v1::ImportMode;
use tenantry_testkit::actors::Owner;
use tenantry_testkit::sandbox::Engine;

use super::{Sending, csv};
use crate::processes::{Deployment, serve};

/// What the crm may grow by, in KiB: some batches and the connections' buffers, whatever the number of rows.
const MOST_GROWTH_KIB: u64 = 96 * 1024;
const ROWS: usize = 2_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_takes_as_little_memory_as_its_batches() -> anyhow::Result<()> {
    let rows = std::env::var("TENANTRY_TEST_IMPORT_ROWS").map_or(Ok(ROWS), |rows| rows.parse())?;
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let crm = serve(deployment.crm()?).await?;
    let owner = Owner::of_new_company(deployment.clients(), "A million").await?;

    let before = peak_kib(crm.id())?;
    let mut wide = 0;
    for mode in [ImportMode::BestEffort, ImportMode::AllOrNothing] {
        let begun = Instant::now();
        let sending = Sending::begin_at(deployment.clients(), &owner, csv(mode)).await?;
        let Sending { parts, answers } = sending;
        let sent = async move {
            let mut file = String::from("name,surname,email,phone\n");
            for n in 0..rows {
                file += &format!("Name{n},Surname{n},p{n}@example.com,+49{:010}\n", n + 1_000_000_000);
                if file.len() > 60_000 || n + 1 == rows {
                    let _ = parts.send(super::chunk(file.as_bytes())).await;
                    file.clear();
                }
            }
        };
        let told = async {
            let (parts, _) = tokio::sync::mpsc::channel(1);
            Sending { parts, answers }.end().await
        };
        let ((), outcome) = tokio::join!(sent, told);
        let count = i64::try_from(rows)?;
        assert_eq!(outcome.counts(), Some((count, count, 0)), "{:?}", outcome.refusal);
        let peak = peak_kib(crm.id())?;
        println!(
            "{mode:?}: {rows} rows in {:.1} s; the crm's peak memory was {before} KiB before and is {peak} KiB",
            begun.elapsed().as_secs_f64()
        );
        wide = peak - before;
    }
    assert!(wide < MOST_GROWTH_KIB, "grew by {wide} KiB");
    for process in [crm, migrator, catalog] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// As the kernel counts it.
fn peak_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no peak in the status")?;
    line.trim().trim_end_matches("kB").trim().parse().context("a number of KiB")
}
