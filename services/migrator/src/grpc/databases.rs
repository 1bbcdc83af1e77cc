use std::sync::Arc;

use tenantry_api::migrator::v1::tenant_database_service_server::TenantDatabaseService;
use tenantry_api::migrator::v1::{
    Adoption, CheckAdoptionRequest, CreateTenantDatabaseRequest, CredentialSlot, DropTenantDatabaseRequest,
    DropTenantPluginRequest, GetTenantDatabaseRequest, InstallTenantPluginRequest, LockTenantCredentialRequest,
    PasswordVerifier, SeedTenantDatabaseRequest, SetTenantCredentialRequest, TenantDatabase, TenantPlugin,
};
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::App;
use crate::app::adoption::{self, ToAdopt};
use crate::app::commands::{self, Command, Order, Target};
use crate::app::credentials::{self, Credential};
use crate::app::databases::{self, NewDatabase};
use crate::app::dropping::{self, Unwanted};
use crate::ident::{Ident, Slot};
use crate::servers::Verifier;
use crate::store::claims::Claim;

/// As long as a version is kept.
const MAX_VERSION_CHARS: usize = 100;
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
        Ok(Response::new(self.convert(claim)?))
    }

    async fn check_adoption(&self, request: Request<CheckAdoptionRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let (server, wanted) = parse_check(call.body)?;
        adoption::check(&self.0, &call.context, &server, &wanted).await?;
        Ok(Response::new(()))
    }

    async fn set_tenant_credential(
        &self,
        request: Request<SetTenantCredentialRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let (credential, verifier) = parse_set(call.body)?;
        let claim = credentials::set(&self.0, credential, verifier).await?;
        Ok(Response::new(self.convert(claim)?))
    }

    async fn lock_tenant_credential(
        &self,
        request: Request<LockTenantCredentialRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let LockTenantCredentialRequest { company_id, slot, generation } = call.body;
        let mut violations = Violations::new();
        let credential = parse_credential(&mut violations, &company_id, slot, generation);
        let claim = credentials::lock(&self.0, violations.finish(credential)?).await?;
        Ok(Response::new(self.convert(claim)?))
    }

    async fn seed_tenant_database(
        &self,
        request: Request<SeedTenantDatabaseRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let claim = databases::seed_database(&self.0, parse_field("company_id", &call.body.company_id)?).await?;
        Ok(Response::new(self.convert(claim)?))
    }

    async fn install_tenant_plugin(
        &self,
        request: Request<InstallTenantPluginRequest>,
    ) -> Result<Response<TenantPlugin>, Status> {
        let call = Call::open(request)?;
        let InstallTenantPluginRequest { company_id, plugin } = call.body;
        let target = Target::Plugin(parse_field("company_id", &company_id)?, plugin.clone());
        let order = Order { target, command: Command::Migrate { version: None }, force: false };
        let report = commands::carry_out(&self.0, &call.context, order).await?;
        let schema_version = report.to.unwrap_or_default();
        Ok(Response::new(TenantPlugin { company_id, plugin, schema_version }))
    }

    async fn drop_tenant_plugin(&self, request: Request<DropTenantPluginRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let target = Target::Plugin(parse_field("company_id", &call.body.company_id)?, call.body.plugin);
        // Its caller was asked whether the data may go.
        let order = Order { target, command: Command::Reset, force: true };
        commands::carry_out(&self.0, &call.context, order).await?;
        Ok(Response::new(()))
    }

    async fn drop_tenant_database(&self, request: Request<DropTenantDatabaseRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        dropping::drop_database(&self.0, parse_unwanted(call.body)?).await?;
        Ok(Response::new(()))
    }

    async fn get_tenant_database(
        &self,
        request: Request<GetTenantDatabaseRequest>,
    ) -> Result<Response<TenantDatabase>, Status> {
        let call = Call::open(request)?;
        let claim = databases::find(&self.0, parse_field("company_id", &call.body.company_id)?).await?;
        Ok(Response::new(self.convert(claim)?))
    }
}

fn parse_creation(body: CreateTenantDatabaseRequest) -> Result<NewDatabase, Error> {
    let mut violations = Violations::new();
    let company = violations.parse("company_id", &body.company_id);
    let database = violations.parse("database_id", &body.database_id);
    violations.check(!body.server.is_empty(), "server", "must name a database server");
    let verifier = parse_verifier(&mut violations, body.password_verifier.unwrap_or_default());
    let to_adopt = body.adoption.map(|adoption| parse_adoption(&mut violations, "adoption", adoption));
    let (company, database) = violations.finish(company.zip(database))?;
    Ok(NewDatabase { company, database, server: body.server, verifier, to_adopt: to_adopt.flatten() })
}

fn parse_check(body: CheckAdoptionRequest) -> Result<(String, ToAdopt), Error> {
    let mut violations = Violations::new();
    let server = violations.text("server", &body.server, MAX_SERVER_CHARS);
    let wanted = parse_adoption(&mut violations, "adoption", body.adoption.unwrap_or_default());
    Ok((server, violations.finish(wanted)?))
}

fn parse_adoption(violations: &mut Violations, field: &str, adoption: Adoption) -> Option<ToAdopt> {
    let name = Ident::new(adoption.name);
    let description = "must be 1 to 63 of a-z, 0-9 and _, starting with a letter";
    violations.check(name.is_ok(), &format!("{field}.name"), description);
    let at = format!("{field}.baseline_version");
    let baseline = violations.optional_text(&at, &adoption.baseline_version, MAX_VERSION_CHARS);
    Some(ToAdopt { name: name.ok()?, baseline: (!baseline.is_empty()).then_some(baseline) })
}

fn parse_set(body: SetTenantCredentialRequest) -> Result<(Credential, Verifier), Error> {
    let mut violations = Violations::new();
    let credential = parse_credential(&mut violations, &body.company_id, body.slot, body.generation);
    let verifier = parse_verifier(&mut violations, body.password_verifier.unwrap_or_default());
    Ok((violations.finish(credential)?, verifier))
}

fn parse_credential(violations: &mut Violations, company: &str, slot: i32, generation: i64) -> Option<Credential> {
    let company = violations.parse("company_id", company);
    let slot = match CredentialSlot::try_from(slot) {
        Ok(CredentialSlot::First) => Some(Slot::First),
        Ok(CredentialSlot::Second) => Some(Slot::Second),
        Ok(CredentialSlot::Unspecified) | Err(_) => None,
    };
    violations.check(slot.is_some(), "slot", "must be one of the two");
    // A database is made at the first.
    violations.check(generation >= 2, "generation", "must be at least 2");
    Some(Credential { company: company?, slot: slot?, generation })
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

impl TenantDatabaseGrpc {
    fn convert(&self, claim: Claim) -> Result<TenantDatabase, Error> {
        let logins = credentials::logins_if_any(&self.0, &claim)?;
        let role = logins.map(|logins| logins.at(claim.slot()).as_str().to_owned()).unwrap_or_default();
        Ok(convert(claim, role))
    }
}

fn convert(claim: Claim, role: String) -> TenantDatabase {
    TenantDatabase {
        database_id: claim.database_id.to_string(),
        company_id: claim.company_id.to_string(),
        server: claim.server,
        name: claim.name,
        role,
        schema_version: claim.schema_version.unwrap_or_default(),
        seed_time: claim.seeded_at.map(timestamp),
    }
}
