//! PostgreSQL: a clone, a migration step by step and a squash are equal, object by object.

use sea_orm::{ConnectionTrait, DatabaseConnection};
use tenantry_migration::{CatalogueObject, CatalogueOptions, ObjectKind, catalogue, compare, migrate};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox};

use super::{Tenant, open, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_equals_steps_and_a_squash() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Postgres).await?;
    let tenant = Tenant::fresh(&sandbox).await?;
    let server = sandbox.on_server().expect("a server");
    let clone = read(server, &tenant.database).await?;
    for kind in [ObjectKind::Owner, ObjectKind::Grant, ObjectKind::DefaultGrant, ObjectKind::Role] {
        assert!(clone.iter().any(|object| object.kind == kind), "a clone has a {kind}");
    }

    let (set, prefix) = (migrator::sets::tenant()?, server.prefix());
    let steps = empty(server, "steps").await?;
    let db = open(&server.url_of(&steps), prefix).await?;
    for version in set.versions() {
        migrate(&db, &set, Some(version), &run()).await?;
    }
    finish(&db, prefix).await?;
    assert_eq!(compare(&clone, &read(server, &steps).await?), []);

    let squash = empty(server, "squash").await?;
    let db = open(&server.url_of(&squash), prefix).await?;
    db.execute_unprepared(&set.squash(db.get_database_backend(), &run())?).await?;
    finish(&db, prefix).await?;
    assert_eq!(compare(&clone, &read(server, &squash).await?), []);
    sandbox.stop().await
}

/// An empty database as the template begins, with a login role as a tenant has one.
async fn empty(server: &OnServer, name: &str) -> anyhow::Result<String> {
    let prefix = server.prefix();
    let name = format!("{prefix}{name}");
    for statement in [
        format!(
            "CREATE DATABASE {name} OWNER {prefix}owner TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
        ),
        format!("CREATE ROLE {name} LOGIN IN ROLE {prefix}tenants"),
        format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC; GRANT CONNECT ON DATABASE {name} TO {name}"),
    ] {
        server.run(&statement).await?;
    }
    let db = open(&server.url_of(&name), prefix).await?;
    let grants = format!(
        "REVOKE ALL ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {prefix}tenants; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {prefix}tenants; \
         ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO {prefix}tenants"
    );
    db.execute_unprepared(&grants).await?;
    db.close().await?;
    Ok(name)
}

async fn finish(db: &DatabaseConnection, prefix: &str) -> anyhow::Result<()> {
    db.execute_unprepared(&format!("REVOKE INSERT, UPDATE, DELETE ON tenantry_migrations FROM {prefix}tenants"))
        .await?;
    Ok(())
}

async fn read(server: &OnServer, name: &str) -> anyhow::Result<Vec<CatalogueObject>> {
    let db = open(&server.url_of(name), server.prefix()).await?;
    let objects = catalogue(&db, CatalogueOptions { tenant_role: Some(name), ..Default::default() }).await?;
    db.close().await?;
    Ok(objects)
}
