//! Scratch databases go away, whatever happens to those who made them.

use std::time::Duration;

use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::sandbox::Sandbox;
use tokio::time::{Instant, sleep};
use tonic_types::StatusExt;

use super::Tenant;
use crate::support::per_engine;

per_engine!(checks_at_once_do_not_meet, what_was_left_behind_is_removed, a_caller_who_goes_away_leaves_nothing);

/// Much longer than a check takes.
const LONG: Duration = Duration::from_secs(20);

async fn checks_at_once_do_not_meet(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    let before = tenant.left().await?;
    let mut calls = tokio::task::JoinSet::new();
    for call in 0..24 {
        let (mut drift, mut request) = (sandbox.clients().drift()?, tenant.request());
        // Some have all the time that they need, the others too little for so many.
        request.set_timeout(if call < 4 { LONG * 3 } else { Duration::from_millis(300) });
        calls.spawn(async move { (call, drift.check_drift(request).await) });
    }
    let mut overloaded = 0;
    while let Some(call) = calls.join_next().await {
        match call? {
            (_, Ok(report)) => assert!(report.into_inner().in_sync),
            (call, Err(status)) => {
                assert!(call >= 4, "{status:?}");
                if reason_of(&status) == Some(Reason::Overloaded) {
                    assert!(status.get_details_retry_info().is_some());
                    overloaded += 1;
                }
            }
        }
    }
    // Making a file takes no time.
    assert!(overloaded > 0 || sandbox.on_server().is_none(), "everybody's turn came");
    wait_until_only(&tenant, &before).await
}

async fn what_was_left_behind_is_removed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    let before = tenant.left().await?;
    let left = format!("{}scratch_0123456789abcdefgh", tenant.prefix());
    match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => {
            server.run(&format!("CREATE DATABASE {left}")).await?;
            server.run(&format!("CREATE ROLE {left}")).await?;
        }
        Some(server) => {
            server.run(&format!("CREATE DATABASE {left}")).await?;
            server.run(&format!("CREATE USER '{left}'@'%'")).await?;
        }
        None => std::fs::write(tenant.folder().join(format!("{left}.db")), "")?,
    }
    assert_ne!(tenant.left().await?, before);
    assert!(tenant.check().await?.in_sync);
    assert_eq!(tenant.left().await?, before);
    Ok(())
}

async fn a_caller_who_goes_away_leaves_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    let before = tenant.left().await?;
    let mut seen = false;
    for _ in 0..20 {
        let (mut drift, request) = (sandbox.clients().drift()?, tenant.request());
        let call = tokio::spawn(async move { drift.check_drift(request).await });
        while !call.is_finished() && !seen {
            seen = tenant.left().await? != before;
        }
        call.abort();
        if seen {
            break;
        }
    }
    // On SQLite it may be too quick to be seen.
    assert!(seen || sandbox.on_server().is_none(), "no scratch database was ever there");
    wait_until_only(&tenant, &before).await?;
    assert!(tenant.check().await?.in_sync);
    Ok(())
}

async fn wait_until_only(tenant: &Tenant<'_>, wanted: &std::collections::BTreeSet<String>) -> anyhow::Result<()> {
    let until = Instant::now() + LONG;
    while tenant.left().await? != *wanted {
        anyhow::ensure!(Instant::now() < until, "{:?} are left", tenant.left().await?);
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
