//! A database's credential is replaced while its company works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::Connection;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tenantry_api::catalog::v1::resolve_tenant_response::Endpoint;
use tenantry_api::catalog::v1::{
    NetworkEndpoint, ResolveTenantRequest, RotateDatabaseCredentialRequest, RotateDatabaseCredentialResponse,
    SuspendCompanyRequest,
};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_api::migrator::v1::{
    CheckDriftRequest, CreateTenantDatabaseRequest, CredentialSlot, GetTenantDatabaseRequest,
    LockTenantCredentialRequest, MigrateRequest, PasswordVerifier, RollbackRequest, RollbackScope,
    SetTenantCredentialRequest, rollback_scope::Scope,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};
use tonic::Status;

use crate::processes::eventually;
use crate::support::reason;

/// Shorter than the drain, and long enough that placements are remembered.
const QUICK: Tuning = Tuning { credential_drain_s: Some(2), placement_ttl_ms: Some(500), key_rotation_s: None };
/// Nothing is locked while the test runs.
const SLOW: Tuning = Tuning { credential_drain_s: None, placement_ttl_ms: Some(500), key_rotation_s: None };

/// Makes a test of a function for each engine that has logins.
macro_rules! with_logins {
    ($($name:ident: $tuning:expr),+ $(,)?) => {
        with_logins!(@ postgres, Postgres, $($name: $tuning),+);
        with_logins!(@ mariadb, MariaDb, $($name: $tuning),+);
    };
    (@ $engine:ident, $kind:ident, $($name:ident: $tuning:expr),+) => {
        mod $engine {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() -> anyhow::Result<()> {
                    let sandbox = Sandbox::start_tuned(OnServer::of_suite(Engine::$kind)?, $tuning).await?;
                    super::$name(&sandbox).await?;
                    sandbox.stop().await
                }
            )+
        }
    };
}

with_logins!(
    two_rotations_under_load_fail_nobody: QUICK,
    a_rotation_waits_for_the_one_before: SLOW,
    what_comes_late_takes_nothing_away: SLOW,
);

async fn rotate(sandbox: &Sandbox, operator: &Operator, id: &str) -> Result<RotateDatabaseCredentialResponse, Status> {
    let request = RotateDatabaseCredentialRequest { id: id.to_owned(), ..Default::default() };
    let mut companies = sandbox.companies().expect("a client");
    Ok(companies.rotate_database_credential(operator.request(request)).await?.into_inner())
}

/// The credential that the catalog hands out, and the database that it is for.
async fn credential(sandbox: &Sandbox, id: &str) -> anyhow::Result<(NetworkEndpoint, String, i64)> {
    let crm = Bearer(sandbox.service_token("crm", "catalog")?);
    let request = crm.request(ResolveTenantRequest { company_id: id.to_owned() });
    let answer = sandbox.directory()?.resolve_tenant(request).await?.into_inner();
    match answer.endpoint {
        Some(Endpoint::Postgres(at) | Endpoint::Mysql(at)) => Ok((at, answer.database, answer.placement_generation)),
        other => anyhow::bail!("no database on the network: {other:?}"),
    }
}

/// Whether somebody with this credential gets in.
async fn gets_in(sandbox: &Sandbox, at: &NetworkEndpoint, database: &str) -> anyhow::Result<bool> {
    let port = u16::try_from(at.port)?;
    let error = if is_postgres(sandbox) {
        let options = PgConnectOptions::new().host(&at.host).port(port).username(&at.user);
        match PgConnection::connect_with(&options.password(&at.password).database(database)).await {
            Ok(connection) => return Ok(connection.close().await.map(|()| true)?),
            Err(error) => error,
        }
    } else {
        let options = MySqlConnectOptions::new().host(&at.host).port(port).username(&at.user);
        match MySqlConnection::connect_with(&options.password(&at.password).database(database)).await {
            Ok(connection) => return Ok(connection.close().await.map(|()| true)?),
            Err(error) => error,
        }
    };
    anyhow::ensure!(error.as_database_error().is_some(), "no refusal of the server's: {error}");
    Ok(false)
}

fn is_postgres(sandbox: &Sandbox) -> bool {
    sandbox.on_server().is_some_and(|server| server.admin_url().starts_with("postgres"))
}

fn create(name: String) -> CreatePersonRequest {
    CreatePersonRequest { person: Some(Person { name, ..Default::default() }), ..Default::default() }
}

async fn in_sync(sandbox: &Sandbox, operator: &Operator, id: &str) -> anyhow::Result<()> {
    let request = operator.request(CheckDriftRequest { company_id: id.to_owned() });
    let report = sandbox.clients().drift()?.check_drift(request).await?.into_inner();
    anyhow::ensure!(report.in_sync, "{:#?}", report.findings);
    Ok(())
}

async fn two_rotations_under_load_fail_nobody(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Arc::new(Owner::of_new_company(sandbox, "Turns").await?), Operator::of(sandbox).await?);
    let id = owner.company.id.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..3 {
        let (owner, stop, mut people) = (owner.clone(), stop.clone(), sandbox.people()?);
        callers.spawn(async move {
            let mut calls = 0;
            while !stop.load(Ordering::Relaxed) {
                people.create_person(owner.request(create(format!("Caller {caller}")))).await?;
                people.list_people(owner.request(ListPeopleRequest::default())).await?;
                calls += 2;
                // The services are in this process too, and want a turn.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok::<_, Status>(calls)
        });
    }
    let mut former = Vec::new();
    for generation in [2, 3] {
        let (at, database, _) = credential(sandbox, &id).await?;
        assert!(gets_in(sandbox, &at, &database).await?);
        let rotated = rotate(sandbox, &operator, &id).await?;
        assert_eq!(rotated.placement_generation, generation);
        assert!(rotated.former_lock_time.is_some());
        assert!(gets_in(sandbox, &at, &database).await?, "the former one works until its time is over");
        in_sync(sandbox, &operator, &id).await?;
        let (now, ..) = credential(sandbox, &id).await?;
        assert!(now.user != at.user && now.password != at.password);
        eventually("the former credential locked", async || {
            Ok((!gets_in(sandbox, &at, &database).await?).then_some(()))
        })
        .await?;
        former.push((at, database));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    stop.store(true, Ordering::Relaxed);
    let mut calls = 0;
    while let Some(caller) = callers.join_next().await {
        calls += caller??;
    }
    println!("{calls} calls and two rotations, and none failed");
    assert!(calls > 100);

    // The first role is in use again, with a password of its own.
    let (at, database, generation) = credential(sandbox, &id).await?;
    assert_eq!((&at.user, generation), (&former[0].0.user, 3));
    assert!(gets_in(sandbox, &at, &database).await?);
    for (at, database) in &former {
        assert!(!gets_in(sandbox, at, database).await?);
    }
    in_sync(sandbox, &operator, &id).await?;
    let sql = "SELECT kind FROM events WHERE kind = 'company.credential_rotated'";
    assert_eq!(sandbox.ask_central(sql).await?.len(), 2);
    assert_eq!(sandbox.ask_central("SELECT last_error FROM credential_rotations").await?.len(), 0);
    Ok(())
}

async fn a_rotation_waits_for_the_one_before(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Patient").await?, Operator::of(sandbox).await?);
    let id = owner.company.id.clone();
    let request = RotateDatabaseCredentialRequest { id: id.clone(), request_id: uuid::Uuid::now_v7().to_string() };
    // Two at once are one.
    let (mut one, mut two) = (sandbox.companies()?, sandbox.companies()?);
    let (first, second) = tokio::join!(
        one.rotate_database_credential(operator.request(request.clone())),
        two.rotate_database_credential(operator.request(request.clone()))
    );
    let (first, second) = (first?.into_inner(), second?.into_inner());
    assert_eq!((first.placement_generation, second.placement_generation), (2, 2));
    assert_eq!(one.rotate_database_credential(operator.request(request)).await?.into_inner(), second);
    assert_eq!(reason(rotate(sandbox, &operator, &id).await), Some(Reason::CredentialDraining));

    // What a migration makes meanwhile both roles may use, and nothing of it is drift.
    let target = crate::migrations::company(&id);
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: target.clone(), scope, force: true };
    sandbox.migrations()?.rollback(operator.request(back)).await?;
    sandbox.migrations()?.migrate(operator.request(MigrateRequest { target, ..Default::default() })).await?;
    in_sync(sandbox, &operator, &id).await?;

    // Nobody whose company is shut out waits for it, and a purge takes both roles.
    let suspend = SuspendCompanyRequest { id: id.clone(), reason: "unpaid".into() };
    sandbox.companies()?.suspend_company(operator.request(suspend)).await?;
    let delete = tenantry_api::catalog::v1::DeleteCompanyRequest { id: id.clone(), ..Default::default() };
    sandbox.companies()?.delete_company(operator.request(delete)).await?;
    assert_eq!(reason(rotate(sandbox, &operator, &id).await), Some(Reason::CompanyState));
    let server = sandbox.on_server().expect("a server");
    assert_eq!(server.tenant_roles().await?.len(), 2);
    let purge = tenantry_api::catalog::v1::PurgeCompanyRequest { id, force: true, ..Default::default() };
    sandbox.companies()?.purge_company(operator.request(purge)).await?;
    assert_eq!(server.tenant_roles().await?, [""; 0]);
    assert_eq!(sandbox.ask_central("SELECT state FROM credential_rotations").await?.len(), 0);
    Ok(())
}

/// Calls of the catalog's that were on their way for too long.
async fn what_comes_late_takes_nothing_away(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (owner, operator) = (Owner::of_new_company(sandbox, "Late").await?, Operator::of(sandbox).await?);
    let id = owner.company.id.clone();
    rotate(sandbox, &operator, &id).await?;
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    let mut migrator = sandbox.tenant_databases()?;
    let get = GetTenantDatabaseRequest { company_id: id.clone() };
    let known = migrator.get_tenant_database(catalog.request(get)).await?.into_inner();
    let lock = |slot: CredentialSlot, generation| {
        let (company_id, slot) = (id.clone(), slot.into());
        catalog.request(LockTenantCredentialRequest { company_id, slot, generation })
    };
    let verifier = PasswordVerifier {
        scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
        mysql_native: format!("*{}", "0F".repeat(20)),
    };
    let superseded = Some(Reason::CredentialSuperseded);
    // The role in use, and the other one under another generation than this.
    assert_eq!(reason(migrator.lock_tenant_credential(lock(CredentialSlot::Second, 2)).await), superseded);
    assert_eq!(reason(migrator.lock_tenant_credential(lock(CredentialSlot::First, 3)).await), superseded);
    let set = SetTenantCredentialRequest {
        company_id: id.clone(),
        password_verifier: Some(verifier.clone()),
        slot: CredentialSlot::First.into(),
        generation: 2,
    };
    assert_eq!(reason(migrator.set_tenant_credential(catalog.request(set)).await), superseded);
    let create = CreateTenantDatabaseRequest {
        company_id: id.clone(),
        database_id: known.database_id.clone(),
        server: known.server.clone(),
        password_verifier: Some(verifier),
    };
    assert_eq!(migrator.create_tenant_database(catalog.request(create)).await?.into_inner(), known);
    let (at, database, _) = credential(sandbox, &id).await?;
    assert_eq!(known.role, at.user);
    assert!(gets_in(sandbox, &at, &database).await?);
    sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?;
    Ok(())
}

/// The caller and the services go away, with the rotation wherever it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_outlives_a_restart() -> anyhow::Result<()> {
    let mut sandbox = Sandbox::start_tuned(OnServer::of_suite(Engine::Postgres)?, QUICK).await?;
    let (owner, operator) = (Owner::of_new_company(&sandbox, "Lasting").await?, Operator::of(&sandbox).await?);
    let id = owner.company.id.clone();
    for (generation, milliseconds) in [(2, 1), (3, 15)] {
        let (former, database, _) = credential(&sandbox, &id).await?;
        let mut request = operator.request(RotateDatabaseCredentialRequest { id: id.clone(), ..Default::default() });
        request.set_timeout(Duration::from_millis(milliseconds));
        // It has begun, or the call has come to nothing: then it is begun again.
        let _ = sandbox.companies()?.rotate_database_credential(request).await;
        sandbox = sandbox.restart().await?;
        let operator = Operator::of(&sandbox).await?;
        match rotate(&sandbox, &operator, &id).await {
            Ok(rotated) => assert_eq!(rotated.placement_generation, generation),
            Err(status) => assert_eq!(tenantry_rpc::reason_of(&status), Some(Reason::CredentialDraining)),
        }
        let (now, _, in_use) = credential(&sandbox, &id).await?;
        assert_eq!(in_use, generation);
        assert!(gets_in(&sandbox, &now, &database).await?);
        eventually("the rotation over", async || {
            Ok(sandbox.ask_central("SELECT state FROM credential_rotations").await?.is_empty().then_some(()))
        })
        .await?;
        assert!(!gets_in(&sandbox, &former, &database).await?);
        in_sync(&sandbox, &operator, &id).await?;
    }
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_has_no_credential() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let (owner, operator) = (Owner::of_new_company(&sandbox, "File").await?, Operator::of(&sandbox).await?);
    let refused = rotate(&sandbox, &operator, &owner.company.id).await;
    assert_eq!(reason(refused), Some(Reason::NoDatabaseCredential));
    sandbox.stop().await
}
