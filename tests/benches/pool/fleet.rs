//! Many small databases on one PostgreSQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tenantry_ids::{CompanyId, SystemIds};
use tenantry_tenancy::{Directory, Endpoint, Limits, Placement, ResolveError, TenantState};
use tenantry_testkit::sandbox::{Engine, OnServer};
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// Databases that are made at the same time.
const AT_ONCE: usize = 4;

/// The tenants, with a database of one small table each.
pub(crate) struct Fleet {
    server: OnServer,
    /// Most wanted first.
    pub(crate) tenants: Vec<CompanyId>,
    placements: HashMap<CompanyId, Placement>,
}

impl Fleet {
    /// Clones a template so often.
    pub(crate) async fn make(tenants: usize) -> anyhow::Result<Arc<Self>> {
        let server = OnServer::of_suite(Engine::Postgres)?.ok_or_else(|| anyhow::anyhow!("no server"))?;
        let template = format!("{}template", server.prefix());
        connect(&server, "postgres").await?.batch_execute(&format!("CREATE DATABASE {template}")).await?;
        let rows = "CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL); \
                    INSERT INTO notes SELECT n, repeat('x', 100) FROM generate_series(1, 100) n; VACUUM ANALYZE notes";
        for sql in rows.split(';') {
            connect(&server, &template).await?.batch_execute(sql).await?;
        }
        let next = Arc::new(AtomicUsize::new(0));
        let mut makers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (client, next) = (connect(&server, "postgres").await?, next.clone());
            let prefix = server.prefix().to_owned();
            makers.spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= tenants {
                        return anyhow::Ok(());
                    }
                    let clone = format!("CREATE DATABASE {prefix}{number} TEMPLATE {prefix}template STRATEGY WAL_LOG");
                    client.batch_execute(&clone).await?;
                }
            });
        }
        while let Some(made) = makers.join_next().await {
            made??;
        }
        let ids: Vec<_> = (0..tenants).map(|_| CompanyId::new(&SystemIds)).collect();
        let placed = ids.iter().enumerate().map(|(number, id)| Ok((*id, placement(&server, *id, number)?)));
        let placements = placed.collect::<anyhow::Result<_>>()?;
        Ok(Arc::new(Self { server, tenants: ids, placements }))
    }

    /// Who looks at the server from outside.
    pub(crate) async fn onlooker(&self) -> anyhow::Result<Onlooker> {
        let client = connect(&self.server, "postgres").await?;
        Ok(Onlooker { client, pattern: format!("{}%", self.server.prefix()) })
    }
}

/// Counts the fleet's connections as the server does.
pub(crate) struct Onlooker {
    client: Client,
    pattern: String,
}

impl Onlooker {
    pub(crate) async fn connections(&self) -> anyhow::Result<i64> {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE $1 AND backend_type = 'client backend'";
        Ok(self.client.query_one(count, &[&self.pattern]).await?.get(0))
    }
}

async fn connect(server: &OnServer, database: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(&server.url_of(database), NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn placement(server: &OnServer, tenant: CompanyId, number: usize) -> anyhow::Result<Placement> {
    let url: tokio_postgres::Config = server.admin_url().parse()?;
    let (host, password) = (url.get_hosts().first(), url.get_password());
    let Some((tokio_postgres::config::Host::Tcp(host), password)) = host.zip(password) else {
        anyhow::bail!("a server that is not reached by TCP")
    };
    Ok(Placement {
        tenant,
        state: TenantState::Active,
        access_epoch: 1,
        generation: 1,
        schema_version: crate::service::VERSION.to_owned(),
        server: "bench".to_owned(),
        database: format!("{}{number}", server.prefix()),
        endpoint: Endpoint::Postgres {
            host: host.clone(),
            port: url.get_ports().first().copied().unwrap_or(5432),
            user: url.get_user().unwrap_or_default().to_owned(),
            password: String::from_utf8(password.to_vec())?.into(),
        },
        maintenance_retry: None,
        limits: Limits::default(),
        plugins: Arc::default(),
    })
}

#[async_trait]
impl Directory for Fleet {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        self.placements.get(&tenant).cloned().ok_or(ResolveError::NotFound)
    }
}
