//! Where the services are, and who speaks to them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::database_server_service_client::DatabaseServerServiceClient;
use tenantry_api::catalog::v1::operator_service_client::OperatorServiceClient;
use tenantry_api::catalog::v1::{Company, GetCompanyRequest, IssueOperatorTokenRequest};
use tenantry_api::migrator::v1::drift_service_client::DriftServiceClient;
use tenantry_api::migrator::v1::migration_service_client::MigrationServiceClient;
use tenantry_api::migrator::v1::reconciliation_service_client::ReconciliationServiceClient;
use tenantry_api::migrator::v1::rollout_service_client::RolloutServiceClient;
use tenantry_ids::CompanyId;
use tenantry_rpc::client::{self, ServiceChannel};
use tokio::time::Instant;
use tonic::Request;

use super::tls::TlsArguments;

/// Where the services are, and who speaks to them.
#[derive(Args, Clone)]
#[command(next_help_heading = "Operator")]
pub struct Connection {
    /// The catalog, one address or several with commas between. Without it: the instance at --address and --port.
    #[arg(long, env = "TENANTRY_CATALOG_ADDRESS", global = true)]
    pub catalog_address: Option<String>,

    /// The migrator, likewise. Without it: the instance at --address and --port.
    #[arg(long, env = "TENANTRY_MIGRATOR_ADDRESS", global = true)]
    pub migrator_address: Option<String>,

    /// The operator's credential.
    #[arg(
        long,
        env = "TENANTRY_OPERATOR_CREDENTIAL",
        hide_env_values = true,
        global = true,
        conflicts_with = "credential_file"
    )]
    pub credential: Option<SecretString>,

    /// The file with the operator's credential. Without it: that of the instance at --data.
    #[arg(long, env = "TENANTRY_OPERATOR_CREDENTIAL_FILE", global = true)]
    pub credential_file: Option<PathBuf>,

    /// How long one command may take, in milliseconds. A migration that has begun goes on by itself.
    #[arg(long, env = "TENANTRY_COMMAND_TIMEOUT_MS", default_value_t = 600_000, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    pub command_timeout_ms: u64,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub tls: TlsArguments,
}

/// An operator who is signed in.
pub(crate) struct Session {
    catalog: ServiceChannel,
    migrator: ServiceChannel,
    token: SecretString,
    timeout: Duration,
}

impl Session {
    pub(crate) async fn open(connection: Connection) -> anyhow::Result<Self> {
        let credential = credential(&connection)?;
        let tls = connection.tls.client()?;
        let catalog = client::open_with(&tls, &connection.catalog_address.context("no catalog")?, "catalog", None)?;
        let migrator = client::open_with(&tls, &connection.migrator_address.context("no migrator")?, "migrator", None)?;
        let timeout = Duration::from_millis(connection.command_timeout_ms);
        let request =
            IssueOperatorTokenRequest { credential: credential.expose_secret().to_owned(), audiences: Vec::new() };
        let request = client::request(request, Instant::now() + timeout);
        let issued = OperatorServiceClient::new(catalog.clone()).issue_operator_token(request).await?.into_inner();
        Ok(Self { catalog, migrator, token: issued.access_token.into(), timeout })
    }

    pub(crate) fn companies(&self) -> CompanyServiceClient<ServiceChannel> {
        CompanyServiceClient::new(self.catalog.clone())
    }

    pub(crate) fn database_servers(&self) -> DatabaseServerServiceClient<ServiceChannel> {
        DatabaseServerServiceClient::new(self.catalog.clone())
    }

    pub(crate) fn migrations(&self) -> MigrationServiceClient<ServiceChannel> {
        MigrationServiceClient::new(self.migrator.clone())
    }

    pub(crate) fn rollouts(&self) -> RolloutServiceClient<ServiceChannel> {
        RolloutServiceClient::new(self.migrator.clone())
    }

    pub(crate) fn drift(&self) -> DriftServiceClient<ServiceChannel> {
        DriftServiceClient::new(self.migrator.clone())
    }

    pub(crate) fn reconciliation(&self) -> ReconciliationServiceClient<ServiceChannel> {
        ReconciliationServiceClient::new(self.migrator.clone())
    }

    /// A request of the operator's.
    pub(crate) fn request<T>(&self, body: T) -> anyhow::Result<Request<T>> {
        let mut request = client::request(body, Instant::now() + self.timeout);
        let bearer = format!("Bearer {}", self.token.expose_secret()).parse().context("the token is no header")?;
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }

    /// A company's id, given that or its slug.
    pub(crate) async fn company_id(&self, named: &str) -> anyhow::Result<String> {
        match named.parse::<CompanyId>() {
            Ok(id) => Ok(id.to_string()),
            Err(_) => Ok(self.company(named).await?.id),
        }
    }

    async fn company(&self, slug: &str) -> anyhow::Result<Company> {
        let request = GetCompanyRequest { slug: slug.to_owned(), ..Default::default() };
        Ok(self.companies().get_company(self.request(request)?).await?.into_inner())
    }

    /// Several, in their order.
    pub(crate) async fn company_ids(&self, named: &[String]) -> anyhow::Result<Vec<String>> {
        let mut ids = Vec::with_capacity(named.len());
        for name in named {
            ids.push(self.company_id(name).await?);
        }
        Ok(ids)
    }
}

fn credential(connection: &Connection) -> anyhow::Result<SecretString> {
    if let Some(credential) = &connection.credential {
        return Ok(credential.clone());
    }
    let file = connection.credential_file.as_deref().context("no credential: give --credential-file")?;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the operator's credential cannot be read from {}", file.display()))?;
    Ok(text.trim().to_owned().into())
}
