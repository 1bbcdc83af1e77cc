//! A tenant-aware service, put together: whatever every one of them needs around its handlers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tenantry_ids::SystemIds;
use tenantry_rpc::auth::{KeyCache, KeyCacheConfig, ServiceKeyFiles};
use tenantry_rpc::command::Started;
use tenantry_rpc::credentials::{Credentials, CredentialsError};
use tenantry_rpc::server::{BoundServer, Contact, Mode, ServerBuilder, ServerConfig, ServerError};
use tenantry_rpc::{Shutdown, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::control_plane::{self, Signals};
use crate::{
    CONTROL_PLANE, CachedDirectory, ConfigError, Directory, FileDirectory, FileDirectoryError, FollowConfig,
    GrpcDirectory, LimitConfig, PlacementCacheConfig, PoolConfig, Pools, Revocations, SchemaGate, TenancyLayer,
    TenantFollower, figures,
};

/// Everything that `serve` of a tenant-aware service can be told.
#[derive(Debug, Clone, Args)]
pub struct TenantServiceConfig {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub server: ServerConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub token_keys: KeyCacheConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub identity: ServiceKeyFiles,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub placements: PlacementCacheConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub follow: FollowConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub pool: PoolConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub limits: LimitConfig,

    /// The address of the catalog, which knows the tenants and the keys of their tokens; of several replicas with commas
    /// between them, and each that its name has takes its turn.
    #[arg(long, env = "TENANTRY_CATALOG_ADDRESS", default_value = "http://127.0.0.1:50051")]
    pub catalog_address: String,

    /// A file of tenants (docs in shared/tenancy/docs) to look them up in, instead of the catalog.
    /// Read again when it changes.
    #[arg(long, env = "TENANTRY_TENANTS_FILE")]
    pub tenants_file: Option<PathBuf>,

    /// The issuer that tokens name, as the catalog is configured.
    #[arg(long, env = "TENANTRY_ISSUER", default_value = "https://tenantry.invalid")]
    pub issuer: String,
}

impl TenantServiceConfig {
    /// The defaults, whatever the environment says, with what has none.
    pub fn at(listen: SocketAddr, mode: Mode, identity: ServiceKeyFiles) -> Self {
        Self {
            server: ServerConfig::at(listen, mode),
            token_keys: KeyCacheConfig::default(),
            identity,
            placements: PlacementCacheConfig::default(),
            follow: FollowConfig::default(),
            pool: PoolConfig::default(),
            limits: LimitConfig::default(),
            catalog_address: "http://127.0.0.1:50051".to_owned(),
            tenants_file: None,
            issuer: "https://tenantry.invalid".to_owned(),
        }
    }
}

impl AsRef<ServerConfig> for TenantServiceConfig {
    fn as_ref(&self) -> &ServerConfig {
        &self.server
    }
}

/// A tenant-aware service that cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the tenants file cannot be used")]
    TenantsFile(#[from] FileDirectoryError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A tenant-aware service that has its port and does not serve yet: its gRPC services behind every layer that ours
/// have, the road to tenants' databases, and what follows the catalog in the background.
pub struct TenantService {
    pools: Arc<Pools>,
    keys: Arc<KeyCache>,
    server: BoundServer,
    follower: Option<TenantFollower>,
    contact: watch::Sender<Contact>,
    staleness: Duration,
}

impl TenantService {
    /// Opens everything behind the port that `listener` has. The catalog need not be there yet.
    ///
    /// `name` is the service's audience in tokens and its identity among services; `gate` says on whose tables it
    /// works, a [`Schema`](crate::Schema) where no RPC belongs to another's plugin; `register` adds the generated services, and the descriptors where they are not among ours.
    pub async fn start(
        name: &'static str,
        gate: impl Into<SchemaGate>,
        config: TenantServiceConfig,
        listener: TcpListener,
        register: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> Result<Self, StartError> {
        config.placements.validate()?;
        config.pool.validate()?;
        config.follow.validate()?;
        let credentials = Credentials::load(name, &config.identity, &config.server, Arc::new(SystemClock))?;
        let catalog = credentials.channel(&config.catalog_address, "catalog")?;
        let keys = Arc::new(KeyCache::of_catalog(catalog.clone(), config.token_keys));
        let verifier = credentials.into_verifier(config.issuer, keys.clone());

        let directory: Arc<dyn Directory> = match &config.tenants_file {
            Some(file) => Arc::new(FileDirectory::open(file).await?),
            None => Arc::new(GrpcDirectory::new(catalog.clone())),
        };
        let directory = Arc::new(CachedDirectory::new(directory, &config.placements));
        figures::observe_cache(&directory);
        let staleness = Duration::from_secs(config.placements.placement_staleness_s);
        let (revocations, ids) = (Arc::new(Revocations::new()), Arc::new(SystemIds));
        // A file tells of no changes: it is asked again.
        let follower = config
            .tenants_file
            .is_none()
            .then(|| TenantFollower::new(catalog, directory.clone(), revocations.clone(), ids, config.follow));
        if let Some(follower) = &follower {
            figures::observe_follower(follower.last_heard());
        }
        let pools = Arc::new(Pools::new(config.pool));
        let tenancy = TenancyLayer::new(directory, revocations, pools.clone(), gate, &config.limits);
        let contact = watch::Sender::new(Contact::Never);
        figures::observe_contact(contact.subscribe());
        let server = ServerBuilder::new(name, config.server).depends_on(CONTROL_PLANE, contact.subscribe());
        let server = register(server).layer(tenancy);
        let server = server.build(Arc::new(verifier), listener).await?;
        Ok(Self { pools, keys, server, follower, contact, staleness })
    }
}

impl Started for TenantService {
    fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    async fn serve(self, shutdown: Shutdown) {
        let signals = Signals { keys: self.keys.fetches(), changes: self.follower.as_ref().map(TenantFollower::hears) };
        let tell = control_plane::tell(signals, self.contact, self.staleness, shutdown.clone());
        let follow = async {
            if let Some(follower) = self.follower {
                follower.run(shutdown.clone()).await;
            }
        };
        tokio::join!(self.server.serve(shutdown.clone()), self.keys.run(shutdown.clone()), follow, tell);
        tokio::select! {
            () = self.pools.close_all() => {}
            () = shutdown.forced() => {}
        }
    }
}
