//! Clients of the three services, wherever these run.

use std::net::SocketAddr;

use tenantry::Addresses;
use tenantry_api::catalog::v1::api_key_service_client::ApiKeyServiceClient;
use tenantry_api::catalog::v1::company_service_client::CompanyServiceClient;
use tenantry_api::catalog::v1::database_server_service_client::DatabaseServerServiceClient;
use tenantry_api::catalog::v1::event_service_client::EventServiceClient;
use tenantry_api::catalog::v1::issuer_service_client::IssuerServiceClient;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_api::catalog::v1::membership_service_client::MembershipServiceClient;
use tenantry_api::catalog::v1::operator_service_client::OperatorServiceClient;
use tenantry_api::catalog::v1::password_service_client::PasswordServiceClient;
use tenantry_api::catalog::v1::plan_service_client::PlanServiceClient;
use tenantry_api::catalog::v1::plugin_service_client::PluginServiceClient;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::crm::v1::address_service_client::AddressServiceClient;
use tenantry_api::crm::v1::appliance_service_client::ApplianceServiceClient;
use tenantry_api::crm::v1::audit_service_client::AuditServiceClient;
use tenantry_api::crm::v1::debt_service_client::DebtServiceClient;
use tenantry_api::crm::v1::device_service_client::DeviceServiceClient;
use tenantry_api::crm::v1::manufacturer_service_client::ManufacturerServiceClient;
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::place_service_client::PlaceServiceClient;
use tenantry_api::crm::v1::sms_service_client::SmsServiceClient;
use tenantry_api::crm::v1::tariff_service_client::TariffServiceClient;
use tenantry_api::crm::v1::ticket_category_service_client::TicketCategoryServiceClient;
use tenantry_api::crm::v1::ticket_service_client::TicketServiceClient;
use tenantry_api::crm::v1::transaction_service_client::TransactionServiceClient;
use tenantry_api::crm::v1::transfer_service_client::TransferServiceClient;
use tenantry_api::migrator::v1::drift_service_client::DriftServiceClient;
use tenantry_api::migrator::v1::migration_service_client::MigrationServiceClient;
use tenantry_api::migrator::v1::reconciliation_service_client::ReconciliationServiceClient;
use tenantry_api::migrator::v1::rollout_service_client::RolloutServiceClient;
use tenantry_api::migrator::v1::tenant_database_service_client::TenantDatabaseServiceClient;
use tenantry_rpc::client::{self, ServiceChannel};

use super::Sandbox;

/// Makes clients, each on a connection of its own.
#[derive(Debug, Clone, Copy)]
pub struct Clients(Addresses);

impl Clients {
    /// Of the services at these addresses.
    pub fn of(addresses: Addresses) -> Self {
        Self(addresses)
    }

    /// A client of the catalog.
    pub fn companies(&self) -> anyhow::Result<CompanyServiceClient<ServiceChannel>> {
        Ok(CompanyServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn tokens(&self) -> anyhow::Result<TokenServiceClient<ServiceChannel>> {
        Ok(TokenServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn api_keys(&self) -> anyhow::Result<ApiKeyServiceClient<ServiceChannel>> {
        Ok(ApiKeyServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn keys(&self) -> anyhow::Result<KeyServiceClient<ServiceChannel>> {
        Ok(KeyServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn issuers(&self) -> anyhow::Result<IssuerServiceClient<ServiceChannel>> {
        Ok(IssuerServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn operators(&self) -> anyhow::Result<OperatorServiceClient<ServiceChannel>> {
        Ok(OperatorServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn memberships(&self) -> anyhow::Result<MembershipServiceClient<ServiceChannel>> {
        Ok(MembershipServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn plugins(&self) -> anyhow::Result<PluginServiceClient<ServiceChannel>> {
        Ok(PluginServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn plans(&self) -> anyhow::Result<PlanServiceClient<ServiceChannel>> {
        Ok(PlanServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn passwords(&self) -> anyhow::Result<PasswordServiceClient<ServiceChannel>> {
        Ok(PasswordServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn database_servers(&self) -> anyhow::Result<DatabaseServerServiceClient<ServiceChannel>> {
        Ok(DatabaseServerServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog.
    pub fn events(&self) -> anyhow::Result<EventServiceClient<ServiceChannel>> {
        Ok(EventServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the catalog, for services.
    pub fn directory(&self) -> anyhow::Result<TenantDirectoryServiceClient<ServiceChannel>> {
        Ok(TenantDirectoryServiceClient::new(open(self.0.catalog, "catalog")?))
    }

    /// A client of the migrator.
    pub fn tenant_databases(&self) -> anyhow::Result<TenantDatabaseServiceClient<ServiceChannel>> {
        Ok(TenantDatabaseServiceClient::new(open(self.0.migrator, "migrator")?))
    }

    /// A client of the migrator.
    pub fn migrations(&self) -> anyhow::Result<MigrationServiceClient<ServiceChannel>> {
        Ok(MigrationServiceClient::new(open(self.0.migrator, "migrator")?))
    }

    /// A client of the migrator.
    pub fn rollouts(&self) -> anyhow::Result<RolloutServiceClient<ServiceChannel>> {
        Ok(RolloutServiceClient::new(open(self.0.migrator, "migrator")?))
    }

    /// A client of the migrator.
    pub fn drift(&self) -> anyhow::Result<DriftServiceClient<ServiceChannel>> {
        Ok(DriftServiceClient::new(open(self.0.migrator, "migrator")?))
    }

    /// A client of the migrator.
    pub fn reconciliation(&self) -> anyhow::Result<ReconciliationServiceClient<ServiceChannel>> {
        Ok(ReconciliationServiceClient::new(open(self.0.migrator, "migrator")?))
    }

    /// A client of the crm.
    pub fn people(&self) -> anyhow::Result<PersonServiceClient<ServiceChannel>> {
        Ok(PersonServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn addresses(&self) -> anyhow::Result<AddressServiceClient<ServiceChannel>> {
        Ok(AddressServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn places(&self) -> anyhow::Result<PlaceServiceClient<ServiceChannel>> {
        Ok(PlaceServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn audit(&self) -> anyhow::Result<AuditServiceClient<ServiceChannel>> {
        Ok(AuditServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn tickets(&self) -> anyhow::Result<TicketServiceClient<ServiceChannel>> {
        Ok(TicketServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn ticket_categories(&self) -> anyhow::Result<TicketCategoryServiceClient<ServiceChannel>> {
        Ok(TicketCategoryServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn debts(&self) -> anyhow::Result<DebtServiceClient<ServiceChannel>> {
        Ok(DebtServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn devices(&self) -> anyhow::Result<DeviceServiceClient<ServiceChannel>> {
        Ok(DeviceServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn manufacturers(&self) -> anyhow::Result<ManufacturerServiceClient<ServiceChannel>> {
        Ok(ManufacturerServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn tariffs(&self) -> anyhow::Result<TariffServiceClient<ServiceChannel>> {
        Ok(TariffServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn appliances(&self) -> anyhow::Result<ApplianceServiceClient<ServiceChannel>> {
        Ok(ApplianceServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn sms(&self) -> anyhow::Result<SmsServiceClient<ServiceChannel>> {
        Ok(SmsServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn transfers(&self) -> anyhow::Result<TransferServiceClient<ServiceChannel>> {
        Ok(TransferServiceClient::new(open(self.0.crm, "crm")?))
    }

    /// A client of the crm.
    pub fn transactions(&self) -> anyhow::Result<TransactionServiceClient<ServiceChannel>> {
        Ok(TransactionServiceClient::new(open(self.0.crm, "crm")?))
    }
}

impl From<&Sandbox> for Clients {
    fn from(sandbox: &Sandbox) -> Self {
        sandbox.clients()
    }
}

fn open(address: SocketAddr, service: &'static str) -> anyhow::Result<ServiceChannel> {
    Ok(client::open(&format!("http://{address}"), service, None)?)
}
