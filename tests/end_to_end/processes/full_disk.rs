//! A disk that is full: its own reason for whoever asks, no harm to what is there, and everything goes on by itself or by
//! a retry once there is room.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor as _, fresh_email, registration};
use tenantry_testkit::sandbox::{Engine, OnServer};
use tenantry_testkit::servers::{MariaDbServer, PostgresServer, ServerOptions, SmallDisk};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::operator::{Console, code};
use super::outage::Early;
use super::tour::Inhabited;
use super::{Deployment, serve};
use crate::migrations::{BEFORE, HEAD};

/// A deployment whose companies' databases are on a small disk.
struct Cramped {
    deployment: Deployment,
    disk: Arc<SmallDisk>,
    migrator: Command,
    crm: Command,
    /// How a rollout that met the full disk ends, and what goes on with it.
    stopped: (i32, &'static str),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_files() -> anyhow::Result<()> {
    let disk = Arc::new(SmallDisk::mount(16)?);
    let deployment = Deployment::on_files()?;
    symlink(disk.path(), deployment.file("tenants"))?;
    let (migrator, crm) = (disk.enter(&deployment.migrator()?), disk.enter(&deployment.crm()?));
    let cramped = Cramped { deployment, disk, migrator, crm, stopped: (3, "retry") };
    cramped.goes_on(async |disk| Ok(disk.fill()?)).await?.remove().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_postgres() -> anyhow::Result<()> {
    let disk = Arc::new(SmallDisk::mount_for_users(256, PostgresServer::USERS)?);
    let options = options(&disk, &[("min_wal_size", "64MB"), ("max_wal_size", "64MB")]);
    let own = tokio::task::spawn_blocking(|| PostgresServer::start(options)).await??;
    let cramped = Cramped::with(Engine::Postgres, &own.admin_url(), disk, (3, "retry"))?;
    // It ends where it has no room for its log. A checkpoint keeps old segments of it for what comes.
    let superuser = own.superuser_url();
    let fill = async |disk: &SmallDisk| {
        let mut superuser = PgConnection::connect(&superuser).await?;
        superuser.execute("CHECKPOINT").await?;
        superuser.close().await?;
        Ok(disk.fill()?)
    };
    let deployment = cramped.goes_on(fill).await?;
    tokio::task::spawn_blocking(|| own.stop()).await??;
    deployment.remove().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_mariadb() -> anyhow::Result<()> {
    let disk = Arc::new(SmallDisk::mount_for_users(384, MariaDbServer::USERS)?);
    let options = options(&disk, &[("innodb_log_file_size", "8M")]);
    let own = tokio::task::spawn_blocking(|| MariaDbServer::start(options)).await??;
    // A rehearsal makes a database of its own there, which needs room before anybody's migration does.
    let cramped = Cramped::with(Engine::MariaDb, &own.admin_url(), disk, (5, "resume"))?;
    let deployment = cramped.goes_on(async |disk| Ok(disk.fill()?)).await?;
    tokio::task::spawn_blocking(|| own.stop()).await??;
    deployment.remove().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_catalog() -> anyhow::Result<()> {
    let (disk, deployment) = (SmallDisk::mount(4)?, Deployment::on_files()?);
    deployment.prepare().await?;
    let (central, on_disk) = (deployment.file("central.db"), disk.path().join("central.db"));
    fs::copy(&central, &on_disk)?;
    fs::remove_file(&central)?;
    symlink(on_disk, central)?;
    let catalog = serve(disk.enter(&deployment.catalog()?)).await?;
    let migrator = serve(deployment.migrator()?).await?;

    disk.fill()?;
    let register = registration("Later", &fresh_email());
    let mut companies = deployment.clients().companies()?;
    let refused = companies.register_company(register.clone()).await.expect_err("there is no room");
    assert_eq!(reason_of(&refused), Some(Reason::DatabaseServerFull), "{refused:?}");
    assert!(refused.get_details_retry_info().is_some());

    disk.free()?;
    companies.register_company(register).await?;
    for process in [catalog, migrator] {
        process.stop("TERM").await?;
    }
    Ok(())
}

fn options(disk: &Arc<SmallDisk>, settings: &[(&str, &str)]) -> ServerOptions {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ServerOptions { settings, disk: Some(Arc::clone(disk)), ..ServerOptions::default() }
}

impl Cramped {
    fn with(
        control: Engine,
        companies: &str,
        disk: Arc<SmallDisk>,
        stopped: (i32, &'static str),
    ) -> anyhow::Result<Self> {
        let deployment = Deployment::on(control)?.with_companies_on(OnServer::at(companies)?);
        let (migrator, crm) = (deployment.migrator()?, deployment.crm()?);
        Ok(Self { deployment, disk, migrator, crm, stopped })
    }

    async fn goes_on(self, fill: impl AsyncFnOnce(&SmallDisk) -> anyhow::Result<()>) -> anyhow::Result<Deployment> {
        let full = Reason::DatabaseServerFull;
        let Self { deployment, disk, mut migrator, crm, stopped } = self;
        deployment.prepare().await?;
        let at = deployment.clients();
        let catalog = serve(deployment.catalog()?).await?;
        migrator.env("MIGRATOR_ROLLOUT_BACKOFF_MS", "10");
        let (migrator, crm) = (serve(migrator).await?, serve(crm).await?);
        let console = Console { deployment: &deployment, migrator: deployment.addresses.migrator };
        let roomy = Inhabited::new(at, "Roomy").await?;
        console.say(&["migrate-tenants", "--to", BEFORE, "--allow-rollback"]).await?.success()?;
        roomy.is_seen_by(at, &roomy.owner).await?;

        fill(&disk).await?;
        let one = console.say(&["migrate-tenant", "roomy", "--force"]).await?;
        assert!(code(&one) == Some(1) && one.stderr.contains(full.as_str()), "{one:?}");
        let all = console.say(&["migrate-tenants"]).await?;
        assert!(code(&all) == Some(stopped.0) && all.stdout.contains(full.as_str()), "{all:?}");
        let early = Early::refused(at, deployment.operator().await?, full).await?;
        let refused = until_refused(&deployment, &roomy).await?;
        assert_eq!(reason_of(&refused), Some(full), "{refused:?}");
        assert!(refused.get_details_retry_info().is_some());
        roomy.is_seen_by(at, &roomy.owner).await?;

        disk.free()?;
        assert_eq!(console.ask(&["status", "roomy"]).await?["version"], BEFORE);
        console.say(&["rollout", stopped.1]).await?.success()?;
        assert_eq!(console.ask(&["status", "roomy"]).await?["version"], HEAD);
        assert_eq!(code(&console.say(&["drift", "roomy"]).await?), Some(0));
        early.becomes_active().await?;
        assert_eq!(code(&console.say(&["reconcile"]).await?), Some(0));
        roomy.is_seen_by(at, &roomy.owner).await?;
        for process in [catalog, crm, migrator] {
            process.stop("TERM").await?;
        }
        Ok(deployment)
    }
}

/// Adds people, for whom there may be room in a page or two, until there is none.
async fn until_refused(deployment: &Deployment, company: &Inhabited) -> anyhow::Result<Status> {
    let mut people = deployment.clients().people()?;
    let person = Person { name: "n".repeat(100), surname: "s".repeat(100), ..Default::default() };
    for _ in 0..10_000 {
        let create = CreatePersonRequest { person: Some(person.clone()), ..Default::default() };
        if let Err(refused) = people.create_person(company.owner.request(create)).await {
            return Ok(refused);
        }
    }
    anyhow::bail!("there is room for everybody")
}
