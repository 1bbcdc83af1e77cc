use std::sync::Arc;

use tenantry_api::catalog::v1::tenant_directory_service_server::TenantDirectoryService;
use tenantry_api::catalog::v1::{ResolveTenantRequest, ResolveTenantResponse};
use tenantry_rpc::{Call, parse_field};
use tonic::{Request, Response, Status};

use crate::app::{App, directory};

pub(crate) struct DirectoryGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TenantDirectoryService for DirectoryGrpc {
    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        let call = Call::open(request)?;
        let tenant = parse_field("company_id", &call.body.company_id)?;
        Ok(Response::new(directory::resolve(&self.0, &call.context, tenant).await?))
    }
}
