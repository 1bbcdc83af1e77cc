//! A tenant's database that somebody has changed by hand says so, and says nothing else.

mod changes;
mod equal;
mod scratch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::SystemTime;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tenantry_api::migrator::v1::{
    CheckDriftRequest, DriftChange, DriftObjectKind, DriftReport, GetTenantDatabaseRequest,
};
use tenantry_migration::{Rollback, Run, rollback, status};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tonic::Request;
use uuid::Uuid;

use crate::support::{per_engine, reason};

per_engine!(
    a_fresh_tenant_is_in_sync,
    every_change_by_hand_is_named_alone,
    a_tenant_behind_is_compared_at_its_own_version,
    a_database_that_is_gone_is_named; postgres_18
);

/// A company, its database, and an operator who asks about it.
struct Tenant<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
    company: String,
    database: String,
}

impl<'s> Tenant<'s> {
    async fn fresh(sandbox: &'s Sandbox) -> anyhow::Result<Self> {
        let company = Owner::of_new_company(sandbox, "Drift").await?.company.id;
        let operator = Operator::of(sandbox).await?;
        let get = GetTenantDatabaseRequest { company_id: company.clone() };
        let mut databases = sandbox.tenant_databases()?;
        let database = databases.get_tenant_database(operator.request(get)).await?.into_inner().name;
        Ok(Self { sandbox, operator, company, database })
    }

    fn request(&self) -> Request<CheckDriftRequest> {
        self.operator.request(CheckDriftRequest { company_id: self.company.clone() })
    }

    async fn check(&self) -> anyhow::Result<DriftReport> {
        Ok(self.sandbox.clients().drift()?.check_drift(self.request()).await?.into_inner())
    }

    /// What every name of this installation begins with.
    fn prefix(&self) -> &str {
        &self.database[..self.database.len() - 26]
    }

    /// As somebody with a terminal does it.
    async fn by_hand(&self, sql: &str) -> anyhow::Result<()> {
        let sql = sql.replace("{tenant}", &self.database).replace("{prefix}", self.prefix());
        let done = match self.sandbox.on_server() {
            Some(server) => server.run_in(&self.database, &sql).await,
            None => self.in_file(&sql).await,
        };
        done.map_err(|error| error.context(sql))
    }

    async fn in_file(&self, sql: &str) -> anyhow::Result<()> {
        let mut file = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(self.file())).await?;
        file.execute(AssertSqlSafe(sql.to_owned())).await?;
        Ok(file.close().await?)
    }

    /// As the migrator has it open: by the role that owns everything, where there is one.
    async fn open(&self) -> anyhow::Result<DatabaseConnection> {
        match self.sandbox.on_server() {
            Some(server) => open(&server.url_of(&self.database), server.prefix()).await,
            None => open(&format!("sqlite://{}", self.file().display()), self.prefix()).await,
        }
    }

    fn folder(&self) -> PathBuf {
        self.sandbox.folder().join("data/tenants")
    }

    fn file(&self) -> PathBuf {
        self.folder().join(format!("{}.db", self.database))
    }

    /// Every database, file and role that there is for companies.
    async fn left(&self) -> anyhow::Result<BTreeSet<String>> {
        let Some(server) = self.sandbox.on_server() else {
            let files = std::fs::read_dir(self.folder())?;
            let names = files.map(|file| Ok(file?.file_name().to_string_lossy().into_owned()));
            // The files beside a database come and go with its connections.
            let names: Vec<String> = names.collect::<std::io::Result<_>>()?;
            return Ok(names.into_iter().filter(|name| name.ends_with(".db")).collect());
        };
        Ok(server.tenant_databases().await?.into_iter().chain(server.roles().await?).collect())
    }
}

async fn open(url: &str, prefix: &str) -> anyhow::Result<DatabaseConnection> {
    let (mut options, owner) = (ConnectOptions::new(url), format!("{prefix}owner"));
    options
        .max_connections(1)
        .sqlx_logging(false)
        .map_sqlx_postgres_opts(move |options| options.options([("role", owner.as_str())]));
    Ok(Database::connect(options).await?)
}

fn run() -> Run {
    Run::new(Uuid::now_v7(), SystemTime::now().into())
}

/// What a report says, short.
fn told(report: &DriftReport) -> Vec<(DriftChange, DriftObjectKind, String)> {
    report.findings.iter().map(|finding| (finding.change(), finding.kind(), finding.name.clone())).collect()
}

async fn a_fresh_tenant_is_in_sync(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    let before = tenant.left().await?;
    let report = tenant.check().await?;
    assert_eq!(report.findings, []);
    assert!(report.in_sync && report.finding_count == 0 && report.check_time.is_some());
    assert_eq!((&report.company_id, &report.name), (&tenant.company, &tenant.database));
    assert_eq!(
        (report.set.as_str(), Some(report.schema_version.as_str())),
        ("tenant", migrator::sets::tenant()?.head())
    );
    assert_eq!(tenant.left().await?, before, "the scratch database is gone");
    Ok(())
}

/// By the service itself, so that who drifted can be listed without asking every server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_check_of_a_database_is_kept() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let tenant = Tenant::fresh(&sandbox).await?;
    let mut kept = Vec::new();
    for sql in ["SELECT 1", "CREATE TABLE extra (id int)", "DROP TABLE extra"] {
        tenant.by_hand(sql).await?;
        let report = tenant.check().await?;
        let options = SqliteConnectOptions::new().filename(sandbox.folder().join("data/migrator.db"));
        let mut file = SqliteConnection::connect_with(&options).await?;
        let query = "SELECT schema_version, finding_count, findings FROM drift_checks";
        let rows: Vec<(String, i32, String)> = sqlx::query_as(query).fetch_all(&mut file).await?;
        file.close().await?;
        assert!(rows.iter().all(|(version, ..)| *version == report.schema_version));
        kept.extend(rows.into_iter().map(|(_, count, findings)| (count, findings)));
    }
    let extra = r#"[{"change":"unexpected","kind":"table","name":"extra"}]"#;
    assert_eq!(kept, [(0, "[]".to_owned()), (1, extra.to_owned()), (0, "[]".to_owned())]);
    sandbox.stop().await
}

async fn every_change_by_hand_is_named_alone(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    let before = tenant.left().await?;
    for change in changes::of(sandbox) {
        tenant.by_hand(&change.make).await?;
        let report = tenant.check().await?;
        let name = change.name.replace("{prefix}", tenant.prefix());
        assert_eq!(told(&report), [(change.change, change.kind, name)], "{}: {:#?}", change.make, report.findings);
        assert!(!report.in_sync);
        // Whether this has taken it back, the next change's only finding says.
        tenant.by_hand(&change.undo).await?;
    }
    assert_eq!(tenant.check().await?.findings, []);
    assert_eq!(tenant.left().await?, before, "the scratch databases are gone");
    Ok(())
}

async fn a_tenant_behind_is_compared_at_its_own_version(sandbox: &Sandbox) -> anyhow::Result<()> {
    let (tenant, set) = (Tenant::fresh(sandbox).await?, migrator::sets::tenant()?);
    let db = tenant.open().await?;
    rollback(&db, &set, Rollback::Steps(2), &run()).await?;
    let version = status(&db, &set).await?.version().map(str::to_owned);
    db.close().await?;
    let report = tenant.check().await?;
    assert_eq!(report.findings, []);
    assert_eq!(Some(report.schema_version), version);
    // A version that this release does not know cannot be made.
    tenant
        .by_hand("UPDATE tenantry_migrations SET version = 'm20990101_000000_later' WHERE version LIKE '%places'")
        .await?;
    let refused = sandbox.clients().drift()?.check_drift(tenant.request()).await;
    assert_eq!(reason(refused), Some(Reason::SchemaTooNew));
    Ok(())
}

async fn a_database_that_is_gone_is_named(sandbox: &Sandbox) -> anyhow::Result<()> {
    let tenant = Tenant::fresh(sandbox).await?;
    match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => {
            server.run(&format!("DROP DATABASE \"{}\" WITH (FORCE)", tenant.database)).await?;
        }
        Some(server) => server.run(&format!("DROP DATABASE `{}`", tenant.database)).await?,
        None => std::fs::remove_file(tenant.file())?,
    }
    let report = tenant.check().await?;
    assert_eq!(told(&report), [(DriftChange::Missing, DriftObjectKind::Database, "<database>".to_owned())]);
    Ok(())
}
