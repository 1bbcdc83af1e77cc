//! What the migrator makes on a server.

use tenantry_api::migrator::v1::CheckDriftRequest;
use tenantry_api::migrator::v1::{CreateTenantDatabaseRequest, PasswordVerifier};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox};
use uuid::Uuid;

use crate::migrations::database_of;

/// Each server's own, and neither takes what was made ahead for another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_have_the_collation_of_their_server() -> anyhow::Result<()> {
    for (engine, collation, asked) in [
        (Engine::Postgres, "C.UTF-8", "SELECT datcollate::text FROM pg_database WHERE datname = "),
        (
            Engine::MariaDb,
            "utf8mb4_unicode_ci",
            "SELECT CONVERT(default_collation_name USING utf8mb4) FROM information_schema.schemata WHERE schema_name = ",
        ),
    ] {
        let server = OnServer::of_suite(engine)?.expect("a server").with_collation(collation);
        let sandbox = Sandbox::start_on(Some(server)).await?;
        let (owner, operator) = (Owner::of_new_company(&sandbox, "Ordered").await?, Operator::of(&sandbox).await?);
        let name = database_of(&sandbox, &operator, &owner.company.id).await?;
        assert_eq!(sandbox.ask_migrators(&format!("{asked}'{name}'")).await?, [collation]);
        let check = operator.request(CheckDriftRequest { company_id: owner.company.id });
        let report = sandbox.clients().drift()?.check_drift(check).await?.into_inner();
        assert_eq!(report.findings, []);
        sandbox.stop().await?;
    }
    Ok(())
}

/// MariaDB commits each statement of a migration by itself, so a creation that was killed leaves some of its tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_made_database_is_made_anew_on_mariadb() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::MariaDb).await?;
    let server = sandbox.on_server().expect("a server");
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    let create = CreateTenantDatabaseRequest {
        company_id: Uuid::now_v7().to_string(),
        database_id: Uuid::now_v7().to_string(),
        server: "main".to_owned(),
        password_verifier: Some(PasswordVerifier {
            scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
            mysql_native: format!("*{}", "0F".repeat(20)),
        }),
        adoption: None,
    };
    let mut databases = sandbox.tenant_databases()?;
    let name = databases.create_tenant_database(catalog.request(create.clone())).await?.into_inner().name;

    // As a kill leaves it: the newest migration's tables without its row in the ledger, and no user yet.
    server.run(&format!("DELETE FROM `{name}`.tenantry_migrations ORDER BY version DESC LIMIT 1")).await?;
    server.run(&format!("DROP USER '{name}'@'%'")).await?;
    server.run(&format!("CREATE TABLE `{name}`.left_over (id int)")).await?;
    sandbox.run_in_migrators("UPDATE database_claims SET state = 'creating'").await?;
    databases.create_tenant_database(catalog.request(create.clone())).await?;
    assert!(server.run(&format!("SELECT * FROM `{name}`.left_over")).await.is_err(), "made anew");

    // From now on it is somebody's: a repeated call finds it and drops nothing.
    server.run(&format!("CREATE TABLE `{name}`.kept (id int)")).await?;
    databases.create_tenant_database(catalog.request(create)).await?;
    server.run(&format!("DROP TABLE `{name}`.kept")).await?;
    sandbox.stop().await
}
