//! Puts the crm together.

use std::sync::Arc;

use clap::Args;
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
use tenantry_api::crm::v1::transfer_service_server::TransferServiceServer;
use tenantry_ids::SystemIds;
use tenantry_rpc::SystemClock;
use tenantry_rpc::server::{ServerConfig, ServerError};
use tenantry_tenancy::{Schema, StartError, TenantService, TenantServiceConfig};
use tokio::net::TcpListener;

use crate::app::App;
use crate::app::transfers::{TransferConfig, Turns};
use crate::grpc::{
    AddressGrpc, ApplianceGrpc, AuditGrpc, DebtGrpc, DeviceGrpc, ManufacturerGrpc, PersonGrpc, PlaceGrpc, SmsGrpc,
    TariffGrpc, TicketCategoryGrpc, TicketGrpc, TransactionGrpc, TransferGrpc,
};
use crate::store::{PLUGINS, SCHEMA};

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "crm";

/// Everything that `serve` can be told.
#[derive(Debug, Clone, Args)]
pub struct CrmConfig {
    /// What every tenant-aware service can be told.
    #[command(flatten)]
    pub service: TenantServiceConfig,
    /// The bounds of imports and exports.
    #[command(flatten)]
    pub transfers: TransferConfig,
}

impl AsRef<ServerConfig> for CrmConfig {
    fn as_ref(&self) -> &ServerConfig {
        &self.service.server
    }
}

/// Opens everything behind the port that `listener` has. The catalog need not be there yet.
pub async fn start(config: CrmConfig, listener: TcpListener) -> Result<TenantService, StartError> {
    let CrmConfig { service, transfers } = config;
    transfers.validate().map_err(ServerError::Config)?;
    let turns = Arc::new(Turns::new(&transfers));
    let app = Arc::new(App { clock: Arc::new(SystemClock), ids: Arc::new(SystemIds), transfers, turns });
    TenantService::start(NAME, Schema::Tenant(SCHEMA).with_plugins(PLUGINS), service, listener, |server| {
        server
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
            .service(TransferServiceServer::new(TransferGrpc(app.clone())))
            .service(SmsServiceServer::new(SmsGrpc(app)))
            .service(AuditServiceServer::new(AuditGrpc))
    })
    .await
}
