//! Where tenants live, for the data plane.

use std::collections::HashSet;

use tenantry_api::catalog::v1::resolve_tenant_response::Endpoint;
use tenantry_api::catalog::v1::{CompanyState, FileEndpoint, NetworkEndpoint, ResolveTenantResponse};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error, Reason};
use url::Url;

use super::App;
use super::companies::database_owner;
use crate::grpc::convert::{company_state, installed_plugins, limits_shown};
use crate::secrets::TenantPassword;
use crate::store::entities::{company_database, database_server};
use crate::store::{companies, plans, plugins, servers};

/// One tenant's placement, with its own credential once there is a database.
pub(crate) async fn resolve(app: &App, context: &Context, id: CompanyId) -> Result<ResolveTenantResponse, Error> {
    let company = companies::find(&app.db, id)
        .await?
        .ok_or_else(|| Error::new(Reason::TenantNotFound, "there is no such tenant"))?;
    tracing::info!(audit = "tenant.resolved", tenant = %id, caller = context.caller().subject(), "a placement was handed out");
    let mut answer = ResolveTenantResponse {
        company_id: id.to_string(),
        state: company_state(company.state).into(),
        access_epoch: company.access_epoch,
        maintenance_retry_seconds: company.maintenance_retry_s.unwrap_or_default(),
        limits: limits_shown(plans::effective(&app.db, &company).await?),
        plugins: installed_plugins(plugins::installed(&app.db, &HashSet::from([id])).await?.remove(&id)),
        ..Default::default()
    };
    let Some(database) = companies::database_of(&app.db, id).await? else { return Ok(answer) };
    answer.placement_generation = database.generation;
    answer.server.clone_from(&database.server);
    let reachable = answer.state() == CompanyState::Active || answer.state() == CompanyState::Maintenance;
    if let (true, Some(version)) = (reachable, &database.schema_version) {
        let server = servers::find(&app.db, &database.server)
            .await?
            .ok_or_else(|| Error::internal("a database is on an unknown server"))?;
        answer.schema_version.clone_from(version);
        answer.database = database.name.clone().unwrap_or_default();
        answer.endpoint = Some(endpoint(app, &server, &database)?);
    }
    Ok(answer)
}

fn endpoint(app: &App, server: &database_server::Model, database: &company_database::Model) -> Result<Endpoint, Error> {
    let bad = |problem: &str| Error::internal(format!("database server {}: {problem}", server.name));
    if server.engine == "sqlite" {
        let name = database.name.as_deref().ok_or_else(|| bad("a database without a name"))?;
        let path = format!("{}/{name}.db", server.endpoint.trim_start_matches("sqlite:"));
        return Ok(Endpoint::Sqlite(FileEndpoint { path }));
    }
    let url = Url::parse(&server.endpoint).map_err(|error| bad(&error.to_string()))?;
    let sealed = database.sealed_password.as_deref().ok_or_else(|| bad("a database without a credential"))?;
    let opened = app.sealer.open(&database_owner(database.id), sealed)?;
    let password = TenantPassword::from_bytes(&opened).ok_or_else(|| bad("a credential that is no text"))?;
    let network = |default_port| {
        Ok::<_, Error>(NetworkEndpoint {
            host: url.host_str().ok_or_else(|| bad("no host"))?.to_owned(),
            port: i32::from(url.port().unwrap_or(default_port)),
            user: database.role.clone().unwrap_or_default(),
            password: password.expose().to_owned(),
        })
    };
    match server.engine.as_str() {
        "postgres" => Ok(Endpoint::Postgres(network(5432)?)),
        "mysql" => Ok(Endpoint::Mysql(network(3306)?)),
        engine => Err(bad(&format!("an unknown engine {engine:?}"))),
    }
}
