//! Databases that were there before their companies.

use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection};
use std::time::SystemTime;
use tenantry_api::catalog::v1::{
    AdoptDatabase, Company, CompanyState, CreateCompanyRequest, DeleteCompanyRequest, PurgeCompanyRequest,
};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_api::migrator::v1::{
    Adoption, CheckDriftRequest, CreateTenantDatabaseRequest, DropTenantDatabaseRequest, PasswordVerifier,
};
use tenantry_migration::{Run, migrate};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner, PASSWORD, fresh_email};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tonic::Status;
use uuid::Uuid;

use crate::migrations::{BEFORE, HEAD};
use crate::support::{per_engine, reason};

per_engine!(
    an_existing_database_becomes_a_companys,
    a_version_can_be_named_and_an_empty_one_needs_none,
    what_cannot_be_adopted_says_why,
    an_adoption_that_failed_leaves_the_database; postgres_18
);

/// A database as another tool has left it.
struct Legacy<'s> {
    sandbox: &'s Sandbox,
    name: String,
}

impl<'s> Legacy<'s> {
    /// With nothing in it. On PostgreSQL it belongs to a role of its own.
    async fn empty(sandbox: &'s Sandbox, name: &str) -> anyhow::Result<Self> {
        let Some(server) = sandbox.on_server() else {
            std::fs::create_dir_all(sandbox.folder().join("data/tenants"))?;
            let legacy = Self { sandbox, name: name.to_owned() };
            legacy.run("VACUUM").await?;
            return Ok(legacy);
        };
        let legacy = Self { sandbox, name: format!("{}{name}", server.prefix()) };
        let (database, owner) = (&legacy.name, legacy.owner());
        if legacy.is_postgres() {
            server.run(&format!("CREATE ROLE {owner}; GRANT {owner} TO CURRENT_USER")).await?;
            let options = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'";
            server.run(&format!("CREATE DATABASE {database} OWNER {owner} {options}")).await?;
            // What other tools do without a thought.
            server.run(&format!("GRANT CONNECT ON DATABASE {database} TO {owner}")).await?;
        } else {
            let collation = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
            server.run(&format!("CREATE DATABASE {database} {collation}")).await?;
        }
        Ok(legacy)
    }

    /// With our tables at a version, one person, and no record of how it got there.
    async fn unrecorded(sandbox: &'s Sandbox, name: &str, version: &str) -> anyhow::Result<Self> {
        let legacy = Self::empty(sandbox, name).await?;
        let db = legacy.open().await?;
        let run = Run::new(Uuid::now_v7(), SystemTime::now().into());
        migrate(&db, &migrator::sets::tenant()?, Some(version), &run).await?;
        db.execute_unprepared("DROP TABLE tenantry_migrations").await?;
        let (id, now) = (literal(&db, Uuid::now_v7()), "'2020-01-01 00:00:00'");
        db.execute_unprepared(&format!(
            "INSERT INTO people (id, kind, name, surname, labels, revision, created_at, updated_at) \
             VALUES ({id}, 'customer', 'Grace', 'Hopper', '{{}}', 1, {now}, {now})"
        ))
        .await?;
        db.close().await?;
        Ok(legacy)
    }

    /// The same, with the ledger of SeaORM's own migrator.
    async fn of_seaorm(sandbox: &'s Sandbox, name: &str, version: &str) -> anyhow::Result<Self> {
        let legacy = Self::unrecorded(sandbox, name, version).await?;
        legacy
            .run("CREATE TABLE seaql_migrations (version varchar(255) PRIMARY KEY, applied_at bigint NOT NULL)")
            .await?;
        for seen in migrator::sets::tenant()?.up_to(version)?.versions() {
            legacy.run(&format!("INSERT INTO seaql_migrations VALUES ('{seen}', 1577836800)")).await?;
        }
        Ok(legacy)
    }

    fn is_postgres(&self) -> bool {
        self.sandbox.on_server().is_some_and(|server| server.admin_url().starts_with("postgres"))
    }

    fn owner(&self) -> String {
        format!("{}_app", self.name)
    }

    fn server(&self) -> String {
        if self.sandbox.on_server().is_some() { "main" } else { "local" }.to_owned()
    }

    async fn open(&self) -> anyhow::Result<DatabaseConnection> {
        let url = match self.sandbox.on_server() {
            Some(server) => server.url_of(&self.name),
            None => format!("sqlite://{}/data/tenants/{}.db?mode=rwc", self.sandbox.folder().display(), self.name),
        };
        let (mut options, owner) = (ConnectOptions::new(url), self.owner());
        options
            .max_connections(1)
            .sqlx_logging(false)
            .map_sqlx_postgres_opts(move |options| options.options([("role", owner.as_str())]));
        Ok(Database::connect(options).await?)
    }

    async fn run(&self, sql: &str) -> anyhow::Result<()> {
        let db = self.open().await?;
        db.execute_unprepared(sql).await?;
        Ok(db.close().await?)
    }

    /// A company that is to have it.
    fn creation(&self, baseline_version: &str) -> CreateCompanyRequest {
        CreateCompanyRequest {
            name: "Taken over".to_owned(),
            owner_email: fresh_email(),
            owner_password: PASSWORD.to_owned(),
            database_server: self.server(),
            adopt_database: Some(AdoptDatabase {
                name: self.name.clone(),
                baseline_version: baseline_version.to_owned(),
            }),
            request_id: Uuid::now_v7().to_string(),
            ..Default::default()
        }
    }

    async fn adopt(&self, operator: &Operator, baseline_version: &str) -> Result<Owner, anyhow::Error> {
        let creation = self.creation(baseline_version);
        let company = create(self.sandbox, operator, creation.clone()).await?;
        // Once more: the same company, without a second look at the database.
        assert_eq!(create(self.sandbox, operator, creation.clone()).await?.id, company.id);
        assert_eq!(company.state(), CompanyState::Active);
        Owner::of(self.sandbox, company, creation.owner_email).await
    }
}

fn literal(db: &DatabaseConnection, id: Uuid) -> String {
    match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => format!("'{id}'"),
        _ => format!("x'{}'", id.simple()),
    }
}

async fn create(sandbox: &Sandbox, operator: &Operator, creation: CreateCompanyRequest) -> Result<Company, Status> {
    let mut companies = sandbox.companies().expect("a client");
    companies.create_company(operator.request(creation)).await.map(tonic::Response::into_inner)
}

async fn people(sandbox: &Sandbox, owner: &Owner) -> anyhow::Result<Vec<String>> {
    let list = owner.request(ListPeopleRequest::default());
    let people = sandbox.people()?.list_people(list).await?.into_inner().people;
    Ok(people.into_iter().map(|person| person.name).collect())
}

async fn drift(sandbox: &Sandbox, operator: &Operator, company: &str) -> anyhow::Result<Vec<String>> {
    let check = operator.request(CheckDriftRequest { company_id: company.to_owned() });
    let report = sandbox.clients().drift()?.check_drift(check).await?.into_inner();
    Ok(report.findings.into_iter().map(|finding| format!("{:?} {}", finding.kind(), finding.name)).collect())
}

async fn an_existing_database_becomes_a_companys(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    let legacy = Legacy::of_seaorm(sandbox, "legacy", BEFORE).await?;
    let owner = legacy.adopt(&operator, "").await?;
    assert_eq!(owner.company.schema_version, HEAD);
    assert_eq!(people(sandbox, &owner).await?, ["Grace"]);
    let person = Some(Person { name: "Ada".into(), ..Default::default() });
    sandbox.people()?.create_person(owner.request(CreatePersonRequest { person, ..Default::default() })).await?;
    assert_eq!(people(sandbox, &owner).await?.len(), 2);

    // It is as ours are, but for what the other tool has left.
    let left = drift(sandbox, &operator, &owner.company.id).await?;
    assert!(left.iter().all(|finding| finding.contains("seaql_migrations")), "{left:?}");

    // From now on it is somebody's.
    let again = create(sandbox, &operator, legacy.creation("")).await;
    assert_eq!(reason(again), Some(Reason::DatabaseClaimed));

    // And goes with its company.
    let mut companies = sandbox.companies()?;
    let id = owner.company.id;
    companies.delete_company(operator.request(DeleteCompanyRequest { id: id.clone(), ..Default::default() })).await?;
    let purge = PurgeCompanyRequest { id, force: true, ..Default::default() };
    companies.purge_company(operator.request(purge)).await?;
    let gone = create(sandbox, &operator, legacy.creation("")).await;
    assert_eq!(reason(gone), Some(Reason::DatabaseClaimed), "its name is not used again");
    if let Some(server) = sandbox.on_server() {
        assert!(!server.tenant_databases().await?.contains(&legacy.name));
    }
    Ok(())
}

async fn a_version_can_be_named_and_an_empty_one_needs_none(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    let legacy = Legacy::unrecorded(sandbox, "old", BEFORE).await?;
    let owner = legacy.adopt(&operator, BEFORE).await?;
    assert_eq!(owner.company.schema_version, HEAD);
    assert_eq!(people(sandbox, &owner).await?, ["Grace"]);
    assert_eq!(drift(sandbox, &operator, &owner.company.id).await?, [""; 0]);

    let empty = Legacy::empty(sandbox, "bare").await?;
    let owner = empty.adopt(&operator, "").await?;
    assert_eq!(people(sandbox, &owner).await?, [""; 0]);
    assert_eq!(drift(sandbox, &operator, &owner.company.id).await?, [""; 0]);
    Ok(())
}

async fn what_cannot_be_adopted_says_why(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    let legacy = Legacy::unrecorded(sandbox, "nothing_said", BEFORE).await?;
    let refused = async |name: &str, server: &str, baseline: &str| {
        let mut creation = legacy.creation(baseline);
        creation.database_server = server.to_owned();
        creation.adopt_database.as_mut().expect("one").name = name.to_owned();
        reason_of(&create(sandbox, &operator, creation).await.expect_err("a refusal"))
    };
    let (name, server) = (legacy.name.as_str(), legacy.server());
    let no = Some(Reason::DatabaseNotAdoptable);
    assert_eq!(refused(name, &server, "").await, no, "tables, and no record");
    assert_eq!(refused(name, &server, "m20990101_000000_future").await, Some(Reason::MigrationNotFound));
    assert_eq!(refused("not_there", &server, "").await, no);
    for bad in ["", "Upper", "a'b", "a\"b;--", "../central", "ünï", &"a".repeat(64)] {
        assert_eq!(refused(bad, &server, "").await, Some(Reason::FieldViolations), "{bad:?}");
    }
    assert_eq!(refused(name, "", "").await, Some(Reason::FieldViolations));
    assert_eq!(refused(name, "elsewhere", "").await, Some(Reason::DatabaseServerNotFound));

    legacy.run("CREATE TABLE seaql_migrations (version varchar(255) PRIMARY KEY, applied_at bigint NOT NULL)").await?;
    legacy.run("INSERT INTO seaql_migrations VALUES ('m20990101_000000_future', 1)").await?;
    assert_eq!(refused(name, &server, "").await, Some(Reason::SchemaTooNew));

    let somebody = Owner::of_new_company(sandbox, "Somebody").await?;
    let theirs = crate::migrations::database_of(sandbox, &operator, &somebody.company.id).await?;
    assert_eq!(refused(&theirs, &server, "").await, Some(Reason::DatabaseClaimed));
    if let Some(on_server) = sandbox.on_server() {
        assert_eq!(refused(&on_server.central(), &server, "").await, no);
        assert_eq!(refused(&on_server.migrators(), &server, "").await, no);
        let own = if legacy.is_postgres() { ["postgres", "template1"] } else { ["mysql", "information_schema"] };
        for own in own {
            assert_eq!(refused(own, &server, "").await, no, "{own}");
        }
        // Told by what is in it, under whatever name.
        let ledger = "CREATE TABLE tenantry_migrations AS SELECT 'central' AS";
        let set = if legacy.is_postgres() { "\"set\"" } else { "`set`" };
        legacy.run(&format!("{ledger} {set}, 'm1' AS version")).await?;
        assert_eq!(refused(name, &server, BEFORE).await, no);
    }
    // Nothing of all this has made a company.
    let list = operator.request(tenantry_api::catalog::v1::ListCompaniesRequest::default());
    assert_eq!(sandbox.companies()?.list_companies(list).await?.into_inner().companies.len(), 1);
    Ok(())
}

/// What the catalog asks for after its look, and the database was changed in between.
async fn an_adoption_that_failed_leaves_the_database(sandbox: &Sandbox) -> anyhow::Result<()> {
    let catalog = Bearer(sandbox.service_token("catalog", "migrator")?);
    let legacy = Legacy::unrecorded(sandbox, "kept", BEFORE).await?;
    let (company_id, database_id) = (Uuid::now_v7().to_string(), Uuid::now_v7().to_string());
    let create = CreateTenantDatabaseRequest {
        company_id: company_id.clone(),
        database_id: database_id.clone(),
        server: legacy.server(),
        password_verifier: Some(PasswordVerifier {
            scram_sha_256: "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy".to_owned(),
            mysql_native: format!("*{}", "0F".repeat(20)),
        }),
        adoption: Some(Adoption { name: legacy.name.clone(), ..Default::default() }),
    };
    let mut databases = sandbox.tenant_databases()?;
    let refused = databases.create_tenant_database(catalog.request(create)).await;
    assert_eq!(reason(refused), Some(Reason::DatabaseNotAdoptable));
    let drop = DropTenantDatabaseRequest { company_id, database_id, server: legacy.server() };
    databases.drop_tenant_database(catalog.request(drop.clone())).await?;
    databases.drop_tenant_database(catalog.request(drop)).await?;
    legacy.run("UPDATE people SET name = 'still here'").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_had_it_is_shut_out_and_a_right_that_is_missing_is_named_on_postgres() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Postgres).await?;
    let (server, operator) = (sandbox.on_server().expect("a server"), Operator::of(&sandbox).await?);
    let legacy = Legacy::unrecorded(&sandbox, "shut", BEFORE).await?;
    let (owner, other) = (legacy.owner(), format!("{}_other", legacy.name));
    server.run(&format!("CREATE ROLE {other}; GRANT CONNECT ON DATABASE {} TO {other}", legacy.name)).await?;
    legacy.run(&format!("GRANT SELECT ON people TO {other}; CREATE TYPE mood AS ENUM ('fine')")).await?;
    legacy.run("CREATE VIEW names AS SELECT name FROM people; CREATE TABLE odd (\"o\"\"dd\" serial)").await?;
    legacy.run("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'").await?;

    server.run(&format!("REVOKE {owner} FROM CURRENT_USER")).await?;
    let refused = create(&sandbox, &operator, legacy.creation(BEFORE)).await.expect_err("a refusal");
    assert_eq!(reason_of(&refused), Some(Reason::DatabaseNotAdoptable));
    assert!(refused.message().contains("membership"), "{}", refused.message());

    server.run(&format!("GRANT {owner} TO CURRENT_USER")).await?;
    let tenant = legacy.adopt(&operator, BEFORE).await?;
    let left = drift(&sandbox, &operator, &tenant.company.id).await?;
    let added = ["mood", "names", "odd", "one"];
    assert!(left.iter().all(|finding| added.iter().any(|name| finding.contains(name))), "{left:?}");
    for role in [&owner, &other] {
        let can = format!("SELECT has_database_privilege('{role}', '{}', 'CONNECT')::text", legacy.name);
        assert_eq!(sandbox.ask_migrators(&can).await?, ["false"], "{role}");
    }
    sandbox.stop().await
}
