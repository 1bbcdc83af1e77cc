//! Puts the catalog together.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tenantry_api::MAX_MESSAGE_BYTES;
use tenantry_api::catalog::v1::api_key_service_server::ApiKeyServiceServer;
use tenantry_api::catalog::v1::company_service_server::CompanyServiceServer;
use tenantry_api::catalog::v1::database_server_service_server::DatabaseServerServiceServer;
use tenantry_api::catalog::v1::event_service_server::EventServiceServer;
use tenantry_api::catalog::v1::issuer_service_server::IssuerServiceServer;
use tenantry_api::catalog::v1::key_service_server::KeyServiceServer;
use tenantry_api::catalog::v1::membership_service_server::MembershipServiceServer;
use tenantry_api::catalog::v1::operator_service_server::OperatorServiceServer;
use tenantry_api::catalog::v1::password_service_server::PasswordServiceServer;
use tenantry_api::catalog::v1::plan_service_server::PlanServiceServer;
use tenantry_api::catalog::v1::plugin_service_server::PluginServiceServer;
use tenantry_api::catalog::v1::tenant_directory_service_server::TenantDirectoryServiceServer;
use tenantry_api::catalog::v1::token_service_server::TokenServiceServer;
use tenantry_ids::{IdSource, SystemIds};
use tenantry_rpc::auth::{KeyCache, KeyCacheConfig};
use tenantry_rpc::command::Started;
use tenantry_rpc::credentials::{Credentials, CredentialsError};
use tenantry_rpc::server::{BoundServer, Mode, ServerBuilder, ServerError};
use tenantry_rpc::{Clock, Shutdown, SystemClock};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::CatalogConfig;
use crate::app::changes::{self, Changes};
use crate::app::event_log::{self, EventLog};
use crate::app::hooks::Hooks;
use crate::app::issuers::IssuerKeys;
use crate::app::keys::{Keyring, KeyringError};
use crate::app::plugins::Installations;
use crate::app::provisioning::{MigratorClient, Progress, StepTimes, Worker};
use crate::app::rotation::Rotations;
use crate::app::{App, Settings, figures, servers, sweeping};
use crate::domain::{PlainHttp, Tail, TenantServices};
use crate::grpc::{
    ApiKeyGrpc, CompanyGrpc, DirectoryGrpc, EventGrpc, IssuerGrpc, KeyGrpc, MembershipGrpc, OperatorGrpc, PasswordGrpc,
    PlanGrpc, PluginGrpc, ServerGrpc, TenantLayer, TokenGrpc,
};
use crate::http::{Discovery, KeySet};
use crate::secrets::{Passwords, SealError};
use crate::store::{CentralDb, StoreError, schema};

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "catalog";

/// A catalog that cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the database servers of the configuration cannot be registered: {0}")]
    Servers(#[from] tenantry_rpc::Error),
    #[error("the central database is older than this catalog needs: run \"migrator migrate-central\" first")]
    SchemaTooOld,
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A catalog that has its port and its database, and does not serve yet.
pub struct Catalog {
    app: Arc<App>,
    server: BoundServer,
    worker: Worker,
    rotations: Rotations,
    installations: Installations,
    tail: Tail,
    key_poll: Duration,
}

impl Catalog {
    /// Opens everything behind the port that `listener` has, in the order in which it can fail clearly.
    pub async fn start(config: CatalogConfig, listener: TcpListener) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
        config.keys.validate(config.jwks_max_age_s).map_err(StartError::Config)?;
        let settings = settings_of(&config)?;
        let db = open_central(&config).await?;
        let key_times = config.keys.times(settings.revocations_kept());
        let keyring = Arc::new(Keyring::new(db.clone(), config.sealing.sealer()?, key_times));
        keyring.keep_up(&*ids, clock.now()).await?;
        // A wrong key-encryption key shows now, and not at the first sign-in.
        keyring.signing_key().await?;

        let credentials = Credentials::load(NAME, &config.identity, &config.server, clock.clone())?;
        let channel = credentials.channel(&config.migrator_address, "migrator")?;
        let hooks = Hooks::new(&config.lifecycle_hooks, credentials.tls(), credentials.identity())
            .map_err(StartError::Config)?;
        let cache = KeyCacheConfig { key_refresh_ms: config.keys.key_poll_ms, ..KeyCacheConfig::default() };
        let token_keys = Arc::new(KeyCache::new(keyring.clone(), cache));
        let verifier = credentials.into_verifier(config.issuer.clone(), token_keys.clone());

        let plain_http = match config.server.mode {
            Mode::Dev => PlainHttp::OnLoopback,
            Mode::Production => PlainHttp::Never,
        };
        let tasks = TaskTracker::new();
        let issuer_keys =
            IssuerKeys::new(config.issuers.clone(), plain_http, tasks.clone()).map_err(StartError::Config)?;

        let app = Arc::new(App {
            db,
            clock,
            ids: ids.clone(),
            sealer: config.sealing.sealer()?,
            passwords: Passwords::new(&config.passwords).map_err(|error| StartError::Config(error.to_string()))?,
            keyring,
            token_keys,
            issuer_keys,
            progress: Progress::new(),
            rotations: Progress::new(),
            installations: Progress::new(),
            changes: Changes::new(config.watching.clone()),
            migrator: MigratorClient::new(channel),
            hooks,
            event_log: EventLog::new(config.events.clone()),
            tasks,
            stopping: Shutdown::new(),
            settings,
        });
        let key_poll = config.keys.poll();
        for server in &config.database_servers {
            servers::announce(&app, server).await?;
        }
        let tail = changes::begin(&app).await?;
        let name = format!("{NAME}-{}", ids.uuid());
        let rotations = Rotations { app: app.clone(), settings: config.provisioning.clone() };
        let installations = Installations { app: app.clone(), settings: config.provisioning.clone() };
        let settings = config.provisioning.clone();
        let worker = Worker { app: app.clone(), settings, name, times: StepTimes::new() };
        let server =
            services_of(ServerBuilder::new(NAME, config.server), &app).build(Arc::new(verifier), listener).await?;
        Ok(Self { app, server, worker, rotations, installations, tail, key_poll })
    }
}

impl Started for Catalog {
    fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    async fn serve(self, shutdown: Shutdown) {
        let Self { app, server, worker, rotations, installations, tail, key_poll } = self;
        let stopping = async {
            shutdown.begun().await;
            app.stopping.begin();
        };
        tokio::join!(
            server.serve(shutdown.clone()),
            worker.run(shutdown.clone()),
            rotations.run(shutdown.clone()),
            installations.run(shutdown.clone()),
            changes::follow(app.clone(), tail, shutdown.clone()),
            event_log::sweep(app.clone(), shutdown.clone()),
            sweeping::run(app.clone(), shutdown.clone()),
            app.keyring.run(&*app.ids, &*app.clock, key_poll, shutdown.clone()),
            app.token_keys.run(shutdown.clone()),
            Box::pin(figures::run(app.clone(), shutdown.clone())),
            stopping,
        );
        app.tasks.close();
        tokio::select! {
            () = app.tasks.wait() => {}
            () = shutdown.forced() => {}
        }
        if let Err(error) = app.db.clone().close().await {
            tracing::debug!(%error, "the central database did not close");
        }
    }
}

/// Opens the central database, and refuses one that is too old.
pub(crate) async fn open_central(config: &CatalogConfig) -> Result<CentralDb, StartError> {
    let db = CentralDb::open(&config.central).await?;
    if schema::is_new_enough(&db).await? { Ok(db) } else { Err(StartError::SchemaTooOld) }
}

fn settings_of(config: &CatalogConfig) -> Result<Settings, StartError> {
    let tenant_services = match &config.tenant_services_file {
        Some(path) => {
            let wrong =
                |problem: String| StartError::Config(format!("--tenant-services-file {}: {problem}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
            TenantServices::parse(&text).map_err(wrong)?
        }
        None => TenantServices::default(),
    };
    Ok(Settings {
        issuer: config.issuer.clone(),
        tenant_services,
        public_sign_up: config.public_sign_up,
        token_lifetime: Duration::from_secs(config.token_lifetime_s),
        sessions: config.sessions.clone(),
        throttle: config.throttle.clone(),
        jwks_max_age: Duration::from_secs(config.jwks_max_age_s.into()),
        invitation_lifetime: Duration::from_secs(config.invitation_lifetime_s),
        impersonation_lifetime: Duration::from_secs(config.impersonation_lifetime_s.into()),
        api_keys_per_company: config.api_keys_per_company,
        issuer_leeway: config.issuers.leeway(),
        deletion_grace: Duration::from_hours(24 * u64::from(config.deletion_grace_days)),
        credential_drain: Duration::from_secs(config.credential_drain_s),
    })
}

fn services_of(server: ServerBuilder, app: &Arc<App>) -> ServerBuilder {
    server
        .service(CompanyServiceServer::new(CompanyGrpc(app.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .service(TokenServiceServer::new(TokenGrpc(app.clone())))
        .service(ApiKeyServiceServer::new(ApiKeyGrpc(app.clone())))
        .service(OperatorServiceServer::new(OperatorGrpc(app.clone())))
        .service(MembershipServiceServer::new(MembershipGrpc(app.clone())))
        .service(PasswordServiceServer::new(PasswordGrpc(app.clone())))
        .service(IssuerServiceServer::new(IssuerGrpc(app.clone())))
        .service(KeyServiceServer::new(KeyGrpc(app.clone())))
        .service(DatabaseServerServiceServer::new(ServerGrpc(app.clone())))
        .service(PlanServiceServer::new(PlanGrpc(app.clone())))
        .service(PluginServiceServer::new(PluginGrpc(app.clone())))
        .service(EventServiceServer::new(EventGrpc(app.clone())))
        .service(TenantDirectoryServiceServer::new(DirectoryGrpc(app.clone())))
        .tenant_services(app.settings.tenant_services.names())
        .layer(TenantLayer(app.clone()))
        .document(KeySet(app.clone()))
        .document(Discovery(app.clone()))
}
