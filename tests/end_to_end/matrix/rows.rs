//! A row for every RPC: a body that succeeds with each of its rightful callers. Made anew for every call that is to
//! succeed, since most can succeed only once.

use serde_json::{Value, json};
use tenantry_rpc::Reason;
use uuid::Uuid;

use super::world::{PASSWORD, World, fresh_email};

/// What the user of another company gets, where no field of the request names the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The same refusal as for what has never been.
    Refused(Reason),
    /// An answer from their own company, with nothing of the first one's in it.
    OwnData,
}

/// The RPCs that end the tokens of those who make them: everybody signs in again afterwards.
pub(crate) const ENDS_TOKENS: &[&str] = &[
    "tenantry.catalog.v1.CompanyService/SignOutEveryone",
    "tenantry.catalog.v1.TokenService/ChangePassword",
    "tenantry.catalog.v1.TokenService/SignOutEverywhere",
];

/// Two functions from one list, so that it is complete by the same token: `names` and `body`.
macro_rules! rows {
    ($world:ident: $($rpc:literal $([$elsewhere:expr])? => $body:expr,)+) => {
        /// The RPCs that have a row.
        pub(crate) const NAMES: &[&str] = &[$($rpc),+];

        /// A valid body for the RPC; `None` where it has no row.
        pub(crate) async fn body($world: &World, rpc: &str) -> anyhow::Result<Option<Value>> {
            Ok(Some(match rpc {
                $($rpc => $body,)+
                _ => return Ok(None),
            }))
        }

        /// What the row says of other companies' users.
        pub(crate) fn elsewhere(rpc: &str) -> Option<Elsewhere> {
            match rpc {
                $($($rpc => Some($elsewhere),)?)+
                _ => None,
            }
        }
    };
}

rows! { world:
    "tenantry.catalog.v1.ApiKeyService/CreateApiKey" => json!({
        "company_id": world.one.id,
        "name": "a machine",
        "scopes": ["crm.people.read"],
    }),
    "tenantry.catalog.v1.ApiKeyService/ListApiKeys" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.ApiKeyService/RevokeApiKey" => json!({
        "company_id": world.one.id,
        "api_key_id": world.api_key().await?["api_key"]["id"],
    }),
    "tenantry.catalog.v1.CompanyService/RegisterCompany" => json!({
        "name": "Registered",
        "owner_email": fresh_email(),
        "owner_password": PASSWORD,
        "request_id": fresh_id(),
    }),
    "tenantry.catalog.v1.CompanyService/CreateCompany" => json!({
        "name": "Created",
        "owner_email": fresh_email(),
        "owner_password": PASSWORD,
        "request_id": fresh_id(),
    }),
    "tenantry.catalog.v1.CompanyService/GetCompany" => json!({ "id": world.one.id }),
    "tenantry.catalog.v1.CompanyService/ListCompanies" => json!({ "page_size": 10 }),
    "tenantry.catalog.v1.CompanyService/UpdateCompany" => json!({
        "company": { "id": world.one.id, "labels": { "touched": fresh_id() } },
    }),
    "tenantry.catalog.v1.CompanyService/SuspendCompany" => json!({ "id": world.spare().await?, "reason": "unpaid" }),
    "tenantry.catalog.v1.CompanyService/ResumeCompany" => json!({ "id": world.suspended().await? }),
    "tenantry.catalog.v1.CompanyService/EnterMaintenance" => json!({ "id": world.spare().await?, "reason": "a move" }),
    "tenantry.catalog.v1.CompanyService/LeaveMaintenance" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/DeleteCompany" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/UndeleteCompany" => json!({ "id": world.deleted().await? }),
    "tenantry.catalog.v1.CompanyService/PurgeCompany" => json!({ "id": world.deleted().await?, "force": true }),
    "tenantry.catalog.v1.CompanyService/RetryProvisioning" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/RotateDatabaseCredential" => json!({ "id": world.one.id }),
    "tenantry.catalog.v1.CompanyService/SignOutEveryone" => json!({ "id": world.at_its_first_epoch().await? }),
    "tenantry.catalog.v1.KeyService/GetJwks" => json!({}),
    "tenantry.catalog.v1.KeyService/ListSigningKeys" => json!({}),
    "tenantry.catalog.v1.KeyService/RotateSigningKey" => json!({}),
    "tenantry.catalog.v1.KeyService/RevokeSigningKey" => json!({ "key_id": world.next_key().await? }),
    "tenantry.catalog.v1.MembershipService/InviteMember" => json!({
        "company_id": world.one.id,
        "email": fresh_email(),
        "role": "viewer",
    }),
    "tenantry.catalog.v1.MembershipService/AcceptInvitation" => json!({
        "secret": world.invitation().await?,
        "password": PASSWORD,
    }),
    "tenantry.catalog.v1.MembershipService/ListMembers" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.MembershipService/RemoveMember" => json!({
        "company_id": world.one.id,
        "user_id": world.member().await?,
    }),
    "tenantry.catalog.v1.OperatorService/IssueOperatorToken" => json!({
        "credential": world.sandbox.operator_credential()?,
    }),
    "tenantry.catalog.v1.TenantDirectoryService/ResolveTenant" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.TenantDirectoryService/WatchTenants" => json!({}),
    "tenantry.catalog.v1.TenantDirectoryService/ListTenants" => json!({ "page_size": 10 }),
    "tenantry.catalog.v1.TenantDirectoryService/ReportSchemaVersions" => json!({
        "reports": [{
            "company_id": world.one.id,
            "database_id": fresh_id(),
            "schema_version": "m20260101_000700_audit_entries",
            "sequence": 1,
        }],
    }),
    "tenantry.catalog.v1.TokenService/Login" => json!({ "email": world.one.owner_email, "password": PASSWORD }),
    "tenantry.catalog.v1.TokenService/RefreshToken" => json!({ "refresh_token": world.refresh_token().await? }),
    "tenantry.catalog.v1.TokenService/RevokeToken" => json!({ "token": world.refresh_token().await? }),
    "tenantry.catalog.v1.TokenService/SignOutEverywhere" [Elsewhere::Refused(Reason::CallerNotAllowed)] => json!({
        "user_id": world.viewer_of_unrevoked().await?,
    }),
    "tenantry.catalog.v1.TokenService/ExchangeApiKey" => json!({ "secret": world.api_key().await?["secret"] }),
    "tenantry.catalog.v1.TokenService/ExchangeToken" [Elsewhere::Refused(Reason::CallerNotAllowed)] => json!({
        "company_id": world.one.id,
        "user_id": world.viewer()?,
        "reason": "a ticket",
    }),
    // To the same one, so that everybody can sign in again.
    "tenantry.catalog.v1.TokenService/ChangePassword" [Elsewhere::OwnData] => json!({
        "current_password": world.password_of_unrevoked().await?,
        "new_password": PASSWORD,
    }),

    "tenantry.crm.v1.PersonService/CreatePerson" [Elsewhere::OwnData] => json!({
        "person": { "name": "Ada", "surname": "Lovelace", "labels": { "tier": "gold" } },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.PersonService/GetPerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "id": world.person().await?["id"],
    }),
    "tenantry.crm.v1.PersonService/ListPeople" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.PersonService/UpdatePerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "person": { "id": world.person().await?["id"], "name": "Augusta" },
        "update_mask": "name",
    }),
    "tenantry.crm.v1.PersonService/DeletePerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "id": world.person().await?["id"],
    }),

    "tenantry.migrator.v1.DriftService/CheckDrift" => json!({ "company_id": world.one.id }),
    "tenantry.migrator.v1.TenantDatabaseService/CreateTenantDatabase" => json!({
        "company_id": fresh_id(),
        "database_id": fresh_id(),
        "server": "local",
        "password_verifier": verifier(),
    }),
    "tenantry.migrator.v1.TenantDatabaseService/SetTenantCredential" => json!({
        "company_id": world.one.id,
        "password_verifier": verifier(),
        "slot": "CREDENTIAL_SLOT_SECOND",
        "generation": 2,
    }),
    "tenantry.migrator.v1.TenantDatabaseService/LockTenantCredential" => json!({
        "company_id": world.one.id,
        "slot": "CREDENTIAL_SLOT_SECOND",
        "generation": 2,
    }),
    "tenantry.migrator.v1.TenantDatabaseService/SeedTenantDatabase" => json!({ "company_id": world.one.id }),
    "tenantry.migrator.v1.TenantDatabaseService/DropTenantDatabase" => json!({
        "company_id": fresh_id(),
        "database_id": fresh_id(),
        "server": "local",
    }),
    "tenantry.migrator.v1.TenantDatabaseService/GetTenantDatabase" => json!({ "company_id": world.one.id }),

    "tenantry.migrator.v1.MigrationService/Migrate" => json!({ "target": company(&world.one.id) }),
    "tenantry.migrator.v1.MigrationService/Rollback" => json!({ "target": company(&world.spare().await?), "force": true }),
    "tenantry.migrator.v1.MigrationService/Reset" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Refresh" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Fresh" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Seed" => json!({ "target": company(&world.one.id) }),
    "tenantry.migrator.v1.MigrationService/GetMigrationStatus" => json!({ "target": { "central": true } }),
    "tenantry.migrator.v1.MigrationService/PlanMigration" => json!({ "target": company(&world.one.id) }),

    "tenantry.migrator.v1.RolloutService/CreateRollout" => json!({
        "targets": { "company_ids": [world.one.id] },
        "request_id": fresh_id(),
    }),
    "tenantry.migrator.v1.RolloutService/GetRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/ListRollouts" => json!({ "page_size": 10 }),
    "tenantry.migrator.v1.RolloutService/ListRolloutTargets" => json!({ "rollout_id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/WatchRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/PauseRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/ResumeRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/CancelRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/RetryFailedTargets" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/RollbackRollout" => json!({ "id": world.cancelled_rollout().await? }),
    "tenantry.migrator.v1.RolloutService/GetFleetStatus" => json!({}),
}

/// What SQLite has nothing for: whoever is let in gets this refusal, after everything that access is decided by.
pub(crate) fn past_access(rpc: &str) -> Option<Reason> {
    let (_, name) = rpc.split_once('/')?;
    match name {
        "RotateDatabaseCredential" | "SetTenantCredential" | "LockTenantCredential" => {
            Some(Reason::NoDatabaseCredential)
        }
        _ => None,
    }
}

fn verifier() -> Value {
    json!({
        "scram_sha_256": "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy",
        "mysql_native": format!("*{}", "0F".repeat(20)),
    })
}

fn company(id: &str) -> Value {
    json!({ "company_id": id })
}

fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}
