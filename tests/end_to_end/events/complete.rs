//! No RPC of the catalog changes anything without an event, and none that only reads writes one.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::{Value, json};
use tenantry_api::options::v1::CallerKind;

use crate::matrix::{ENDS_TOKENS, Rpc, World, body, rpcs};

/// What an RPC of the catalog leaves in the log.
enum Leaves {
    /// An event of this kind.
    Event(&'static str),
    /// Nothing: it only reads, continues somebody's own session, or is a machine at work, whose key says when it was.
    Nothing,
    /// SQLite has nothing for it; the replay sees its event on the other engines.
    Elsewhere,
}

/// Each RPC of the catalog. One that is missing here fails the test.
fn leaves(rpc: &str) -> Option<Leaves> {
    use Leaves::{Elsewhere, Event, Nothing};
    Some(match rpc.strip_prefix("tenantry.catalog.v1.")? {
        "ApiKeyService/CreateApiKey" => Event("api_key.created"),
        "ApiKeyService/RevokeApiKey" => Event("api_key.revoked"),
        "CompanyService/RegisterCompany" | "CompanyService/CreateCompany" => Event("company.created"),
        "CompanyService/UpdateCompany" => Event("company.updated"),
        "CompanyService/SuspendCompany" => Event("company.suspended"),
        "CompanyService/ResumeCompany" => Event("company.resumed"),
        "CompanyService/EnterMaintenance" => Event("company.maintenance_entered"),
        "CompanyService/LeaveMaintenance" => Event("company.maintenance_left"),
        "CompanyService/DeleteCompany" => Event("company.deleted"),
        "CompanyService/UndeleteCompany" => Event("company.undeleted"),
        "CompanyService/PurgeCompany" => Event("company.purge_begun"),
        "CompanyService/RetryProvisioning" => Event("company.provisioning_retried"),
        "CompanyService/RotateDatabaseCredential" => Elsewhere,
        "CompanyService/SignOutEveryone" => Event("company.signed_out"),
        "DatabaseServerService/RegisterDatabaseServer" => Event("server.registered"),
        "DatabaseServerService/UpdateDatabaseServer" => Event("server.updated"),
        "IssuerService/CreateIssuer" => Event("issuer.registered"),
        "IssuerService/UpdateIssuer" => Event("issuer.updated"),
        "IssuerService/DeleteIssuer" => Event("issuer.removed"),
        "IssuerService/CreateIssuerCompany" => Event("issuer.company_mapped"),
        "IssuerService/DeleteIssuerCompany" => Event("issuer.company_unmapped"),
        "IssuerService/CreateIssuerUser" => Event("issuer.user_linked"),
        "IssuerService/DeleteIssuerUser" => Event("issuer.user_unlinked"),
        "KeyService/RotateSigningKey" => Event("signing_key.hastened"),
        "KeyService/RevokeSigningKey" => Event("signing_key.revoked"),
        "MembershipService/InviteMember" => Event("member.invited"),
        "MembershipService/AcceptInvitation" => Event("member.joined"),
        "MembershipService/UpdateMember" => Event("member.role_changed"),
        "MembershipService/LeaveCompany" => Elsewhere,
        "MembershipService/RemoveMember" => Event("member.removed"),
        "PasswordService/IssuePasswordReset" => Event("user.password_reset_issued"),
        "PasswordService/ResetPassword" => Event("user.password_reset"),
        "OperatorService/IssueOperatorToken" => Event("operator.signed_in"),
        "PluginService/InstallPlugin" => Event("plugin.installation_begun"),
        "PluginService/UninstallPlugin" => Event("plugin.uninstalled"),
        "PlanService/UpdatePlan" => Event("plan.created"),
        "PlanService/DeletePlan" => Event("plan.deleted"),
        "TenantDirectoryService/ReportSchemaVersions" => Event("company.schema_changed"),
        "TokenService/ChangePassword" => Event("user.password_changed"),
        "TokenService/ExchangeExternalToken" | "TokenService/Login" => Event("user.signed_in"),
        "TokenService/ExchangeToken" => Event("user.impersonated"),
        "TokenService/RevokeToken" => Event("session.ended"),
        "TokenService/SignOutEverywhere" => Event("user.signed_out"),
        "ApiKeyService/ListApiKeys"
        | "CompanyService/GetCompany"
        | "CompanyService/ListCompanies"
        | "DatabaseServerService/GetDatabaseServer"
        | "DatabaseServerService/ListDatabaseServers"
        | "EventService/ListEvents"
        | "EventService/WatchEvents"
        | "IssuerService/GetIssuer"
        | "IssuerService/ListIssuers"
        | "IssuerService/ListIssuerCompanies"
        | "IssuerService/ListIssuerUsers"
        | "KeyService/GetJwks"
        | "KeyService/ListSigningKeys"
        | "MembershipService/ListMembers"
        | "PlanService/GetPlan"
        | "PluginService/ListInstalledPlugins"
        | "PluginService/ListPlugins"
        | "TenantDirectoryService/ReportPlugins"
        | "PlanService/ListPlans"
        | "TenantDirectoryService/ListTenants"
        | "TenantDirectoryService/ResolveTenant"
        | "TenantDirectoryService/WatchTenants"
        | "TokenService/ExchangeApiKey"
        | "TokenService/RefreshToken" => Nothing,
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rpc_that_changes_something_writes_its_event() -> anyhow::Result<()> {
    let mut world = World::start().await?;
    let mut wrong = Vec::new();
    for rpc in rpcs()?.into_iter().filter(|rpc| rpc.server == "catalog") {
        let Some(expected) = leaves(&rpc.name) else {
            wrong.push(format!("say in {} what {} leaves in the event log", file!(), rpc.name));
            continue;
        };
        if matches!(expected, Leaves::Elsewhere) {
            continue;
        }
        let (body, token) = (effective_body(&world, &rpc.name).await?, rightful(&world, &rpc)?);
        let before = events(&world).await?;
        world.wire.ask(&rpc.name, token.as_deref(), body).await?;
        let after = events(&world).await?;
        let new: Vec<_> = after.difference(&before).map(|(_, kind)| kind.as_str()).collect();
        match expected {
            Leaves::Event(kind) if !new.contains(&kind) => wrong.push(format!("{} left {new:?}", rpc.name)),
            Leaves::Nothing if !new.is_empty() => wrong.push(format!("{} only reads, and left {new:?}", rpc.name)),
            Leaves::Event(_) | Leaves::Nothing | Leaves::Elsewhere => {}
        }
        if ENDS_TOKENS.contains(&rpc.name.as_str()) {
            world.sign_in_again().await?;
        }
    }
    world.sandbox.stop().await?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// A body with which the RPC has something to do: those of the matrix need only succeed.
async fn effective_body(world: &World, rpc: &str) -> anyhow::Result<Value> {
    let (_, name) = rpc.split_once('/').context("a name")?;
    match name {
        "LeaveMaintenance" => Ok(json!({ "id": world.in_maintenance().await? })),
        "RetryProvisioning" => {
            let id = world.spare().await?;
            world
                .sandbox
                .run_in_central(&format!("UPDATE companies SET state = 'failed' WHERE id = {}", key(&id)))
                .await?;
            Ok(json!({ "id": id }))
        }
        "ReportSchemaVersions" => {
            let (company, version) = (&world.one.id, "m99990101_000000_later");
            let sql = format!("SELECT LOWER(HEX(id)) FROM company_databases WHERE company_id = {}", key(company));
            let database = world.sandbox.ask_central(&sql).await?.pop().context("a database")?;
            let database = uuid::Uuid::parse_str(&database)?.to_string();
            let report = json!({
                "company_id": company, "database_id": database, "schema_version": version, "sequence": i64::MAX.to_string(),
            });
            Ok(json!({ "reports": [report] }))
        }
        _ => body(world, rpc).await?.context("a row of the matrix"),
    }
}

/// An id as SQLite keeps it.
fn key(id: &str) -> String {
    format!("X'{}'", id.replace('-', ""))
}

/// The token of somebody who may.
fn rightful(world: &World, rpc: &Rpc) -> anyhow::Result<Option<String>> {
    let rule = &rpc.rule;
    Ok(if rule.admits(CallerKind::Anonymous) {
        None
    } else if rule.admits(CallerKind::Operator) {
        Some(world.operator.token.clone())
    } else if rule.admits(CallerKind::User) {
        Some(world.one.owner()?.to_owned())
    } else {
        let service = rule.services.first().context("a service")?;
        Some(world.service_token(service, &rpc.server)?)
    })
}

/// Sequence and kind of every event.
async fn events(world: &World) -> anyhow::Result<BTreeSet<(String, String)>> {
    let sequences = "SELECT CAST(sequence AS TEXT) FROM events ORDER BY sequence";
    let kinds = "SELECT kind FROM events ORDER BY sequence";
    let (sequences, kinds) = (world.sandbox.ask_central(sequences).await?, world.sandbox.ask_central(kinds).await?);
    Ok(sequences.into_iter().zip(kinds).collect())
}
