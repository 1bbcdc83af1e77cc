//! Several catalogs, one that goes away and comes back, and one who does not read: with the programs themselves, and
//! placements that are kept for an hour.

use std::process::Command;
use std::sync::Arc;

use tenantry::Addresses;
use tenantry_api::catalog::v1::WatchTenantsRequest;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::watch_tenants_response::Event;
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::{Reason, SystemClock};
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::{Clients, Engine};
use tenantry_testkit::servers::free_in_a_row;
use tonic::transport::Endpoint;

use super::stream::Watch;
use super::until;
use crate::lifecycle::Operations;
use crate::processes::{Deployment, serve};
use crate::support::reason;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_arrives_when_the_catalog_is_back_on_postgres() -> anyhow::Result<()> {
    what_was_missed_arrives_when_the_catalog_is_back(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_arrives_when_the_catalog_is_back_on_mariadb() -> anyhow::Result<()> {
    what_was_missed_arrives_when_the_catalog_is_back(Engine::MariaDb).await
}

/// A second catalog beside the deployment's own.
fn another_catalog(deployment: &Deployment) -> anyhow::Result<(Command, Clients)> {
    let port = free_in_a_row(1)?;
    let catalog = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port));
    let mut command = deployment.catalog()?;
    command.env("TENANTRY_LISTEN", catalog.to_string());
    Ok((command, Clients::of(Addresses { catalog, ..deployment.addresses })))
}

fn crm_for_an_hour(deployment: &Deployment) -> anyhow::Result<Command> {
    let mut crm = deployment.crm()?;
    crm.env("TENANTRY_PLACEMENT_TTL_MS", "3600000").env("TENANTRY_PLACEMENT_WATCHED_TTL_MS", "3600000");
    Ok(crm)
}

async fn what_was_missed_arrives_when_the_catalog_is_back(engine: Engine) -> anyhow::Result<()> {
    let deployment = Deployment::on(engine)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let catalog = serve(deployment.catalog()?).await?;
    let (command, other) = another_catalog(&deployment)?;
    let other_catalog = serve(command).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let crm = serve(crm_for_an_hour(&deployment)?).await?;
    let operations = Operations { at: other, operator: deployment.operator().await? };
    let owners = [Owner::of_new_company(at, "One").await?, Owner::of_new_company(at, "Two").await?];
    for owner in &owners {
        until(at, owner, None).await?;
    }
    // The crm hears of it from its own catalog, and that from the log.
    operations.enter_maintenance(&owners[0].company.id, 5).await?;
    until(at, &owners[0], Some(Reason::TenantInMaintenance)).await?;
    operations.leave_maintenance(&owners[0].company.id).await?;
    until(at, &owners[0], None).await?;

    let identity = ServiceIdentity::load("crm", &deployment.file("crm.pem"), Arc::new(SystemClock))?;
    let as_crm = Bearer(identity.token("catalog")?.to_string());
    let mut told = Watch::begin(at, &as_crm, "").await?;
    while told.cursor.is_empty() {
        told.next().await?;
    }
    catalog.stop("TERM").await?;
    assert_eq!(reason(told.news().await), Some(Reason::ShuttingDown));
    let cursor = told.cursor;
    operations.suspend(&owners[0].company.id).await?;
    // Without its catalog, the crm serves what it knows.
    until(at, &owners[1], None).await?;

    // Any other catalog goes on from the same cursor.
    let mut moved = Watch::begin(other, &as_crm, &cursor).await?;
    let Event::Tenant(change) = moved.news().await? else { panic!("no change") };
    assert_eq!(change.company_id, owners[0].company.id);
    let catalog = serve(deployment.catalog()?).await?;
    until(at, &owners[0], Some(Reason::TenantSuspended)).await?;
    until(at, &owners[1], None).await?;

    drop(moved);
    for process in [catalog, other_catalog, crm, migrator] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// The changes are swept while the crm's catalog is away, so that it cannot go on where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_told_any_more_is_asked_for_on_postgres() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let catalog = serve(deployment.catalog()?).await?;
    let (command, other) = another_catalog(&deployment)?;
    let other_catalog = serve(command).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let crm = serve(crm_for_an_hour(&deployment)?).await?;
    let operations = Operations { at: other, operator: deployment.operator().await? };
    let owner = Owner::of_new_company(at, "One").await?;
    until(at, &owner, None).await?;
    catalog.stop("TERM").await?;
    operations.suspend(&owner.company.id).await?;
    let server = deployment.control().expect("a server");
    server.run_in(&server.central(), "DELETE FROM tenant_changes").await?;
    let catalog = serve(deployment.catalog()?).await?;
    until(at, &owner, Some(Reason::TenantSuspended)).await?;
    for process in [catalog, other_catalog, crm, migrator] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

/// More is told than the way to the subscriber and its queue hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_falls_behind_is_told_and_nobody_else_notices_on_postgres() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let mut command = deployment.catalog()?;
    command.env("CATALOG_WATCH_QUEUE_CHANGES", "1024").env("CATALOG_WATCH_HEARTBEAT_MS", "100");
    let catalog = serve(command).await?;
    let identity = ServiceIdentity::load("crm", &deployment.file("crm.pem"), Arc::new(SystemClock))?;
    let as_crm = Bearer(identity.token("catalog")?.to_string());
    // With room for little on the way, so that what is not read waits at the catalog.
    let endpoint = Endpoint::from_shared(format!("http://{}", deployment.addresses.catalog))?;
    let narrow = endpoint.initial_stream_window_size(65_535).connect().await?;
    let asked = as_crm.request(WatchTenantsRequest::default());
    let slow = TenantDirectoryServiceClient::new(narrow).watch_tenants(asked).await?.into_inner();
    let mut slow = Watch::of(slow).await?;
    let mut quick = Watch::begin(at, &as_crm, "").await?;
    let server = deployment.control().expect("a server");
    for batch in 0..40 {
        let sql = format!(
            "INSERT INTO tenant_changes (company_id, subject, issued_before, created_at) \
             SELECT gen_random_uuid(), 'user:{batch}', now(), now() FROM generate_series(1, 500)"
        );
        server.run_in(&server.central(), &sql).await?;
        for _ in 0..500 {
            let news = quick.news().await?;
            assert!(matches!(news, Event::Revocation(_)), "{news:?}");
        }
    }
    assert!(!quick.cursor.is_empty());
    while !matches!(slow.news().await?, Event::Resync(_)) {}
    drop(slow);
    catalog.stop("TERM").await?;
    deployment.remove().await
}
