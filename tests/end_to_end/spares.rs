//! Databases that are there before their companies.

use tenantry_api::catalog::v1::{DeleteCompanyRequest, PurgeCompanyRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_api::migrator::v1::{
    CheckDriftRequest, CreateTenantDatabaseRequest, MigrateRequest, PasswordVerifier, RollbackRequest, RollbackScope,
    TenantDatabase, rollback_scope::Scope,
};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};
use uuid::Uuid;

use crate::migrations::{BEFORE, company, database_of};
use crate::processes::eventually;

async fn start(spares: u16) -> anyhow::Result<Sandbox> {
    let tuning = Tuning { spares_per_server: Some(spares), ..Tuning::default() };
    Sandbox::start_tuned(OnServer::of_suite(Engine::Postgres)?, tuning).await
}

async fn ready(sandbox: &Sandbox) -> anyhow::Result<Vec<String>> {
    sandbox.ask_migrators("SELECT name FROM spares WHERE state = 'ready' ORDER BY name").await
}

/// Waits until there are so many, and nothing else is under way.
async fn filled(sandbox: &Sandbox, spares: usize) -> anyhow::Result<Vec<String>> {
    eventually("the spares", async || {
        let ready = ready(sandbox).await?;
        let all = sandbox.ask_migrators("SELECT name FROM spares").await?.len();
        Ok((ready.len() == spares && all == spares).then_some(ready))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_at_once_share_three_spares() -> anyhow::Result<()> {
    let sandbox = start(3).await?;
    let (server, operator) = (sandbox.on_server().expect("a server"), Operator::of(&sandbox).await?);
    let spares = filled(&sandbox, 3).await?;
    assert_eq!(server.tenant_databases().await?.len(), 3);
    // Nobody logs in to one.
    let logins =
        format!("SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname LIKE '{}%'", server.prefix());
    assert_eq!(sandbox.ask_migrators(&logins).await?, [""; 0]);

    let mut calls = tokio::task::JoinSet::new();
    for n in 0..5 {
        let clients = sandbox.clients();
        calls.spawn(async move { Owner::of_new_company(clients, &format!("Company {n}")).await });
    }
    let mut names = Vec::new();
    let mut owners = Vec::new();
    while let Some(owner) = calls.join_next().await {
        let owner = owner??;
        let person = Some(Person { name: format!("of {}", owner.company.name), ..Default::default() });
        let create = CreatePersonRequest { person, ..Default::default() };
        sandbox.people()?.create_person(owner.request(create)).await?;
        names.push(database_of(&sandbox, &operator, &owner.company.id).await?);
        owners.push(owner);
    }
    for owner in &owners {
        let people = sandbox.people()?.list_people(owner.request(ListPeopleRequest::default())).await?.into_inner();
        let names: Vec<_> = people.people.iter().map(|person| person.name.clone()).collect();
        assert_eq!(names, [format!("of {}", owner.company.name)], "its own and nobody else's");
        let check = CheckDriftRequest { company_id: owner.company.id.clone() };
        let report = sandbox.clients().drift()?.check_drift(operator.request(check)).await?.into_inner();
        assert_eq!(report.findings, []);
    }
    assert!(spares.iter().filter(|name| names.contains(name)).count() >= 3, "{spares:?} became {names:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 5);
    let refilled = filled(&sandbox, 3).await?;
    assert!(refilled.iter().all(|name| !names.contains(name)));

    // Commands and the end of a company find it by its name.
    let id = &owners[0].company.id;
    let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
    let back = RollbackRequest { target: company(id), scope, force: true };
    assert_eq!(sandbox.migrations()?.rollback(operator.request(back)).await?.into_inner().to_version, BEFORE);
    let forth = MigrateRequest { target: company(id), ..Default::default() };
    sandbox.migrations()?.migrate(operator.request(forth)).await?;
    let gone = database_of(&sandbox, &operator, id).await?;
    let delete = DeleteCompanyRequest { id: id.clone(), ..Default::default() };
    sandbox.companies()?.delete_company(operator.request(delete)).await?;
    let purge = PurgeCompanyRequest { id: id.clone(), force: true, ..Default::default() };
    sandbox.companies()?.purge_company(operator.request(purge)).await?;
    assert!(!server.tenant_databases().await?.contains(&gone));
    assert!(!server.tenant_roles().await?.contains(&gone));
    sandbox.stop().await
}

/// What a kill leaves, and what is not of today's migrations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_of_no_use_is_dropped() -> anyhow::Result<()> {
    let sandbox = start(2).await?;
    let server = sandbox.on_server().expect("a server");
    let before = filled(&sandbox, 2).await?;
    let half = format!("{}00000000000000000000000000", server.prefix());
    server.run(&format!("CREATE DATABASE {half}")).await?;
    server.run(&format!("CREATE ROLE {half}")).await?;
    let row = format!(
        "INSERT INTO spares (id, server, place, name, set_checksum, state, lease_until, created_at) VALUES \
         ('{}', 'main', 7, '{half}', 'x', 'making', now() - interval '1 second', now())",
        Uuid::nil()
    );
    sandbox.run_in_migrators(&row).await?;
    let other = format!("UPDATE spares SET set_checksum = 'of yesterday' WHERE name = '{}'", before[0]);
    sandbox.run_in_migrators(&other).await?;
    eventually("them gone", async || {
        let there = server.tenant_databases().await?;
        Ok((!there.contains(&half) && !there.contains(&before[0])).then_some(()))
    })
    .await?;
    let after = filled(&sandbox, 2).await?;
    assert!(after.contains(&before[1]) && !after.contains(&before[0]));
    assert_eq!(server.tenant_roles().await?.len(), 2);
    assert_eq!(server.tenant_databases().await?.len(), 2);
    sandbox.stop().await
}

/// As a crash leaves it right after the claim: the next call makes the spare the company's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spare_that_was_claimed_and_no_more_is_handed_over() -> anyhow::Result<()> {
    let sandbox = start(1).await?;
    let spare = filled(&sandbox, 1).await?.remove(0);
    let request = new_database();
    let claim = format!(
        "INSERT INTO database_claims (database_id, company_id, server, name, role, state, created_at, updated_at) \
         VALUES ('{}', '{}', 'main', '{spare}', '{spare}', 'creating', now(), now())",
        request.database_id, request.company_id
    );
    sandbox.run_in_migrators(&format!("BEGIN; DELETE FROM spares; {claim}; COMMIT")).await?;
    let made = create(&sandbox, request).await?;
    assert_eq!((made.name.as_str(), made.role.as_str()), (spare.as_str(), spare.as_str()));
    let query = format!("SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND rolname = '{spare}'");
    assert_eq!(sandbox.ask_migrators(&query).await?, [spare]);
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_there_are_go_before_a_clone_is_made() -> anyhow::Result<()> {
    let sandbox = start(3).await?;
    let spares = filled(&sandbox, 3).await?;
    let mut given = 0;
    for _ in 0..3 {
        given += usize::from(spares.contains(&create(&sandbox, new_database()).await?.name));
    }
    assert_eq!(given, 3, "the oldest go first, and none twice");
    sandbox.stop().await
}

fn new_database() -> CreateTenantDatabaseRequest {
    CreateTenantDatabaseRequest {
        company_id: Uuid::now_v7().to_string(),
        database_id: Uuid::now_v7().to_string(),
        server: "main".to_owned(),
        adoption: None,
        password_verifier: Some(PasswordVerifier {
            scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
            mysql_native: format!("*{}", "0F".repeat(20)),
        }),
    }
}

async fn create(sandbox: &Sandbox, request: CreateTenantDatabaseRequest) -> anyhow::Result<TenantDatabase> {
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    Ok(sandbox.tenant_databases()?.create_tenant_database(catalog.request(request)).await?.into_inner())
}
