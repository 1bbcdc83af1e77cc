//! What happens while something is away, and that it mends itself.

use tenantry_api::catalog::v1::{Company, CompanyState, GetCompanyRequest, RegisterCompanyRequest};
use tenantry_rpc::{Error, Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Operator, fresh_email, login, registration};
use tenantry_testkit::sandbox::Clients;
use tonic::Status;
use tonic_types::StatusExt;

use super::{eventually, tour};

/// A registration at a bad moment.
pub(super) struct Early {
    at: Clients,
    operator: Operator,
    request: RegisterCompanyRequest,
    company_id: String,
}

impl Early {
    /// Registers, and is told to come back.
    pub(super) async fn refused(at: Clients, operator: Operator, reason: Reason) -> anyhow::Result<Self> {
        #[allow(clippy::disallowed_methods)] // Another request id for every test.
        let request_id = uuid::Uuid::now_v7().to_string();
        let request = RegisterCompanyRequest { request_id, ..registration("Early Bird", &fresh_email()) };
        let status = at.companies()?.register_company(request.clone()).await.expect_err("a refusal");
        assert_eq!(
            (status.code(), reason_of(&status)),
            (Status::from(Error::new(reason, "")).code(), Some(reason)),
            "{status:?}"
        );
        let details = status.get_error_details();
        let delay = details.retry_info().and_then(|retry| retry.retry_delay);
        assert!(delay.is_some_and(|delay| !delay.is_zero()), "{details:?}");
        let company_id = details.error_info().expect("a reason").metadata["company_id"].clone();
        let early = Self { at, operator, request, company_id };

        let company = early.company().await?;
        assert_eq!(company.state(), CompanyState::Provisioning);
        let step = &company.provisioning_steps[0];
        assert_eq!((step.name.as_str(), step.last_error.as_str()), ("create_database", reason.as_str()));
        Ok(early)
    }

    async fn company(&self) -> anyhow::Result<Company> {
        let get = GetCompanyRequest { id: self.company_id.clone(), ..Default::default() };
        Ok(self.at.companies()?.get_company(self.operator.request(get)).await?.into_inner())
    }

    /// Without another call it comes to be; the same registration then finds it, and it works.
    pub(super) async fn becomes_active(self) -> anyhow::Result<()> {
        eventually("the company ACTIVE", async || {
            let company = self.company().await?;
            assert_ne!(company.state(), CompanyState::Failed, "{company:?}");
            Ok((company.state() == CompanyState::Active).then_some(()))
        })
        .await?;
        let found = self.at.companies()?.register_company(self.request.clone()).await?.into_inner();
        assert_eq!((found.id.as_str(), found.state()), (self.company_id.as_str(), CompanyState::Active));
        let token = login(self.at, &self.request.owner_email).await?;
        tour::add(self.at, &Bearer(token)).await.map(drop)
    }
}

mod postgres {
    use serde_json::json;
    use tenantry_api::crm::v1::{GetPersonRequest, ListPeopleRequest};
    use tenantry_testkit::sandbox::{Engine, OnServer};
    use tenantry_testkit::servers::{PostgresServer, ServerOptions};
    use tonic::Code;

    use super::*;
    use crate::processes::deployment::ISSUER;
    use crate::processes::tour::Inhabited;
    use crate::processes::{Deployment, serve};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_service_starts_and_waits_without_the_others() -> anyhow::Result<()> {
        let deployment = Deployment::on(Engine::Postgres)?;
        deployment.prepare().await?;
        let at = deployment.clients();

        let crm = serve(deployment.crm()?).await?;
        let mut people = at.people()?;
        let mut refusal = async |token: String| {
            let asked = people.list_people(Bearer(token).request(ListPeopleRequest::default())).await;
            asked.expect_err("a refusal")
        };
        // Tokens that may be good: nobody is there to say so, however many ask.
        for _ in 0..3 {
            let status = refusal(unsigned("crm")).await;
            assert_eq!((status.code(), reason_of(&status)), (Code::Unavailable, Some(Reason::KeysUnavailable)));
            assert!(status.get_details_retry_info().is_some());
        }
        // One for somebody else is wrong whatever the keys are.
        let status = refusal(unsigned("migrator")).await;
        assert_eq!(reason_of(&status), Some(Reason::TokenInvalid));

        let catalog = serve(deployment.catalog()?).await?;
        let early = Early::refused(at, deployment.operator().await?, Reason::MigratorUnavailable).await?;
        let migrator = serve(deployment.migrator()?).await?;
        early.becomes_active().await?;

        for process in [catalog, crm, migrator] {
            process.stop("TERM").await?;
        }
        deployment.remove().await
    }

    /// The central database is on the suite's server; the one with the companies is the test's, to be stopped.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_server_goes_away_and_comes_back() -> anyhow::Result<()> {
        let mut server = tokio::task::spawn_blocking(|| PostgresServer::start(ServerOptions::default())).await??;
        let companies = OnServer::at(&server.admin_url())?;
        let deployment = Deployment::on(Engine::Postgres)?.with_companies_on(companies);
        deployment.prepare().await?;
        let at = deployment.clients();
        let catalog = serve(deployment.catalog()?).await?;
        let migrator = serve(deployment.migrator()?).await?;
        let crm = serve(deployment.crm()?).await?;
        let first = Inhabited::new(at, "Early enough").await?;

        let mut server = tokio::task::spawn_blocking(move || server.stop_keeping_data().map(|()| server)).await??;
        let early = Early::refused(at, deployment.operator().await?, Reason::DatabaseServerUnavailable).await?;
        let get = GetPersonRequest { id: first.person.id.clone() };
        let away = at.people()?.get_person(first.owner.request(get)).await.expect_err("a refusal");
        assert_eq!(reason_of(&away), Some(Reason::TenantDatabaseUnavailable));
        assert!(away.get_details_retry_info().is_some());

        let server = tokio::task::spawn_blocking(move || server.restart().map(|()| server)).await??;
        early.becomes_active().await?;
        eventually("the first company's person", async || Ok(first.is_seen_by(at, &first.owner).await.ok())).await?;

        for process in [catalog, crm, migrator] {
            process.stop("TERM").await?;
        }
        tokio::task::spawn_blocking(|| server.stop()).await??;
        deployment.remove().await
    }

    /// A token for this audience with everything but a signature.
    fn unsigned(audience: &str) -> String {
        use base64::Engine as _;
        let part = |json: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
        let id = "0192f0c1-7e57-7000-8000-000000000000";
        let claims = json!({
            "iss": ISSUER, "aud": [audience], "sub": format!("user:{id}"), "client_id": "tenantry", "iat": 1,
            "exp": 9_999_999_999_i64, "jti": id, "tenant": id, "access_epoch": 1, "scope": "crm.people.read",
        });
        format!(
            "{}.{}.{}",
            part(json!({ "typ": "at+jwt", "alg": "ES256", "kid": "nobody" })),
            part(claims),
            "A".repeat(86)
        )
    }
}
