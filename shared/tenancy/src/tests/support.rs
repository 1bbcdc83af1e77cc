//! Databases of a test's own, and requests to them.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use sea_orm::ConnectionTrait;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, PgConnection};
use tenantry_ids::{CompanyId, SystemIds};
use tokio::time::Instant;
use url::Url;

use crate::handle::{AccessGuard, TenantAccess};
use crate::{Endpoint, Limits, Placement, PoolConfig, Pools, TenantDb, TenantState};

/// Some databases on one server, dropped at the end.
pub(super) struct Databases {
    pub(super) placements: Vec<Placement>,
    /// What every name begins with.
    pub(super) prefix: String,
    pub(super) admin: Option<Url>,
    folder: Option<tempfile::TempDir>,
}

impl Databases {
    pub(super) async fn sqlite(count: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prefix = prefix();
        let mut placements = Vec::new();
        for n in 0..count {
            let path = folder.path().join(format!("{prefix}{n}.db"));
            // An empty file is an empty database.
            std::fs::write(&path, []).unwrap();
            placements.push(placement(format!("{prefix}{n}"), Endpoint::Sqlite { path }));
        }
        Self { placements, prefix, admin: None, folder: Some(folder) }
    }

    pub(super) async fn postgres(count: usize) -> Self {
        Self::on_server(count, admin_url("TENANTRY_TEST_POSTGRES_URL")).await
    }

    pub(super) async fn mariadb(count: usize) -> Self {
        Self::on_server(count, admin_url("TENANTRY_TEST_MARIADB_URL")).await
    }

    async fn on_server(count: usize, admin: Url) -> Self {
        let prefix = prefix();
        let names: Vec<_> = (0..count).map(|n| format!("{prefix}{n}")).collect();
        run_as_admin(&admin, names.iter().map(|name| format!("CREATE DATABASE {name}"))).await;
        let placements = names.into_iter().map(|name| placement(name, endpoint(&admin))).collect();
        Self { placements, prefix, admin: Some(admin), folder: None }
    }

    pub(super) fn first(&self) -> &Placement {
        &self.placements[0]
    }

    /// Runs `sql` on the first database, past the pool.
    pub(super) async fn run(&self, sql: &str) {
        let pools = pools(PoolConfig::default());
        let request = Request::to(&pools, self.first());
        request.db().read().await.unwrap().execute_unprepared(sql).await.unwrap();
        pools.close_all().await;
    }
}

impl Drop for Databases {
    fn drop(&mut self) {
        drop(self.folder.take());
        let Some(admin) = self.admin.take() else { return };
        let force = if admin.scheme().starts_with("postgres") { " WITH (FORCE)" } else { "" };
        let drops: Vec<_> =
            self.placements.iter().map(|it| format!("DROP DATABASE IF EXISTS {}{force}", it.database)).collect();
        // A test's own runtime may be single-threaded, or gone.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run_as_admin(&admin, drops));
        });
        let _ = dropping.join();
    }
}

/// What the tower layer puts into a request, and the request's end.
pub(super) struct Request {
    pub(super) extensions: Extensions,
    pub(super) guard: AccessGuard,
}

impl Request {
    pub(super) fn to(pools: &Arc<Pools>, placement: &Placement) -> Self {
        // A bound for what hangs, no measure of speed.
        Self::with_deadline(pools, placement, Duration::from_secs(60))
    }

    pub(super) fn with_deadline(pools: &Arc<Pools>, placement: &Placement, time: Duration) -> Self {
        let (access, guard) =
            TenantAccess::new(placement.tenant, Arc::new(placement.clone()), Arc::clone(pools), Instant::now() + time)
                .unwrap();
        let mut extensions = Extensions::new();
        extensions.insert(access);
        Self { extensions, guard }
    }

    pub(super) fn db(&self) -> TenantDb<'_> {
        TenantDb::from_extensions(&self.extensions).unwrap()
    }
}

pub(super) fn pools(config: PoolConfig) -> Arc<Pools> {
    config.validate().unwrap();
    Arc::new(Pools::new(config))
}

/// Pools with room for `n` connections.
pub(super) fn pools_of(n: u32) -> Arc<Pools> {
    pools(PoolConfig {
        connections_per_server: n,
        connections_per_tenant: n.min(10),
        // Bounds for what hangs, no measure of speed.
        connect_timeout_ms: 60_000,
        checkout_timeout_ms: 60_000,
        ..PoolConfig::default()
    })
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < give_up, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) async fn run_as_admin(admin: &Url, statements: impl IntoIterator<Item = String>) {
    if admin.scheme().starts_with("postgres") {
        let mut connection = PgConnection::connect(admin.as_str()).await.unwrap();
        for sql in statements {
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
        }
    } else {
        let mut connection = MySqlConnection::connect(admin.as_str()).await.unwrap();
        for sql in statements {
            connection.execute(AssertSqlSafe(sql)).await.unwrap();
        }
    }
}

fn admin_url(variable: &str) -> Url {
    let value = std::env::var_os(variable).expect("run through `cargo xtask test`");
    value.into_string().unwrap().parse().unwrap()
}

fn endpoint(admin: &Url) -> Endpoint {
    let host = admin.host_str().unwrap().to_owned();
    let user = admin.username().to_owned();
    let password = admin.password().unwrap_or_default().to_owned().into();
    if admin.scheme().starts_with("postgres") {
        Endpoint::Postgres { host, port: admin.port().unwrap_or(5432), user, password }
    } else {
        Endpoint::MySql { host, port: admin.port().unwrap_or(3306), user, password }
    }
}

fn placement(database: String, endpoint: Endpoint) -> Placement {
    Placement {
        tenant: CompanyId::new(&SystemIds),
        state: TenantState::Active,
        access_epoch: 0,
        generation: 1,
        schema_version: "m20261101_000001".to_owned(),
        server: "test".to_owned(),
        database,
        endpoint,
        maintenance_retry: None,
        limits: Limits::default(),
        plugins: Arc::default(),
    }
}

fn prefix() -> String {
    format!("tt_{}_", CompanyId::new(&SystemIds).to_base32())
}
