//! The crm's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tenantry_rpc::auth::{KeyCacheConfig, ServiceKeyFiles};
use tenantry_rpc::server::{Mode, ServerConfig};
use tenantry_tenancy::{FollowConfig, LimitConfig, PlacementCacheConfig, PoolConfig};

/// Everything `crm serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct CrmConfig {
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

    /// The address of the catalog, which knows the tenants and the keys of their tokens.
    #[arg(long, env = "TENANTRY_CATALOG_ADDRESS", default_value = "http://127.0.0.1:50051")]
    pub catalog_address: String,

    /// A file of tenants (docs in shared/tenancy/docs) to look them up in, instead of the catalog.
    /// Read again when it changes.
    #[arg(long, env = "CRM_TENANTS_FILE")]
    pub tenants_file: Option<PathBuf>,

    /// The issuer that tokens name, as the catalog is configured.
    #[arg(long, env = "TENANTRY_ISSUER", default_value = "https://tenantry.invalid")]
    pub issuer: String,
}

impl CrmConfig {
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
