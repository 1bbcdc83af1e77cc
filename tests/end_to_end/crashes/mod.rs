//! Every step of the pipeline, cut short wherever it can be: by a catalog or a migrator that dies there, by a failure,
//! and by being run twice. Each time the company gets to where it was going, once, and the reconciler finds nothing.
//!
//! `RUST_TEST_NOCAPTURE=1 cargo xtask test --only crashes` prints the table.

mod replicas;
mod sign_ups;

use prost_types::Duration;
use tenantry_api::catalog::v1::{Company, CompanyState, RegisterCompanyRequest};
use tenantry_api::migrator::v1::SurveyRequest;
use tenantry_testkit::actors::{Actor as _, fresh_email, registration};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::Engine;
use tokio::task::JoinHandle;

use crate::hooks::Place;
use crate::lifecycle::Operations;
use crate::processes::{Deployment, eventually, serve};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Catalog,
    Migrator,
}

/// Where a company is on its way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ToActive,
    ToPurged,
}

/// The steps of the pipeline, in order.
const STEPS: [(Way, &str); 5] = [
    (Way::ToActive, "create_database"),
    (Way::ToActive, "seed"),
    (Way::ToActive, "prepare:storage"),
    (Way::ToPurged, "drop_database"),
    (Way::ToPurged, "remove:storage"),
];

/// Inside of what the migrator does for a step.
const MIGRATORS_POINTS: [(Way, &str); 9] = [
    (Way::ToActive, "create_database:claimed"),
    (Way::ToActive, "create_database:cloned"),
    (Way::ToActive, "create_database:login"),
    (Way::ToActive, "create_database:migrated"),
    (Way::ToActive, "create_database:ready"),
    (Way::ToActive, "seed:seeded"),
    (Way::ToPurged, "drop_database:confirmed"),
    (Way::ToPurged, "drop_database:gone"),
    (Way::ToPurged, "drop_database:dropped"),
];

struct Setting {
    deployment: Deployment,
    operations: Operations,
    place: Place,
    hook: Process,
    catalog: Option<Process>,
    migrator: Option<Process>,
    /// Companies that are ACTIVE.
    active: usize,
}

impl Setting {
    async fn new() -> anyhow::Result<Self> {
        let deployment = Deployment::on(Engine::Postgres)?;
        deployment.prepare().await?;
        let place = Place::of(&deployment)?;
        let hook = place.hook().await?;
        // An operator's token is asked for at a catalog.
        let catalog = Some(serve(deployment.catalog()?).await?);
        let operations = Operations { at: deployment.clients(), operator: deployment.operator().await? };
        let mut setting = Self { deployment, operations, place, hook, catalog, migrator: None, active: 0 };
        setting.start(Who::Catalog, "").await?;
        setting.start(Who::Migrator, "").await?;
        Ok(setting)
    }

    /// Starts a service, in the place of the one that runs if any does.
    async fn start(&mut self, who: Who, failpoints: &str) -> anyhow::Result<()> {
        let slot = match who {
            Who::Catalog => &mut self.catalog,
            Who::Migrator => &mut self.migrator,
        };
        if let Some(running) = slot.take() {
            running.stop("TERM").await?;
        }
        let mut command = match who {
            Who::Catalog => self.deployment.catalog()?,
            Who::Migrator => self.deployment.migrator()?,
        };
        command.env("TENANTRY_FAILPOINTS", failpoints);
        command.env("CATALOG_PROVISION_LEASE_MS", "1000").env("CATALOG_LIFECYCLE_HOOKS", self.place.configuration());
        *slot = Some(serve(command).await?);
        Ok(())
    }

    /// Waits until a service has died of its failpoint, and starts it anew without.
    async fn dies(&mut self, who: Who) -> anyhow::Result<()> {
        let slot = match who {
            Who::Catalog => &mut self.catalog,
            Who::Migrator => &mut self.migrator,
        };
        let ended = slot.take().expect("a process").end().await?;
        assert_eq!(ended.status.code(), None, "by a signal: {ended:?}");
        self.start(who, "").await
    }

    /// One cell of the table: with the failpoints, a company's whole way. What was seen.
    async fn cell(&mut self, way: Way, who: Who, failpoints: &str) -> anyhow::Result<String> {
        let crashes = failpoints.ends_with("=crash");
        #[allow(clippy::disallowed_methods)] // Another request id for every company.
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = RegisterCompanyRequest { request_id, ..registration(failpoints, &fresh_email()) };
        let id = match way {
            Way::ToActive => {
                self.start(who, failpoints).await?;
                let under_way = self.register(&request)?;
                if crashes {
                    self.dies(who).await?;
                }
                under_way.await?;
                self.is_active(&request).await?.id
            }
            Way::ToPurged => {
                let id = self.is_active(&request).await?.id;
                self.start(who, failpoints).await?;
                self.operations.delete(&id).await?;
                let at = Operations { at: self.operations.at, operator: self.deployment.operator().await? };
                let of = id.clone();
                // It may be the catalog that dies.
                let under_way = tokio::spawn(async move { at.purge_by_force(&of).await.map(drop) });
                if crashes {
                    self.dies(who).await?;
                }
                let _ = under_way.await?;
                self.is_purged(&id).await?;
                id
            }
        };
        self.look_at(way, &id, failpoints).await
    }

    fn register(&self, request: &RegisterCompanyRequest) -> anyhow::Result<JoinHandle<()>> {
        let (mut companies, request) = (self.operations.at.companies()?, request.clone());
        // It may be the catalog that dies.
        Ok(tokio::spawn(async move { drop(companies.register_company(request).await) }))
    }

    async fn is_active(&self, request: &RegisterCompanyRequest) -> anyhow::Result<Company> {
        eventually("the company ACTIVE", async || {
            let found = self.operations.at.companies()?.register_company(request.clone()).await;
            Ok(found.ok().map(tonic::Response::into_inner).filter(|company| company.state() == CompanyState::Active))
        })
        .await
    }

    async fn is_purged(&self, id: &str) -> anyhow::Result<()> {
        eventually("the company PURGED", async || {
            let found = self.operations.get(id).await.ok();
            Ok(found.filter(|company| company.state() == CompanyState::Purged).map(drop))
        })
        .await
    }

    /// The steps, the server itself, the hook's folder and the reconciler.
    async fn look_at(&mut self, way: Way, id: &str, failpoints: &str) -> anyhow::Result<String> {
        self.active += usize::from(way == Way::ToActive);
        let server = self.deployment.control().expect("a server");
        let (mut databases, mut roles) = (server.tenant_databases().await?, server.tenant_roles().await?);
        databases.sort();
        roles.sort();
        assert_eq!((databases.len(), &roles), (self.active, &databases), "{failpoints}");
        let company = self.operations.get(id).await?;
        assert_eq!(self.place.folder_of(id).exists(), way == Way::ToActive, "{failpoints}");
        let orphans = self.orphans().await?;
        assert_eq!(orphans, 0, "{failpoints}");
        let (point, _) = failpoints.split_once('=').expect("a point");
        let steps = company.provisioning_steps.iter();
        let attempts: Vec<_> = steps.filter(|step| point.starts_with(&step.name)).map(|step| step.attempts).collect();
        let state = company.state().as_str_name().trim_start_matches("COMPANY_STATE_").to_owned();
        Ok(format!("{state}, {attempts:?} attempts, {} databases, {orphans} orphans", databases.len()))
    }

    /// What the reconciler finds, without any patience.
    async fn orphans(&self) -> anyhow::Result<usize> {
        let request = SurveyRequest { min_age: Some(Duration::default()), ..Default::default() };
        let operator = self.deployment.operator().await?;
        let survey = self.operations.at.reconciliation()?.survey(operator.request(request)).await?.into_inner();
        // The central database is on the same server, and no migrator's.
        let central = self.deployment.control().expect("a server").central();
        let findings: Vec<_> = survey.findings.iter().filter(|finding| finding.name != central).collect();
        for finding in &findings {
            println!("{finding:?}");
        }
        Ok(findings.len())
    }

    async fn end(self) -> anyhow::Result<()> {
        for process in [self.catalog, self.migrator].into_iter().flatten() {
            process.stop("TERM").await?;
        }
        drop(self.hook);
        self.deployment.remove().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_cut_short_anywhere_in_the_catalog_is_finished() -> anyhow::Result<()> {
    let mut setting = Setting::new().await?;
    for (way, step) in STEPS {
        let points = [
            format!("{step}:before=crash"),
            format!("{step}:after=crash"),
            format!("{step}:before=fail"),
            format!("{step}=twice"),
        ];
        for failpoints in points {
            let seen = setting.cell(way, Who::Catalog, &failpoints).await?;
            println!("| catalog | {failpoints} | {seen} |");
        }
    }
    setting.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_cut_short_anywhere_in_the_migrator_is_finished() -> anyhow::Result<()> {
    let mut setting = Setting::new().await?;
    for (way, point) in MIGRATORS_POINTS {
        let seen = setting.cell(way, Who::Migrator, &format!("{point}=crash")).await?;
        println!("| migrator | {point}=crash | {seen} |");
    }
    setting.end().await
}
