//! A lifecycle hook of somebody else's, in Python: `tests/clients/storage_hook.py`, in front of real processes.

mod place;

use tenantry_api::catalog::v1::{Company, CompanyState, RegisterCompanyRequest, StepState};
use tenantry_api::lifecycle::v1::PrepareTenantRequest;
use tenantry_api::lifecycle::v1::lifecycle_hook_service_client::LifecycleHookServiceClient;
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::{Reason, SystemClock, client, reason_of};
use tenantry_testkit::actors::{fresh_email, registration};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::Engine;
use tonic::{Code, Request};

pub(crate) use place::Place;

use crate::lifecycle::Operations;
use crate::processes::{Deployment, eventually, serve};

/// A deployment whose catalog knows the hook as `storage`.
struct Setting {
    deployment: Deployment,
    place: Place,
    /// What the catalog is told about the hook, after its address.
    options: &'static str,
    operations: Operations,
    processes: Vec<Process>,
}

impl Setting {
    async fn new(deployment: Deployment, options: &'static str) -> anyhow::Result<Self> {
        deployment.prepare().await?;
        let place = Place::of(&deployment)?;
        let mut catalog = deployment.catalog()?;
        catalog.env("CATALOG_LIFECYCLE_HOOKS", place.configuration() + options);
        let processes = vec![serve(catalog).await?, serve(deployment.migrator()?).await?];
        let operations = Operations { at: deployment.clients(), operator: deployment.operator().await? };
        Ok(Self { deployment, place, options, operations, processes })
    }

    /// Another catalog in the place of the one that runs, told this about hooks.
    async fn reconfigure(&mut self, hooks: Option<&str>) -> anyhow::Result<()> {
        self.processes.remove(0).stop("TERM").await?;
        let mut catalog = self.deployment.catalog()?;
        catalog.envs(hooks.map(|hooks| ("CATALOG_LIFECYCLE_HOOKS", hooks)));
        self.processes.insert(0, serve(catalog).await?);
        Ok(())
    }

    /// Registers a company and is told that the hook keeps it waiting.
    async fn kept_waiting(&self, name: &str) -> anyhow::Result<RegisterCompanyRequest> {
        #[allow(clippy::disallowed_methods)] // Another request id for every test.
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = RegisterCompanyRequest { request_id, ..registration(name, &fresh_email()) };
        let refused = self.operations.at.companies()?.register_company(request.clone()).await.expect_err("a refusal");
        assert_eq!((refused.code(), reason_of(&refused)), (Code::Unavailable, Some(Reason::HookUnavailable)));
        Ok(request)
    }

    /// The same registration, once it is through.
    async fn becomes_active(&self, request: &RegisterCompanyRequest) -> anyhow::Result<Company> {
        eventually("the company ACTIVE", async || {
            let found = self.operations.at.companies()?.register_company(request.clone()).await;
            Ok(found.ok().map(tonic::Response::into_inner).filter(|company| company.state() == CompanyState::Active))
        })
        .await
    }

    /// How a company's step of this name ends.
    async fn step_ends(&self, company: &str, step: &str, state: StepState) -> anyhow::Result<String> {
        eventually("the step's end", async || {
            let steps = self.operations.get(company).await?.provisioning_steps;
            Ok(steps.into_iter().find(|row| row.name == step && row.state() == state).map(|row| row.last_error))
        })
        .await
    }

    async fn end(self, hook: Process) -> anyhow::Result<()> {
        drop(hook);
        for process in self.processes {
            process.stop("TERM").await?;
        }
        self.deployment.remove().await
    }
}

async fn a_company_has_a_folder_for_as_long_as_it_lives(deployment: Deployment) -> anyhow::Result<()> {
    let setting = Setting::new(deployment, "").await?;
    let hook = setting.place.hook().await?;
    let name = "Robert'); DROP TABLE \"people\";-- 電力";
    let company = setting.operations.at.companies()?.register_company(registration(name, &fresh_email())).await?;
    let company = company.into_inner();
    assert_eq!(company.state(), CompanyState::Active);
    let owner = std::fs::read_to_string(setting.place.folder_of(&company.id).join("owner.json"))?;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&owner)?["name"], name);

    // Nobody but the catalog, and nobody with a token for somebody else.
    let file = setting.deployment.file("crm.pem");
    let crm = std::sync::Arc::new(ServiceIdentity::load("crm", &file, std::sync::Arc::new(SystemClock))?);
    let file = setting.deployment.file("catalog.pem");
    let catalog = std::sync::Arc::new(ServiceIdentity::load("catalog", &file, std::sync::Arc::new(SystemClock))?);
    let address = format!("http://127.0.0.1:{}", setting.place.port);
    for (identity, audience) in [(None, "storage"), (Some(crm), "storage"), (Some(catalog), "billing")] {
        let mut stranger = LifecycleHookServiceClient::new(client::open(&address, audience, identity)?);
        let asked = stranger.prepare_tenant(Request::new(PrepareTenantRequest::default())).await;
        assert_eq!(asked.expect_err("a refusal").code(), Code::Unauthenticated);
    }

    setting.operations.delete(&company.id).await?;
    assert!(setting.place.folder_of(&company.id).exists(), "it may be undeleted");
    assert_eq!(setting.operations.purge_by_force(&company.id).await?.state(), CompanyState::Purged);
    assert!(!setting.place.folder_of(&company.id).exists());
    assert_eq!(setting.place.done_for(&company.id)?, ["prepare", "remove"]);
    setting.end(hook).await
}

async fn who_fails_lies_or_is_late_is_asked_again(deployment: Deployment) -> anyhow::Result<()> {
    let setting = Setting::new(deployment, "?timeout_ms=700").await?;
    // Nobody is there.
    let request = setting.kept_waiting("Early").await?;
    let hook = setting.place.hook().await?;
    setting.becomes_active(&request).await?;
    for how in ["fail", "lie", "late"] {
        setting.place.behave(how)?;
        let request = setting.kept_waiting(how).await?;
        setting.place.behave("well")?;
        let company = setting.becomes_active(&request).await?;
        assert!(setting.place.folder_of(&company.id).join("owner.json").exists(), "{how}");
    }
    setting.end(hook).await
}

async fn who_refuses_ends_it_until_an_operator_tries_again(deployment: Deployment) -> anyhow::Result<()> {
    let setting = Setting::new(deployment, "?max_attempts=2").await?;
    let hook = setting.place.hook().await?;
    for (how, why) in [("refuse", "HOOK_REFUSED"), ("fail", "HOOK_UNAVAILABLE")] {
        setting.place.behave(how)?;
        let request = registration(how, &fresh_email());
        let refused = setting.operations.at.companies()?.register_company(request).await.expect_err("a refusal");
        let id =
            tonic_types::StatusExt::get_error_details(&refused).error_info().expect("a reason").metadata["company_id"]
                .clone();
        let company = eventually("the company FAILED", async || {
            let company = setting.operations.get(&id).await?;
            Ok((company.state() == CompanyState::Failed).then_some(company))
        })
        .await?;
        assert_eq!(company.state_reason, format!("prepare:storage: {why}"));
        setting.place.behave("well")?;
        let company = setting.operations.retry_provisioning(&id, false).await?;
        assert_eq!(company.state(), CompanyState::Active);
        assert!(setting.place.folder_of(&id).exists());
    }
    setting.end(hook).await
}

async fn nobody_waits_for_one_that_does_not_block(deployment: Deployment) -> anyhow::Result<()> {
    let setting = Setting::new(deployment, "?blocking=false").await?;
    let register = async |name: &str| {
        let made = setting.operations.at.companies()?.register_company(registration(name, &fresh_email())).await?;
        assert_eq!(made.get_ref().state(), CompanyState::Active);
        anyhow::Ok(made.into_inner().id)
    };
    let (kept, gone) = (register("Kept").await?, register("Gone").await?);
    setting.operations.delete(&gone).await?;
    assert_eq!(setting.operations.purge_by_force(&gone).await?.state(), CompanyState::Purged);

    let hook = setting.place.hook().await?;
    setting.step_ends(&kept, "prepare:storage", StepState::Done).await?;
    setting.step_ends(&gone, "remove:storage", StepState::Done).await?;
    assert_eq!(
        (setting.place.done_for(&kept)?, setting.place.done_for(&gone)?),
        (vec!["prepare".into()], vec!["remove".into()])
    );

    // One that it refuses is in service all the same, and is asked about again when an operator wants it.
    setting.place.behave("refuse")?;
    let refused = register("Refused").await?;
    assert_eq!(setting.step_ends(&refused, "prepare:storage", StepState::Failed).await?, "HOOK_REFUSED");
    setting.place.behave("well")?;
    assert_eq!(setting.operations.retry_provisioning(&refused, false).await?.state(), CompanyState::Active);
    setting.step_ends(&refused, "prepare:storage", StepState::Done).await?;
    setting.end(hook).await
}

/// The catalog's configuration changes while a company waits.
async fn one_that_is_configured_no_more_is_waited_for_until_it_is_retired(
    deployment: Deployment,
) -> anyhow::Result<()> {
    let mut setting = Setting::new(deployment, "").await?;
    let (first, second) = (setting.kept_waiting("First").await?, setting.kept_waiting("Second").await?);
    setting.reconfigure(None).await?;
    let asked = setting.operations.at.companies()?.register_company(first.clone()).await.expect_err("a refusal");
    assert_eq!(reason_of(&asked), Some(Reason::HookUnavailable));
    let told = setting.place.configuration() + setting.options;
    setting.reconfigure(Some("storage=retired")).await?;
    let company = setting.becomes_active(&first).await?;
    assert!(!setting.place.folder_of(&company.id).exists());
    setting.becomes_active(&second).await?;

    setting.reconfigure(Some(&told)).await?;
    let hook = setting.place.hook().await?;
    let third = setting.operations.at.companies()?.register_company(registration("Third", &fresh_email())).await?;
    assert!(setting.place.folder_of(&third.get_ref().id).exists());
    setting.end(hook).await
}

/// Each on the engine that the central database is on.
macro_rules! on {
    ($($engine:ident: $deployment:expr => [$($name:ident),+ $(,)?]);+ $(;)?) => {
        $(
            mod $engine {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() -> anyhow::Result<()> {
                        super::$name($deployment?).await
                    }
                )+
            }
        )+
    };
}

on! {
    postgres: Deployment::on(Engine::Postgres) => [
        a_company_has_a_folder_for_as_long_as_it_lives,
        who_fails_lies_or_is_late_is_asked_again,
        nobody_waits_for_one_that_does_not_block,
    ];
    mariadb: Deployment::on(Engine::MariaDb) => [
        a_company_has_a_folder_for_as_long_as_it_lives,
        nobody_waits_for_one_that_does_not_block,
    ];
    sqlite: Deployment::on_files() => [
        a_company_has_a_folder_for_as_long_as_it_lives,
        who_refuses_ends_it_until_an_operator_tries_again,
        nobody_waits_for_one_that_does_not_block,
        one_that_is_configured_no_more_is_waited_for_until_it_is_retired,
    ];
}
