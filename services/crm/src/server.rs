//! Puts the crm together.

use std::net::SocketAddr;
use std::sync::Arc;

use tenantry_api::crm::v1::address_service_server::AddressServiceServer;
use tenantry_api::crm::v1::appliance_service_server::ApplianceServiceServer;
use tenantry_api::crm::v1::audit_service_server::AuditServiceServer;
use tenantry_api::crm::v1::debt_service_server::DebtServiceServer;
use tenantry_api::crm::v1::device_service_server::DeviceServiceServer;
use tenantry_api::crm::v1::manufacturer_service_server::ManufacturerServiceServer;
use tenantry_api::crm::v1::person_service_server::PersonServiceServer;
use tenantry_api::crm::v1::place_service_server::PlaceServiceServer;
use tenantry_api::crm::v1::sms_service_server::SmsServiceServer;
use tenantry_api::crm::v1::tariff_service_server::TariffServiceServer;
use tenantry_api::crm::v1::ticket_category_service_server::TicketCategoryServiceServer;
use tenantry_api::crm::v1::ticket_service_server::TicketServiceServer;
use tenantry_api::crm::v1::transaction_service_server::TransactionServiceServer;
use tenantry_ids::SystemIds;
use tenantry_rpc::auth::{IdentityError, KeyCache, Verifier, VerifierSettings};
use tenantry_rpc::client::{self, AddressError};
use tenantry_rpc::command::Started;
use tenantry_rpc::server::{BoundServer, ServerBuilder, ServerError};
use tenantry_rpc::tls::{ClientTls, TlsError};
use tenantry_rpc::{Clock, Shutdown, SystemClock};
use tenantry_tenancy::{
    CachedDirectory, ConfigError, Directory, FileDirectory, FileDirectoryError, GrpcDirectory, Pools, Revocations,
    TenancyLayer, TenantFollower,
};
use tokio::net::TcpListener;

use crate::CrmConfig;
use crate::app::App;
use crate::grpc::{
    AddressGrpc, ApplianceGrpc, AuditGrpc, DebtGrpc, DeviceGrpc, ManufacturerGrpc, PersonGrpc, PlaceGrpc, SmsGrpc,
    TariffGrpc, TicketCategoryGrpc, TicketGrpc, TransactionGrpc,
};
use crate::store::{PLUGINS, SCHEMA};

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "crm";

/// A crm that cannot start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum StartError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("the tenants file cannot be used")]
    TenantsFile(#[from] FileDirectoryError),
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// A crm that has its port and does not serve yet.
pub struct Crm {
    pools: Arc<Pools>,
    keys: Arc<KeyCache>,
    server: BoundServer,
    follower: Option<TenantFollower>,
}

impl Crm {
    /// Opens everything behind the port that `listener` has. The catalog need not be there yet.
    pub async fn start(config: CrmConfig, listener: TcpListener) -> Result<Self, StartError> {
        config.placements.validate()?;
        config.pool.validate()?;
        config.follow.validate()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let tls = ClientTls::of_service(&config.server)?;
        let identity = config.identity.identity(NAME, &tls, clock.clone())?;
        let catalog = client::open_with(&tls, &config.catalog_address, "catalog", identity)?;
        let services = config.identity.trusted(&config.server.tls)?;
        let settings = VerifierSettings {
            issuer: config.issuer,
            audience: NAME.to_owned(),
            remembered_tokens: config.server.remembered_tokens,
        };
        let keys = Arc::new(KeyCache::of_catalog(catalog.clone(), config.token_keys));
        let verifier = Verifier::new(settings, keys.clone(), services, clock.clone());

        let directory: Arc<dyn Directory> = match &config.tenants_file {
            Some(file) => Arc::new(FileDirectory::open(file).await?),
            None => Arc::new(GrpcDirectory::new(catalog.clone())),
        };
        let directory = Arc::new(CachedDirectory::new(directory, &config.placements));
        let (revocations, ids) = (Arc::new(Revocations::new()), Arc::new(SystemIds));
        // A file tells of no changes: it is asked again.
        let follower = config
            .tenants_file
            .is_none()
            .then(|| TenantFollower::new(catalog, directory.clone(), revocations.clone(), ids.clone(), config.follow));
        let pools = Arc::new(Pools::new(config.pool));
        let tenancy = TenancyLayer::new(directory, revocations, pools.clone(), SCHEMA, &config.limits);
        let tenancy = tenancy.with_plugins(PLUGINS);
        let app = Arc::new(App { clock, ids });
        let server = ServerBuilder::new(NAME, config.server)
            .service(PersonServiceServer::new(PersonGrpc(app.clone())))
            .service(AddressServiceServer::new(AddressGrpc(app.clone())))
            .service(PlaceServiceServer::new(PlaceGrpc(app.clone())))
            .service(ManufacturerServiceServer::new(ManufacturerGrpc(app.clone())))
            .service(TariffServiceServer::new(TariffGrpc(app.clone())))
            .service(DeviceServiceServer::new(DeviceGrpc(app.clone())))
            .service(DebtServiceServer::new(DebtGrpc(app.clone())))
            .service(TransactionServiceServer::new(TransactionGrpc(app.clone())))
            .service(TicketCategoryServiceServer::new(TicketCategoryGrpc(app.clone())))
            .service(TicketServiceServer::new(TicketGrpc(app.clone())))
            .service(ApplianceServiceServer::new(ApplianceGrpc(app.clone())))
            .service(SmsServiceServer::new(SmsGrpc(app)))
            .service(AuditServiceServer::new(AuditGrpc))
            .layer(tenancy)
            .build(Arc::new(verifier), listener)
            .await?;
        Ok(Self { pools, keys, server, follower })
    }
}

impl Started for Crm {
    fn address(&self) -> std::io::Result<SocketAddr> {
        self.server.address()
    }

    async fn serve(self, shutdown: Shutdown) {
        let follow = async {
            if let Some(follower) = self.follower {
                follower.run(shutdown.clone()).await;
            }
        };
        tokio::join!(self.server.serve(shutdown.clone()), self.keys.run(shutdown.clone()), follow);
        tokio::select! {
            () = self.pools.close_all() => {}
            () = shutdown.forced() => {}
        }
    }
}
