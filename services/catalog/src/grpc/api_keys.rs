use std::sync::Arc;

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use tenantry_api::catalog::v1::api_key_service_server::ApiKeyService;
use tenantry_api::catalog::v1::{
    ApiKey, CreateApiKeyRequest, CreateApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
    RevokeApiKeyResponse,
};
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Violations};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::{App, api_keys};
use crate::store::entities::api_key;

/// The longest name, in characters.
const MAX_NAME_CHARS: usize = 100;

pub(crate) struct ApiKeyGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl ApiKeyService for ApiKeyGrpc {
    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let Call { context, body, .. } = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &body.company_id);
        let name = violations.text("name", &body.name, MAX_NAME_CHARS);
        let scopes = scopes(&mut violations, body.scopes, &self.0.settings.tenant_services.delegable());
        let expires_at = expiry(&mut violations, body.expire_time, self.0.now());
        let company = violations.finish(company)?;
        let new = api_keys::NewKey { company, name, scopes, expires_at };
        let (row, secret) = api_keys::create(&self.0, &context, new).await?;
        Ok(Response::new(CreateApiKeyResponse { api_key: Some(key(row)), secret: secret.expose().to_owned() }))
    }

    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &body.company_id);
        let page = Page::parse(&mut violations, api_keys::LIST, body.page_size, &body.page_token);
        let (rows, next_page_token) = api_keys::list(&self.0, violations.finish(company)?, page).await?;
        Ok(Response::new(ListApiKeysResponse { api_keys: rows.into_iter().map(key).collect(), next_page_token }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &call.body.company_id);
        let id = violations.parse("api_key_id", &call.body.api_key_id);
        let (company, id) = violations.finish(company.zip(id))?;
        api_keys::revoke(&self.0, &call.context, company, id).await?;
        Ok(Response::new(RevokeApiKeyResponse {}))
    }
}

fn scopes(violations: &mut Violations, mut scopes: Vec<String>, delegable: &[&str]) -> Vec<String> {
    scopes.sort();
    scopes.dedup();
    let known = !scopes.is_empty() && scopes.iter().all(|scope| delegable.contains(&scope.as_str()));
    violations.check(known, "scopes", &format!("must be one or more of {}", delegable.join(", ")));
    scopes
}

fn expiry(violations: &mut Violations, time: Option<Timestamp>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let time = time?;
    // To the microsecond, as every engine keeps it.
    let micros = time.nanos.clamp(0, 999_999_999).unsigned_abs() / 1_000 * 1_000;
    let end = DateTime::from_timestamp(time.seconds, micros).filter(|end| *end > now && end.timestamp() < YEAR_9999);
    violations.check(end.is_some(), "expire_time", "must be in the future, or not set");
    end
}

/// What every engine keeps.
const YEAR_9999: i64 = 253_370_764_800;

fn key(row: api_key::Model) -> ApiKey {
    ApiKey {
        id: row.id.to_string(),
        name: row.name,
        scopes: row.scopes.split(' ').map(str::to_owned).collect(),
        create_user_id: row.created_by.to_string(),
        create_time: Some(timestamp(row.created_at)),
        expire_time: row.expires_at.map(timestamp),
        last_use_time: row.last_used_at.map(timestamp),
    }
}
