//! The directory over gRPC: the catalog's.

use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use tenantry_api::catalog::v1::resolve_tenant_response::Endpoint as Wire;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::{
    CompanyState, InstalledTenantPlugin, NetworkEndpoint, ResolveTenantRequest, ResolveTenantResponse, TenantLimits,
};
use tenantry_ids::CompanyId;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::{Reason, reason_of};
use tokio::time::{Duration, Instant};

use crate::{Directory, Endpoint, InstalledPlugin, Limits, Placement, ResolveError, TenantState};

/// How long one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the catalog, as a service that may.
pub struct GrpcDirectory {
    client: TenantDirectoryServiceClient<ServiceChannel>,
}

impl GrpcDirectory {
    /// The catalog behind `channel`, which carries this service's identity.
    pub fn new(channel: ServiceChannel) -> Self {
        Self { client: TenantDirectoryServiceClient::new(channel) }
    }
}

#[async_trait]
impl Directory for GrpcDirectory {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        let request =
            client::request(ResolveTenantRequest { company_id: tenant.to_string() }, Instant::now() + ANSWER_TIMEOUT);
        match self.client.clone().resolve_tenant(request).await {
            Ok(answer) => placement(tenant, answer.into_inner()),
            Err(status) if reason_of(&status) == Some(Reason::TenantNotFound) => Err(ResolveError::NotFound),
            Err(status) => Err(ResolveError::unavailable(status)),
        }
    }
}

fn placement(tenant: CompanyId, answer: ResolveTenantResponse) -> Result<Placement, ResolveError> {
    let state = state(answer.state()).ok_or_else(|| malformed("a state that this service does not know"))?;
    if answer.company_id != tenant.to_string() {
        return Err(malformed("another tenant than was asked for"));
    }
    let endpoint = match answer.endpoint {
        Some(endpoint) => endpoint_of(endpoint)?,
        None if state == TenantState::Active => return Err(malformed("an active tenant without an endpoint")),
        None => return Err(ResolveError::NotServed(state)),
    };
    Ok(Placement {
        tenant,
        state,
        access_epoch: answer.access_epoch.unsigned_abs(),
        generation: answer.placement_generation.unsigned_abs(),
        schema_version: answer.schema_version,
        server: answer.server,
        database: answer.database,
        endpoint,
        maintenance_retry: maintenance_retry(answer.maintenance_retry_seconds),
        limits: limits(answer.limits),
        plugins: plugins(answer.plugins),
    })
}

fn malformed(what: &str) -> ResolveError {
    ResolveError::unavailable(format!("the directory answered {what}"))
}

/// When callers are to come back, where somebody has said so.
pub(crate) fn maintenance_retry(seconds: i32) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// 0 is none.
pub(crate) fn limits(wire: Option<TenantLimits>) -> Limits {
    let wire = wire.unwrap_or_default();
    let limit = |number: i32| u32::try_from(number).ok().and_then(NonZeroU32::new);
    Limits {
        requests_per_second: limit(wire.requests_per_second),
        concurrent_requests: limit(wire.concurrent_requests),
        connections: limit(wire.connections),
    }
}

pub(crate) fn plugins(wire: Vec<InstalledTenantPlugin>) -> Arc<[InstalledPlugin]> {
    let installed = wire.into_iter();
    installed.map(|InstalledTenantPlugin { name, schema_version }| InstalledPlugin { name, schema_version }).collect()
}

pub(crate) fn state(state: CompanyState) -> Option<TenantState> {
    match state {
        CompanyState::Unspecified => None,
        CompanyState::Provisioning => Some(TenantState::Provisioning),
        CompanyState::Active => Some(TenantState::Active),
        CompanyState::Suspended => Some(TenantState::Suspended),
        CompanyState::Maintenance => Some(TenantState::Maintenance),
        CompanyState::Failed => Some(TenantState::Failed),
        CompanyState::Deleted => Some(TenantState::Deleted),
        CompanyState::Purged => Some(TenantState::Purged),
    }
}

fn endpoint_of(endpoint: Wire) -> Result<Endpoint, ResolveError> {
    let port = |at: &NetworkEndpoint| u16::try_from(at.port).map_err(|_| malformed("an impossible port"));
    Ok(match endpoint {
        Wire::Postgres(at) => {
            Endpoint::Postgres { port: port(&at)?, host: at.host, user: at.user, password: at.password.into() }
        }
        Wire::Mysql(at) => {
            Endpoint::MySql { port: port(&at)?, host: at.host, user: at.user, password: at.password.into() }
        }
        Wire::Sqlite(at) => Endpoint::Sqlite { path: at.path.into() },
    })
}
