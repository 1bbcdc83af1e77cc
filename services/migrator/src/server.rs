//! Puts the migrator together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use tenantry_api::migrator::v1::drift_service_server::DriftServiceServer;
use tenantry_api::migrator::v1::migration_service_server::MigrationServiceServer;
use tenantry_api::migrator::v1::reconciliation_service_server::ReconciliationServiceServer;
use tenantry_api::migrator::v1::rollout_service_server::RolloutServiceServer;
use tenantry_api::migrator::v1::tenant_database_service_server::TenantDatabaseServiceServer;
use tenantry_ids::SystemIds;
use tenantry_migration::{MigrationError, MigrationSet};
use tenantry_rpc::auth::KeyCache;
use tenantry_rpc::command::Started;
use tenantry_rpc::credentials::{Credentials, CredentialsError};
use tenantry_rpc::server::{BoundServer, ServerBuilder, ServerError};
use tenantry_rpc::{Clock, Shutdown, SystemClock};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::app::drift::DriftChecks;
use crate::app::figures;
use crate::app::plugins::Plugins;
use crate::app::reporter::{self, Reporter};
use crate::app::rollouts::{Engine, Wake};
use crate::app::spares::{Spares, Taken};
use crate::app::{App, CatalogClient, Settings};
use crate::grpc::{DriftGrpc, MigrationGrpc, ReconciliationGrpc, RolloutGrpc, TenantDatabaseGrpc};
use crate::servers::DatabaseServers;
use crate::store::{OwnDb, StoreError};
use crate::{MigratorConfig, sets};

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "migrator";

/// A migrator that cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the migrator's own database is older than this migrator needs: run \"migrator migrate-central\" first")]
    SchemaTooOld,
    #[error(transparent)]
    Migration(#[from] MigrationError),
    #[error("a database server's address cannot be used: {0}")]
    DatabaseServer(String),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A migrator that has its port and its database, and does not serve yet.
pub struct Migrator {
    app: Arc<App>,
    keys: Arc<KeyCache>,
    engine: Engine,
    spares: Spares,
    server: BoundServer,
}

impl Migrator {
    /// Opens everything behind the port that `listener` has, in the order in which it can fail clearly.
    pub async fn start(config: MigratorConfig, listener: TcpListener) -> Result<Self, StartError> {
        Self::start_with(config, listener, sets::plugins()?).await
    }

    /// With these plugins' sets, for a migrator that is built with others than ours.
    pub async fn start_with(
        config: MigratorConfig,
        listener: TcpListener,
        plugins: Vec<MigrationSet>,
    ) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let db = OwnDb::open(&config.own_database).await?;
        if !db.is_current(&sets::migrator()?).await? {
            return Err(StartError::SchemaTooOld);
        }
        let servers = DatabaseServers::new(&config.database_servers, &config.database_prefix)
            .map_err(|error| StartError::DatabaseServer(error.to_string()))?;

        let control_databases = control_databases(&config);
        let credentials = Credentials::load(NAME, &config.identity, &config.server, clock.clone())?;
        let catalog = credentials.channel(&config.catalog_address, "catalog")?;
        let keys = Arc::new(KeyCache::of_catalog(catalog.clone(), config.token_keys));
        let verifier = credentials.into_verifier(config.issuer, keys.clone());

        let app = Arc::new(App {
            db,
            clock,
            ids: Arc::new(SystemIds),
            servers,
            prefix: config.database_prefix,
            tenant_set: sets::tenant()?,
            central_set: sets::central()?,
            plugins: Plugins::new(plugins),
            settings: Settings {
                mode: config.server.mode,
                control_databases,
                central_database_url: config.central_database_url,
                lock_timeout: Duration::from_millis(config.lock_timeout_ms),
                statement_timeout: Duration::from_millis(config.statement_timeout_ms),
            },
            rollouts: Wake::default(),
            reporter: Reporter::default(),
            tasks: TaskTracker::new(),
            stopping: Shutdown::new(),
            spare_taken: Taken::default(),
            drift: DriftChecks::new(config.drift_checks_at_once),
            catalog: CatalogClient::new(catalog),
        });
        let server = ServerBuilder::new(NAME, config.server)
            .service(TenantDatabaseServiceServer::new(TenantDatabaseGrpc(app.clone())))
            .service(MigrationServiceServer::new(MigrationGrpc(app.clone())))
            .service(RolloutServiceServer::new(RolloutGrpc(app.clone())))
            .service(DriftServiceServer::new(DriftGrpc(app.clone())))
            .service(ReconciliationServiceServer::new(ReconciliationGrpc(app.clone())))
            .build(Arc::new(verifier), listener)
            .await?;
        let holder = app.ids.uuid().to_string();
        let engine = Engine { app: app.clone(), settings: config.rollouts, holder };
        let spares = Spares { app: app.clone(), settings: config.spares };
        Ok(Self { app, keys, engine, spares, server })
    }
}

/// The names in the URLs of the control plane's databases; files have none that a tenant's could have.
fn control_databases(config: &MigratorConfig) -> Vec<String> {
    let own = Some(config.own_database.database_url.as_str());
    let urls = [own, config.central_database_url.as_ref().map(|url| url.expose_secret())];
    let name = |url: &str| Some(Url::parse(url).ok()?.path().trim_start_matches('/').to_owned());
    urls.into_iter().flatten().filter_map(name).collect()
}

impl Started for Migrator {
    fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    async fn serve(self, shutdown: Shutdown) {
        let Self { app, keys, engine, spares, server } = self;
        let stopping = async {
            shutdown.begun().await;
            app.stopping.begin();
        };
        tokio::join!(
            server.serve(shutdown.clone()),
            keys.run(shutdown.clone()),
            engine.run(shutdown.clone()),
            spares.run(shutdown.clone()),
            reporter::run(app.clone(), shutdown.clone()),
            Box::pin(figures::run(app.clone(), shutdown.clone())),
            stopping,
        );
        app.drift.stop(shutdown.clone()).await;
        // Commands go on without their callers, but not for ever.
        app.tasks.close();
        tokio::select! {
            () = app.tasks.wait() => {}
            () = shutdown.forced() => {}
        }
        if let Err(error) = app.db.clone().close().await {
            tracing::debug!(%error, "the migrator's own database did not close");
        }
    }
}
