//! What keeps companies apart when everything of ours is left out of it: a tenant's own role, at the database server.

use std::sync::Arc;

use tenantry_api::catalog::v1::resolve_tenant_response::Endpoint;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::{NetworkEndpoint, ResolveTenantRequest};
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::{SystemClock, client};
use tenantry_testkit::sandbox::Sandbox;

use super::tour::Inhabited;

/// A tenant as a thief of its credential has it.
struct Stolen {
    database: String,
    at: NetworkEndpoint,
}

/// Asks the catalog as the crm does, with the crm's own key.
async fn stolen_from(sandbox: &Sandbox, company: &Inhabited) -> anyhow::Result<Stolen> {
    let key = sandbox.folder().join("data/keys/crm.pem");
    let identity = ServiceIdentity::load("crm", &key, Arc::new(SystemClock))?;
    let catalog =
        client::open(&format!("http://{}", sandbox.addresses().catalog), "catalog", Some(Arc::new(identity)))?;
    let request = ResolveTenantRequest { company_id: company.owner.company.id.clone() };
    let answer = TenantDirectoryServiceClient::new(catalog).resolve_tenant(request).await?.into_inner();
    match answer.endpoint {
        Some(Endpoint::Postgres(at) | Endpoint::Mysql(at)) => Ok(Stolen { database: answer.database, at }),
        other => anyhow::bail!("no database on the network: {other:?}"),
    }
}

mod postgres {
    use sqlx::postgres::{PgConnectOptions, PgConnection};
    use sqlx::{AssertSqlSafe, Connection, Row};
    use tenantry_testkit::sandbox::{Engine, OnServer};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tenants_role_reaches_its_own_rows_and_nothing_else() -> anyhow::Result<()> {
        let sandbox = Sandbox::start(Engine::Postgres).await?;
        let server = sandbox.on_server().expect("a server");
        let (one, two) = (inhabited(&sandbox, "One").await?, inhabited(&sandbox, "Two").await?);
        let (own, other) = (stolen_from(&sandbox, &one).await?, stolen_from(&sandbox, &two).await?);
        assert_ne!(own.at.user, other.at.user);
        assert_ne!(own.at.password, other.at.password);

        let template = template(server).await?;
        let shut = [&other.database, &server.central(), &server.migrators(), &template, "postgres", "template1"];
        for database in shut {
            let refused = PgConnection::connect_with(&options(&own, database)).await.map(drop).expect_err(database);
            // No CONNECT there, or nobody's: not some failure that only looks like a refusal.
            assert!(["42501", "55000"].contains(&code(&refused).as_str()), "{database}: {refused}");
        }

        let mut tenant = PgConnection::connect_with(&options(&own, &own.database)).await?;
        rows_can_be_worked_with(&mut tenant).await?;
        for statement in forbidden(server) {
            let refused = run(&mut tenant, &statement).await.expect_err(&statement);
            assert_eq!(code(&refused), "42501", "{statement}: {refused}");
        }
        tenant.close().await?;
        sandbox.stop().await
    }

    async fn rows_can_be_worked_with(tenant: &mut PgConnection) -> anyhow::Result<()> {
        let people: i64 = sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(&mut *tenant).await?;
        assert_eq!(people, 1);
        let id = "00000000-0000-7000-8000-000000000001";
        let insert = format!(
            "INSERT INTO ticket_categories (id, name, colour, created_at, updated_at) \
             VALUES ('{id}', 'by hand', '#000000', now(), now())"
        );
        let update = format!("UPDATE ticket_categories SET name = 'by another hand' WHERE id = '{id}'");
        let delete = format!("DELETE FROM ticket_categories WHERE id = '{id}'");
        for statement in [insert, update, delete] {
            assert_eq!(run(tenant, &statement).await?, 1, "{statement}");
        }
        let versions: i64 = sqlx::query_scalar("SELECT count(*) FROM tenantry_migrations").fetch_one(tenant).await?;
        assert!(versions > 0, "the ledger can be read");
        Ok(())
    }

    fn forbidden(server: &OnServer) -> Vec<String> {
        let mut statements: Vec<String> = [
            "CREATE TABLE loot (id int)",
            "CREATE TEMPORARY TABLE loot (id int)",
            "CREATE SCHEMA loot",
            "CREATE FUNCTION loot() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "ALTER TABLE people ADD COLUMN loot int",
            "DROP TABLE people",
            "TRUNCATE people",
            "CREATE INDEX loot ON people (name)",
            "CREATE ROLE loot",
            "CREATE DATABASE loot",
            "INSERT INTO tenantry_migrations SELECT * FROM tenantry_migrations",
            "UPDATE tenantry_migrations SET checksum = ''",
            "DELETE FROM tenantry_migrations",
            "COPY people TO PROGRAM 'cat'",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT rolpassword FROM pg_authid",
        ]
        .map(str::to_owned)
        .into();
        // Nor by becoming somebody else.
        statements.push(format!("SET ROLE {}owner", server.prefix()));
        statements.push("SET ROLE tenantry_admin".to_owned());
        statements
    }

    async fn inhabited(sandbox: &Sandbox, name: &str) -> anyhow::Result<Inhabited> {
        Inhabited::new(sandbox.clients(), name).await
    }

    async fn template(server: &OnServer) -> anyhow::Result<String> {
        let mut admin = PgConnection::connect(&server.admin_url()).await?;
        let like = format!("{}template%", server.prefix());
        let row = sqlx::query("SELECT datname::text FROM pg_database WHERE datname LIKE $1").bind(like);
        let name = row.fetch_one(&mut admin).await?.try_get(0)?;
        admin.close().await?;
        Ok(name)
    }

    fn options(role: &Stolen, database: &str) -> PgConnectOptions {
        let port = u16::try_from(role.at.port).expect("a port");
        let options = PgConnectOptions::new().host(&role.at.host).port(port);
        options.username(&role.at.user).password(&role.at.password).database(database)
    }

    async fn run(connection: &mut PgConnection, sql: &str) -> Result<u64, sqlx::Error> {
        Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?.rows_affected())
    }

    fn code(error: &sqlx::Error) -> String {
        error.as_database_error().and_then(|error| Some(error.code()?.into_owned())).unwrap_or_default()
    }
}

mod mariadb {
    use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
    use sqlx::{AssertSqlSafe, Connection};
    use tenantry_testkit::sandbox::Engine;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_tenants_user_reaches_its_own_rows_and_nothing_else() -> anyhow::Result<()> {
        let sandbox = Sandbox::start(Engine::MariaDb).await?;
        let server = sandbox.on_server().expect("a server");
        let one = Inhabited::new(sandbox.clients(), "One").await?;
        let two = Inhabited::new(sandbox.clients(), "Two").await?;
        let (own, other) = (stolen_from(&sandbox, &one).await?, stolen_from(&sandbox, &two).await?);

        for database in [&other.database, &server.central(), &server.migrators(), "mysql"] {
            let connected = MySqlConnection::connect_with(&options(&own).database(database)).await;
            let refused = connected.map(drop).expect_err(database);
            assert!(is_denied(&refused), "{database}: {refused}");
        }
        let mut tenant = MySqlConnection::connect_with(&options(&own).database(&own.database)).await?;
        let people: i64 = sqlx::query_scalar("SELECT count(*) FROM people").fetch_one(&mut tenant).await?;
        assert_eq!(people, 1);
        assert_eq!(run(&mut tenant, "UPDATE people SET surname = 'by hand'").await?, 1);

        let others = format!("SELECT * FROM `{}`.people", other.database);
        let statements = [
            others.as_str(),
            "CREATE TABLE loot (id int)",
            "CREATE TEMPORARY TABLE loot (id int)",
            "CREATE DATABASE loot",
            "CREATE USER loot",
            "ALTER TABLE people ADD COLUMN loot int",
            "DROP TABLE people",
            "TRUNCATE people",
            "CREATE INDEX loot ON people (name)",
            "INSERT INTO tenantry_migrations SELECT * FROM tenantry_migrations",
            "UPDATE tenantry_migrations SET checksum = ''",
            "DELETE FROM tenantry_migrations",
            "SELECT * FROM mysql.user",
            "SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/loot'",
        ];
        for statement in statements {
            let refused = run(&mut tenant, statement).await.expect_err(statement);
            assert!(is_denied(&refused), "{statement}: {refused}");
        }
        tenant.close().await?;
        sandbox.stop().await
    }

    fn options(user: &Stolen) -> MySqlConnectOptions {
        let port = u16::try_from(user.at.port).expect("a port");
        MySqlConnectOptions::new().host(&user.at.host).port(port).username(&user.at.user).password(&user.at.password)
    }

    async fn run(connection: &mut MySqlConnection, sql: &str) -> Result<u64, sqlx::Error> {
        Ok(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await?.rows_affected())
    }

    /// Access denied: to a database, to files, to a command on a table, or for want of some other privilege.
    fn is_denied(error: &sqlx::Error) -> bool {
        let error =
            error.as_database_error().and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
        error.is_some_and(|error| [1044, 1045, 1142, 1227].contains(&error.number()))
    }
}
