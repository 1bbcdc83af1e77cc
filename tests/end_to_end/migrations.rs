//! Commands on one database.

use tenantry_api::catalog::v1::{CreateCompanyRequest, EnterMaintenanceRequest, LeaveMaintenanceRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{
    DatabaseTarget, FreshRequest, GetMigrationStatusRequest, MigrateRequest, MigrationDirection, MigrationStatus,
    PlanMigrationRequest, RefreshRequest, ResetRequest, RollbackRequest, RollbackScope, SeedRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::{Clients, Sandbox};
use tonic_types::StatusExt;

use crate::support::{per_engine, reason};

/// The newest tenant migration and the one before it.
pub(crate) const HEAD: &str = "m20260101_001500_person_tokens";
pub(crate) const BEFORE: &str = "m20260101_001400_people_order";
/// Older than what crm works with.
const TOO_OLD: &str = "m20260101_001300_ticket_lists";

per_engine!(
    a_rollback_and_a_migration_are_exact_and_seen_by_crm,
    a_plan_is_the_exact_sql_and_changes_nothing,
    emptying_a_database_needs_maintenance_and_leaves_a_whole_one,
    wrong_orders_are_refused_with_what_to_do,
    the_central_database_is_never_emptied_while_it_has_companies,
    a_database_that_is_gone_has_a_reason_of_its_own; postgres_18
);

pub(crate) fn company(id: &str) -> Option<DatabaseTarget> {
    Some(DatabaseTarget { database: Some(Database::CompanyId(id.to_owned())), ..Default::default() })
}

fn central() -> Option<DatabaseTarget> {
    Some(DatabaseTarget { database: Some(Database::Central(true)), ..Default::default() })
}

async fn status(
    sandbox: &Sandbox,
    operator: &Operator,
    target: Option<DatabaseTarget>,
) -> anyhow::Result<MigrationStatus> {
    let request = operator.request(GetMigrationStatusRequest { target });
    Ok(sandbox.migrations()?.get_migration_status(request).await?.into_inner())
}

async fn a_rollback_and_a_migration_are_exact_and_seen_by_crm(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Back").await?, Operator::of(sandbox).await?);
    let target = company(&owner.company.id);
    let mut migrations = sandbox.migrations()?;
    let before = status(sandbox, &operator, target.clone()).await?;
    assert!(before.current && before.pending.is_empty(), "{before:?}");
    assert_eq!(before.version, HEAD);

    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: target.clone(), scope, force: false };
    let report = migrations.rollback(operator.request(back)).await?.into_inner();
    assert_eq!((report.from_version.as_str(), report.to_version.as_str()), (HEAD, BEFORE));
    assert_eq!(report.changes.len(), 1);
    assert_eq!(report.changes[0].direction(), MigrationDirection::Down);
    let after = status(sandbox, &operator, target.clone()).await?;
    assert_eq!(after.pending, [HEAD]);
    assert_eq!((after.runs[0].command.as_str(), after.runs[0].state.as_str()), ("rollback", "done"));
    assert_eq!(after.runs[0].id, report.run_id);

    // The catalog hears of it, and crm works with what is one older.
    let fresh = Owner::of_new_company(sandbox, "Forward").await?;
    wait_for_version(sandbox, &operator, &owner.company.id, BEFORE).await?;
    sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?;
    // With what is older still it says so, instead of failing on a column that is not there.
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: target.clone(), scope, force: false };
    migrations.rollback(operator.request(back)).await?;
    wait_for_version(sandbox, &operator, &owner.company.id, TOO_OLD).await?;
    let list = owner.request(ListPeopleRequest::default());
    assert_eq!(reason(sandbox.people()?.list_people(list).await), Some(Reason::SchemaTooOld));
    // Nobody else notices.
    sandbox.people()?.list_people(fresh.request(ListPeopleRequest::default())).await?;

    let forward = MigrateRequest { target: target.clone(), version: String::new() };
    let report = migrations.migrate(operator.request(forward.clone())).await?.into_inner();
    assert_eq!((report.from_version.as_str(), report.to_version.as_str()), (TOO_OLD, HEAD));
    assert!(migrations.migrate(operator.request(forward)).await?.into_inner().changes.is_empty(), "nothing to do");
    wait_for_version(sandbox, &operator, &owner.company.id, HEAD).await?;
    // The tenant's role may work with the tables that came back.
    let person = Person { name: "Ada".into(), ..Default::default() };
    let create = CreatePersonRequest { person: Some(person), ..Default::default() };
    within_seconds(async || {
        sandbox.people()?.create_person(owner.request(create.clone())).await.map(drop).map_err(Into::into)
    })
    .await
}

/// Placements are remembered for a while.
async fn within_seconds(attempt: impl AsyncFn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        match attempt().await {
            Err(error) if std::time::Instant::now() < until => {
                let _ = error;
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
            done => return done,
        }
    }
}

pub(crate) async fn wait_for_version(
    sandbox: &Sandbox,
    operator: &Operator,
    id: &str,
    version: &str,
) -> anyhow::Result<()> {
    within_seconds(async || {
        let request = tenantry_api::catalog::v1::GetCompanyRequest { id: id.to_owned(), ..Default::default() };
        let company = sandbox.companies()?.get_company(operator.request(request)).await?.into_inner();
        anyhow::ensure!(company.schema_version == version, "the catalog has {}", company.schema_version);
        Ok(())
    })
    .await
}

async fn a_plan_is_the_exact_sql_and_changes_nothing(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Plan").await?, Operator::of(sandbox).await?);
    let target = company(&owner.company.id);
    let mut migrations = sandbox.migrations()?;
    let back = PlanMigrationRequest {
        target: target.clone(),
        rollback: Some(RollbackScope { scope: Some(Scope::ToVersion(BEFORE.into())) }),
        ..Default::default()
    };
    let plan = migrations.plan_migration(operator.request(back.clone())).await?.into_inner();
    assert_eq!(plan.steps.len(), 1);
    assert!(plan.steps[0].statements.iter().any(|sql| sql.contains("DROP TABLE")), "{plan:?}");

    let dry = PlanMigrationRequest { dry_run: true, ..back };
    let tried = migrations.plan_migration(operator.request(dry)).await;
    if sandbox.on_server().is_some_and(|server| server.admin_url().starts_with("mysql")) {
        assert_eq!(reason(tried), Some(Reason::DryRunUnsupported));
    } else {
        assert!(tried?.into_inner().steps[0].tried);
    }
    assert!(status(sandbox, &operator, target).await?.current);
    Ok(())
}

async fn emptying_a_database_needs_maintenance_and_leaves_a_whole_one(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Empty").await?, Operator::of(sandbox).await?);
    let (target, id) = (company(&owner.company.id), owner.company.id.clone());
    let mut migrations = sandbox.migrations()?;
    let person = Person { name: "Gone".into(), ..Default::default() };
    sandbox
        .people()?
        .create_person(owner.request(CreatePersonRequest { person: Some(person), ..Default::default() }))
        .await?;

    let reset = ResetRequest { target: target.clone(), force: true };
    assert_eq!(reason(migrations.reset(operator.request(reset.clone())).await), Some(Reason::MaintenanceRequired));
    let enter = EnterMaintenanceRequest { id: id.clone(), reason: "afresh".into(), ..Default::default() };
    sandbox.companies()?.enter_maintenance(operator.request(enter)).await?;

    let report = migrations.reset(operator.request(reset)).await?.into_inner();
    assert_eq!(report.to_version, "");
    assert_eq!(status(sandbox, &operator, target.clone()).await?.applied.len(), 0);
    let fresh = FreshRequest { target: target.clone(), force: false, seed: true };
    assert_eq!(migrations.fresh(operator.request(fresh.clone())).await?.into_inner().to_version, HEAD);
    let refresh = RefreshRequest { target: target.clone(), force: false, seed: true };
    assert_eq!(migrations.refresh(operator.request(refresh)).await?.into_inner().to_version, HEAD);
    migrations.fresh(operator.request(fresh)).await?;
    migrations.seed(operator.request(SeedRequest { target: target.clone() })).await?;
    assert!(status(sandbox, &operator, target).await?.current);

    sandbox.companies()?.leave_maintenance(operator.request(LeaveMaintenanceRequest { id })).await?;
    within_seconds(async || {
        let people = sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?.into_inner();
        anyhow::ensure!(people.people.is_empty());
        let person = Person { name: "New".into(), ..Default::default() };
        sandbox
            .people()?
            .create_person(owner.request(CreatePersonRequest { person: Some(person), ..Default::default() }))
            .await?;
        Ok(())
    })
    .await
}

async fn wrong_orders_are_refused_with_what_to_do(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Wrong").await?, Operator::of(sandbox).await?);
    let target = company(&owner.company.id);
    let mut migrations = sandbox.migrations()?;
    let nowhere = MigrateRequest { target: target.clone(), version: "m20300101_000000_nowhere".into() };
    assert_eq!(reason(migrations.migrate(operator.request(nowhere)).await), Some(Reason::MigrationNotFound));
    let nobody = MigrateRequest { target: company(&uuid::Uuid::now_v7().to_string()), version: String::new() };
    assert_eq!(reason(migrations.migrate(operator.request(nobody)).await), Some(Reason::DatabaseNotFound));
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(0)) });
    let none = RollbackRequest { target: None, scope, force: false };
    let refused = migrations.rollback(operator.request(none)).await.expect_err("a refusal");
    let details = refused.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("fields").field_violations.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, ["target", "scope.steps"]);
    Ok(())
}

async fn the_central_database_is_never_emptied_while_it_has_companies(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    assert!(status(sandbox, &operator, central()).await?.current);
    let mut migrations = sandbox.migrations()?;
    Owner::of_new_company(sandbox, "Held").await?;
    for refused in [
        migrations.reset(operator.request(ResetRequest { target: central(), force: true })).await,
        migrations.fresh(operator.request(FreshRequest { target: central(), force: true, seed: false })).await,
        migrations.refresh(operator.request(RefreshRequest { target: central(), force: true, seed: false })).await,
    ] {
        assert_eq!(reason(refused), Some(Reason::CompaniesExist));
    }
    assert!(
        migrations
            .migrate(operator.request(MigrateRequest { target: central(), version: String::new() }))
            .await?
            .into_inner()
            .changes
            .is_empty()
    );
    Ok(())
}

async fn a_database_that_is_gone_has_a_reason_of_its_own(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Vanished").await?;
    vanish(sandbox, &operator, &owner.company.id).await?;
    let request = GetMigrationStatusRequest { target: company(&owner.company.id) };
    let refused = sandbox.migrations()?.get_migration_status(operator.request(request)).await;
    assert_eq!(reason(refused), Some(Reason::DatabaseMissing));
    Ok(())
}

/// Takes a company's database away behind everybody's back.
pub(crate) async fn vanish(sandbox: &Sandbox, operator: &Operator, id: &str) -> anyhow::Result<()> {
    let name = database_of(sandbox, operator, id).await?;
    match sandbox.on_server() {
        Some(server) => server.drop_database(&name).await,
        None => Ok(std::fs::remove_file(sandbox.folder().join(format!("data/tenants/{name}.db")))?),
    }
}

/// The name of a company's database.
pub(crate) async fn database_of(sandbox: &Sandbox, operator: &Operator, id: &str) -> anyhow::Result<String> {
    database_of_at(sandbox.clients(), operator, id).await
}

pub(crate) async fn database_of_at(at: Clients, operator: &Operator, id: &str) -> anyhow::Result<String> {
    let get = tenantry_api::migrator::v1::GetTenantDatabaseRequest { company_id: id.to_owned() };
    Ok(at.tenant_databases()?.get_tenant_database(operator.request(get)).await?.into_inner().name)
}

/// A company whose owner is known: creating many costs no password hash each.
pub(crate) async fn another_company(
    at: impl Into<Clients>,
    operator: &Operator,
    owner: &Owner,
    name: &str,
) -> anyhow::Result<String> {
    let create = CreateCompanyRequest { name: name.into(), owner_email: owner.email.clone(), ..Default::default() };
    Ok(at.into().companies()?.create_company(operator.request(create)).await?.into_inner().id)
}
