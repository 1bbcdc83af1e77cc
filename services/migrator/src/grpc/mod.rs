//! The gRPC face: each handler parses, calls a use case, and converts.

mod drift;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use tenantry_api::migrator::v1::tenant_database_service_server::TenantDatabaseService;
use tenantry_api::migrator::v1::{
    CreateTenantDatabaseRequest, DropTenantDatabaseRequest, GetTenantDatabaseRequest, PasswordVerifier,
    SeedTenantDatabaseRequest, TenantDatabase,
};
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::app::databases::{self, NewDatabase};
use crate::app::dropping::{self, Unwanted};
use crate::servers::Verifier;
use crate::store::claims::Claim;

pub(crate) use drift::DriftGrpc;
/// As long as a server's name is kept.
const MAX_SERVER_CHARS: usize = 63;

pub(crate) struct TenantDatabaseGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TenantDatabaseService for TenantDatabaseGrpc {
    async fn create_tenant_database(
        &self,
        request: Request<CreateTenantDatabaseRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let claim = databases::create(&self.0, &call.context, parse_creation(call.body)?).await?;
        Ok(Response::new(convert(claim)))
    }

    async fn seed_tenant_database(
        &self,
        request: Request<SeedTenantDatabaseRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let claim = databases::seed_database(&self.0, parse_field("company_id", &call.body.company_id)?).await?;
        Ok(Response::new(convert(claim)))
    }

    async fn drop_tenant_database(&self, request: Request<DropTenantDatabaseRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        dropping::drop_database(&self.0, &call.context, parse_unwanted(call.body)?).await?;
        Ok(Response::new(()))
    }

    async fn get_tenant_database(
        &self,
        request: Request<GetTenantDatabaseRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let claim = databases::find(&self.0, parse_field("company_id", &call.body.company_id)?).await?;
        Ok(Response::new(convert(claim)))
    }
}

fn parse_creation(body: CreateTenantDatabaseRequest) -> Result<NewDatabase, Error> {
    let mut violations = Violations::new();
    let company = violations.parse("company_id", &body.company_id);
    let database = violations.parse("database_id", &body.database_id);
    violations.check(!body.server.is_empty(), "server", "must name a database server");
    let verifier = parse_verifier(&mut violations, body.password_verifier.unwrap_or_default());
    let (company, database) = violations.finish(company.zip(database))?;
    Ok(NewDatabase { company, database, server: body.server, verifier })
}

fn parse_unwanted(body: DropTenantDatabaseRequest) -> Result<Unwanted, Error> {
    let mut violations = Violations::new();
    let company = violations.parse("company_id", &body.company_id);
    let database = violations.parse("database_id", &body.database_id);
    let server = violations.text("server", &body.server, MAX_SERVER_CHARS);
    let (company, database) = violations.finish(company.zip(database))?;
    Ok(Unwanted { company, database, server })
}

/// Verifiers stand in DDL text between quotes: only the characters of their own
/// forms are let through.
fn parse_verifier(violations: &mut Violations, verifier: PasswordVerifier) -> Verifier {
    let PasswordVerifier { scram_sha_256, mysql_native } = verifier;
    let is_scram = scram_sha_256.starts_with("SCRAM-SHA-256$")
        && scram_sha_256.len() <= 256
        && scram_sha_256.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-$:+/=".contains(&byte));
    let is_native = mysql_native
        .strip_prefix('*')
        .is_some_and(|hex| hex.len() == 40 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    violations.check(is_scram, "password_verifier.scram_sha_256", "must be a SCRAM-SHA-256 verifier (RFC 5803)");
    violations.check(is_native, "password_verifier.mysql_native", "must be '*' and 40 hex digits");
    Verifier { scram_sha_256, mysql_native }
}

fn convert(claim: Claim) -> TenantDatabase {
    TenantDatabase {
        database_id: claim.database_id.to_string(),
        company_id: claim.company_id.to_string(),
        server: claim.server,
        name: claim.name,
        role: claim.role.unwrap_or_default(),
        schema_version: claim.schema_version.unwrap_or_default(),
        seed_time: claim.seeded_at.map(timestamp),
    }
}

fn timestamp(at: DateTime<Utc>) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.timestamp(), nanos: at.timestamp_subsec_nanos().cast_signed() }
}
