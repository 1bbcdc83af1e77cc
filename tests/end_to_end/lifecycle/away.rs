//! What a purge and the data plane do when somebody is away, with the programs themselves.

use std::sync::Arc;

use tenantry_api::catalog::v1::CompanyState;
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_api::migrator::v1::DropTenantDatabaseRequest;
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::{Reason, SystemClock};
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::Engine;

use super::Operations;
use crate::processes::{Deployment, eventually, serve};
use crate::support::reason;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_finishes_when_the_migrator_is_back_on_postgres() -> anyhow::Result<()> {
    a_purge_finishes_when_the_migrator_is_back(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_finishes_when_the_migrator_is_back_on_mariadb() -> anyhow::Result<()> {
    a_purge_finishes_when_the_migrator_is_back(Engine::MariaDb).await
}

/// The catalog is stopped in the middle, too: another process goes on.
async fn a_purge_finishes_when_the_migrator_is_back(engine: Engine) -> anyhow::Result<()> {
    let deployment = Deployment::on(engine)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let owner = Owner::of_new_company(at, "Leaving").await?;
    let second = Owner::of_new_company(at, "Leaving too").await?;
    let operations = Operations { at, operator: deployment.operator().await? };
    let id = &owner.company.id;
    migrator.stop("TERM").await?;

    operations.delete(id).await?;
    assert_eq!(reason(operations.purge_by_force(id).await), Some(Reason::MigratorUnavailable));
    let waiting = operations.get(id).await?;
    assert_eq!(waiting.state(), CompanyState::Deleted);
    assert_eq!(waiting.provisioning_steps.last().map(|step| step.name.as_str()), Some("drop_database"));
    // Nothing takes it back any more.
    assert_eq!(reason(operations.undelete(id).await), Some(Reason::CompanyState));
    let server = deployment.control().expect("a server");
    assert_eq!(server.tenant_databases().await?.len(), 2);

    catalog.signal("KILL")?;
    catalog.end().await?;
    let mut command = deployment.catalog()?;
    command.env("CATALOG_DELETION_GRACE_DAYS", "0");
    let catalog = serve(command).await?;
    // Without a grace the deletion is the purge.
    operations.delete(&second.company.id).await?;
    let migrator = serve(deployment.migrator()?).await?;
    for id in [id, &second.company.id] {
        eventually("the company PURGED", async || {
            Ok((operations.get(id).await?.state() == CompanyState::Purged).then_some(()))
        })
        .await?;
    }
    assert!(server.tenant_databases().await?.is_empty());
    assert!(server.tenant_roles().await?.is_empty());

    // Without a catalog to ask, nothing is dropped.
    let staying = Owner::of_new_company(at, "Staying").await?.company.id;
    catalog.stop("TERM").await?;
    let identity = ServiceIdentity::load("catalog", &deployment.file("catalog.pem"), Arc::new(SystemClock))?;
    let unwanted = DropTenantDatabaseRequest {
        company_id: staying,
        database_id: uuid::Uuid::now_v7().to_string(),
        server: "main".to_owned(),
    };
    let asked = Bearer(identity.token("migrator")?.to_string()).request(unwanted);
    let refused = at.tenant_databases()?.drop_tenant_database(asked).await;
    assert_eq!(reason(refused), Some(Reason::CatalogUnavailable));
    assert_eq!(server.tenant_databases().await?.len(), 1);

    migrator.stop("TERM").await?;
    deployment.remove().await
}

/// A crm that has served a company notices a change within the time that it keeps placements.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crm_honours_each_state_within_its_placements_time() -> anyhow::Result<()> {
    let deployment = Deployment::on(Engine::Postgres)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let mut command = deployment.crm()?;
    command.env("TENANTRY_PLACEMENT_TTL_MS", "200");
    let crm = serve(command).await?;
    let owner = Owner::of_new_company(at, "Watched").await?;
    let operations = Operations { at, operator: deployment.operator().await? };
    let id = &owner.company.id;
    let seen = async |expected: Option<Reason>| {
        eventually("the state honoured", async || {
            let answer = at.people()?.list_people(owner.request(ListPeopleRequest::default())).await;
            let got = answer.err().map(|status| tenantry_rpc::reason_of(&status));
            Ok((got == expected.map(Some)).then_some(()))
        })
        .await
    };
    seen(None).await?;
    operations.enter_maintenance(id, 3).await?;
    seen(Some(Reason::TenantInMaintenance)).await?;
    operations.leave_maintenance(id).await?;
    seen(None).await?;
    operations.delete(id).await?;
    seen(Some(Reason::TenantDeleted)).await?;
    operations.undelete(id).await?;
    seen(None).await?;
    operations.suspend(id).await?;
    seen(Some(Reason::TenantSuspended)).await?;
    operations.resume(id).await?;
    seen(Some(Reason::TokenStale)).await?;

    for process in [catalog, crm, migrator] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}
