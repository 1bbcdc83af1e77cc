//! What each step does. Every one can be repeated.

use std::time::Duration;

use tenantry_api::migrator::v1::tenant_database_service_client::TenantDatabaseServiceClient;
use tenantry_api::migrator::v1::{
    Adoption, CreateTenantDatabaseRequest, DropTenantDatabaseRequest, PasswordVerifier, SeedTenantDatabaseRequest,
};
use tenantry_ids::{CompanyId, DatabaseId};
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::{Error, Reason, reason_of};
use tokio::time::Instant;
use tonic::Status;

use crate::app::App;
use crate::app::companies::database_owner;
use crate::app::hooks::Call;
use crate::domain::Step;
use crate::secrets::TenantPassword;
use crate::store::companies;
use crate::store::entities::company;

/// The migrator, as the steps use it.
pub(crate) type MigratorClient = TenantDatabaseServiceClient<ServiceChannel>;

/// A step that did not succeed.
pub(crate) struct StepFailure {
    /// Why, for people and for the caller who waits.
    pub(crate) reason: Reason,
    /// Whether trying again can help.
    pub(crate) retryable: bool,
}

impl From<Error> for StepFailure {
    /// Failures on our side of the call: the database was away, or a bug, which
    /// an operator sees in the log while the step goes on trying.
    fn from(error: Error) -> Self {
        let reason = error.reason();
        tracing::warn!(error = &error as &dyn std::error::Error, reason = reason.as_str(), "a step failed here");
        Self { reason, retryable: true }
    }
}

impl From<Status> for StepFailure {
    fn from(status: Status) -> Self {
        let reason = reason_of(&status).unwrap_or(Reason::MigratorUnavailable);
        // By our own reason, not by the code, which a proxy in between can make. What
        // an operator can mend is tried again, and then finishes by itself.
        let permanent = matches!(
            reason_of(&status),
            Some(
                Reason::FieldViolations
                    | Reason::DatabaseClaimed
                    | Reason::DatabaseDropped
                    | Reason::DatabaseNotAdoptable
                    | Reason::MigrationNotFound
                    | Reason::MigrationFailed
                    | Reason::ChecksumMismatch
            )
        );
        let retryable = !permanent;
        tracing::warn!(code = ?status.code(), reason = reason.as_str(), message = status.message(), retryable, "the migrator refused a step");
        Self { reason, retryable }
    }
}

/// Runs one step of one company, for the `attempt`th time.
pub(crate) async fn run(
    app: &App,
    step: &Step,
    company: &company::Model,
    attempt: i32,
    limit: Duration,
) -> Result<(), StepFailure> {
    let deadline = Instant::now() + limit;
    match step {
        Step::CreateDatabase => create_database(app, company.id, deadline).await,
        Step::Seed => {
            let request = SeedTenantDatabaseRequest { company_id: company.id.to_string() };
            app.migrator.clone().seed_tenant_database(client::request(request, deadline)).await?;
            Ok(())
        }
        Step::Prepare(hook) => app.hooks.prepare(&Call { hook, company, attempt }).await,
        Step::DropDatabase => drop_database(app, company.id, deadline).await,
        Step::Remove(hook) => app.hooks.remove(&Call { hook, company, attempt }).await,
    }
}

async fn drop_database(app: &App, company: CompanyId, deadline: Instant) -> Result<(), StepFailure> {
    // Written in the company's own transaction: without the row there is no database either.
    let Some(database) = companies::database_of(&app.db, company).await.map_err(Error::from)? else { return Ok(()) };
    let request = DropTenantDatabaseRequest {
        company_id: company.to_string(),
        database_id: database.id.to_string(),
        server: database.server,
    };
    app.migrator.clone().drop_tenant_database(client::request(request, deadline)).await?;
    Ok(())
}

async fn create_database(app: &App, company: CompanyId, deadline: Instant) -> Result<(), StepFailure> {
    let database = companies::database_of(&app.db, company).await.map_err(Error::from)?;
    let database = database.ok_or_else(|| Error::internal(format!("company {company} has no database row")))?;
    let sealed = database.sealed_password.as_deref().unwrap_or_default();
    let request = CreateTenantDatabaseRequest {
        company_id: company.to_string(),
        database_id: database.id.to_string(),
        server: database.server,
        password_verifier: Some(verifier_of(app, database.id, sealed)?),
        adoption: database
            .adopted_name
            .map(|name| Adoption { name, baseline_version: database.baseline_version.unwrap_or_default() }),
    };
    let made = app.migrator.clone().create_tenant_database(client::request(request, deadline)).await?.into_inner();
    companies::note_database(&app.db, database.id, &made.name, &made.role, &made.schema_version, app.now())
        .await
        .map_err(Error::from)?;
    Ok(())
}

/// What a server keeps of a database's sealed password.
pub(crate) fn verifier_of(app: &App, database: DatabaseId, sealed: &[u8]) -> Result<PasswordVerifier, Error> {
    let opened = app.sealer.open(&database_owner(database), sealed)?;
    let password =
        TenantPassword::from_bytes(&opened).ok_or_else(|| Error::internal("a tenant password that is no text"))?;
    Ok(password.verifier()?)
}
