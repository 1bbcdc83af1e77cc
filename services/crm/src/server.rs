//! Puts the crm together.

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
use tenantry_rpc::SystemClock;
use tenantry_tenancy::{Schema, StartError, TenantService, TenantServiceConfig};
use tokio::net::TcpListener;

use crate::app::App;
use crate::grpc::{
    AddressGrpc, ApplianceGrpc, AuditGrpc, DebtGrpc, DeviceGrpc, ManufacturerGrpc, PersonGrpc, PlaceGrpc, SmsGrpc,
    TariffGrpc, TicketCategoryGrpc, TicketGrpc, TransactionGrpc,
};
use crate::store::{PLUGINS, SCHEMA};

/// The service's name: its audience in tokens and its identity among services.
pub const NAME: &str = "crm";

/// Opens everything behind the port that `listener` has. The catalog need not be there yet.
pub async fn start(config: TenantServiceConfig, listener: TcpListener) -> Result<TenantService, StartError> {
    let app = Arc::new(App { clock: Arc::new(SystemClock), ids: Arc::new(SystemIds) });
    TenantService::start(NAME, Schema::Tenant(SCHEMA).with_plugins(PLUGINS), config, listener, |server| {
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
            .service(SmsServiceServer::new(SmsGrpc(app)))
            .service(AuditServiceServer::new(AuditGrpc))
    })
    .await
}
