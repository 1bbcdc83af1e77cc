//! A row for every RPC: a body that succeeds with each of its rightful callers. Made anew for every call that is to
//! succeed, since most can succeed only once.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tenantry_rpc::Reason;
use uuid::Uuid;

use super::world::{PASSWORD, World, fresh_email};

/// What the user of another company gets, where no field of the request names the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// The same refusal as for what has never been.
    Refused(Reason),
    /// An answer from their own company, with nothing of the first one's in it.
    OwnData,
}

/// The RPCs that end the tokens of those who make them: everybody signs in again afterwards.
pub(crate) const ENDS_TOKENS: &[&str] = &[
    "tenantry.catalog.v1.CompanyService/SignOutEveryone",
    "tenantry.catalog.v1.MembershipService/LeaveCompany",
    "tenantry.catalog.v1.TokenService/ChangePassword",
    "tenantry.catalog.v1.TokenService/SignOutEverywhere",
];

/// Two functions from one list, so that it is complete by the same token: `names` and `body`.
macro_rules! rows {
    ($world:ident: $($rpc:literal $([$elsewhere:expr])? => $body:expr,)+) => {
        /// The RPCs that have a row.
        pub(crate) const NAMES: &[&str] = &[$($rpc),+];

        /// A valid body for the RPC; `None` where it has no row.
        pub(crate) async fn body($world: &World, rpc: &str) -> anyhow::Result<Option<Value>> {
            Ok(Some(match rpc {
                $($rpc => $body,)+
                _ => return Ok(None),
            }))
        }

        /// What the row says of other companies' users.
        pub(crate) fn elsewhere(rpc: &str) -> Option<Elsewhere> {
            match rpc {
                $($($rpc => Some($elsewhere),)?)+
                _ => None,
            }
        }
    };
}

rows! { world:
    "tenantry.catalog.v1.ApiKeyService/CreateApiKey" => json!({
        "company_id": world.one.id,
        "name": "a machine",
        "scopes": ["crm.people.read"],
    }),
    "tenantry.catalog.v1.ApiKeyService/ListApiKeys" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.ApiKeyService/RevokeApiKey" => json!({
        "company_id": world.one.id,
        "api_key_id": world.api_key().await?["api_key"]["id"],
    }),
    "tenantry.catalog.v1.CompanyService/RegisterCompany" => json!({
        "name": "Registered",
        "owner_email": fresh_email(),
        "owner_password": PASSWORD,
        "request_id": fresh_id(),
    }),
    "tenantry.catalog.v1.CompanyService/CreateCompany" => json!({
        "name": "Created",
        "owner_email": fresh_email(),
        "owner_password": PASSWORD,
        "request_id": fresh_id(),
    }),
    "tenantry.catalog.v1.CompanyService/GetCompany" => json!({ "id": world.one.id }),
    "tenantry.catalog.v1.CompanyService/ListCompanies" => json!({ "page_size": 10 }),
    "tenantry.catalog.v1.CompanyService/UpdateCompany" => json!({
        "company": { "id": world.one.id, "labels": { "touched": fresh_id() } },
    }),
    "tenantry.catalog.v1.CompanyService/SuspendCompany" => json!({ "id": world.spare().await?, "reason": "unpaid" }),
    "tenantry.catalog.v1.CompanyService/ResumeCompany" => json!({ "id": world.suspended().await? }),
    "tenantry.catalog.v1.CompanyService/EnterMaintenance" => json!({ "id": world.spare().await?, "reason": "a move" }),
    "tenantry.catalog.v1.CompanyService/LeaveMaintenance" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/DeleteCompany" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/UndeleteCompany" => json!({ "id": world.deleted().await? }),
    "tenantry.catalog.v1.CompanyService/PurgeCompany" => json!({ "id": world.deleted().await?, "force": true }),
    "tenantry.catalog.v1.CompanyService/RetryProvisioning" => json!({ "id": world.spare().await? }),
    "tenantry.catalog.v1.CompanyService/RotateDatabaseCredential" => json!({ "id": world.one.id }),
    "tenantry.catalog.v1.CompanyService/SignOutEveryone" => json!({ "id": world.at_its_first_epoch().await? }),
    "tenantry.catalog.v1.DatabaseServerService/RegisterDatabaseServer" => json!({
        "name": fresh_id(),
        "endpoint": "sqlite:/nowhere",
        "state": "DATABASE_SERVER_STATE_CLOSED",
    }),
    "tenantry.catalog.v1.DatabaseServerService/GetDatabaseServer" => json!({ "name": "local" }),
    "tenantry.catalog.v1.DatabaseServerService/ListDatabaseServers" => json!({}),
    "tenantry.catalog.v1.DatabaseServerService/UpdateDatabaseServer" => json!({
        "database_server": { "name": "local", "region": fresh_id() },
    }),
    "tenantry.catalog.v1.EventService/ListEvents" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.EventService/WatchEvents" => json!({}),
    "tenantry.catalog.v1.IssuerService/CreateIssuer" => json!({
        "issuer": {
            "issuer_url": format!("https://{}.example", fresh_id()),
            "audiences": ["tenantry"],
            "company_claim": "org_id",
        },
        "request_id": fresh_id(),
    }),
    "tenantry.catalog.v1.IssuerService/GetIssuer" => json!({ "id": world.spare_issuer().await? }),
    "tenantry.catalog.v1.IssuerService/ListIssuers" => json!({ "page_size": 10 }),
    "tenantry.catalog.v1.IssuerService/UpdateIssuer" => json!({
        "issuer": { "id": world.spare_issuer().await?, "disabled": true },
    }),
    "tenantry.catalog.v1.IssuerService/DeleteIssuer" => json!({ "id": world.spare_issuer().await? }),
    "tenantry.catalog.v1.IssuerService/CreateIssuerCompany" => json!({
        "issuer_id": world.spare_issuer().await?,
        "claim_value": "org_1",
        "company_id": world.one.id,
    }),
    "tenantry.catalog.v1.IssuerService/ListIssuerCompanies" => json!({ "issuer_id": world.spare_issuer().await? }),
    "tenantry.catalog.v1.IssuerService/DeleteIssuerCompany" => world.mapped_value().await?,
    "tenantry.catalog.v1.IssuerService/CreateIssuerUser" => json!({
        "issuer_id": world.spare_issuer().await?,
        "subject": "auth0|1",
        "user_id": world.viewer()?,
    }),
    "tenantry.catalog.v1.IssuerService/ListIssuerUsers" => json!({ "issuer_id": world.spare_issuer().await? }),
    "tenantry.catalog.v1.IssuerService/DeleteIssuerUser" => world.linked_subject().await?,
    "tenantry.catalog.v1.KeyService/GetJwks" => json!({}),
    "tenantry.catalog.v1.KeyService/ListSigningKeys" => json!({}),
    "tenantry.catalog.v1.KeyService/RotateSigningKey" => json!({}),
    "tenantry.catalog.v1.KeyService/RevokeSigningKey" => json!({ "key_id": world.next_key().await? }),
    "tenantry.catalog.v1.MembershipService/InviteMember" => json!({
        "company_id": world.one.id,
        "email": fresh_email(),
        "role": "viewer",
    }),
    "tenantry.catalog.v1.MembershipService/AcceptInvitation" => json!({
        "secret": world.invitation().await?,
        "password": PASSWORD,
    }),
    "tenantry.catalog.v1.MembershipService/ListMembers" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.MembershipService/UpdateMember" => json!({
        "company_id": world.one.id,
        "user_id": world.member().await?,
        "role": "member",
    }),
    "tenantry.catalog.v1.MembershipService/LeaveCompany" => json!({ "company_id": world.with_everybody().await? }),
    "tenantry.catalog.v1.MembershipService/RemoveMember" => json!({
        "company_id": world.one.id,
        "user_id": world.member().await?,
    }),
    "tenantry.catalog.v1.PasswordService/IssuePasswordReset" => json!({ "email": world.stranger().await? }),
    "tenantry.catalog.v1.PasswordService/ResetPassword" => json!({
        "secret": world.password_reset().await?,
        "new_password": PASSWORD,
    }),
    "tenantry.catalog.v1.OperatorService/IssueOperatorToken" => json!({
        "credential": world.sandbox.operator_credential()?,
    }),
    "tenantry.catalog.v1.PluginService/ListPlugins" [Elsewhere::OwnData] => json!({}),
    "tenantry.catalog.v1.PluginService/InstallPlugin" => json!({
        "company_id": world.one.id,
        "plugin": world.plugin_to_install().await?,
    }),
    "tenantry.catalog.v1.PluginService/UninstallPlugin" => json!({
        "company_id": world.one.id,
        "plugin": world.installed_plugin().await?,
    }),
    "tenantry.catalog.v1.PluginService/ListInstalledPlugins" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.PlanService/GetPlan" => json!({ "name": world.plan().await? }),
    "tenantry.catalog.v1.PlanService/ListPlans" => json!({}),
    "tenantry.catalog.v1.PlanService/UpdatePlan" => json!({
        "plan": { "name": fresh_id(), "limits": { "connections": 5 } },
        "allow_missing": true,
    }),
    "tenantry.catalog.v1.PlanService/DeletePlan" => json!({ "name": world.plan().await? }),
    "tenantry.catalog.v1.TenantDirectoryService/ResolveTenant" => json!({ "company_id": world.one.id }),
    "tenantry.catalog.v1.TenantDirectoryService/WatchTenants" => json!({}),
    "tenantry.catalog.v1.TenantDirectoryService/ListTenants" => json!({ "page_size": 10 }),
    "tenantry.catalog.v1.TenantDirectoryService/ReportPlugins" => json!({}),
    "tenantry.catalog.v1.TenantDirectoryService/ReportSchemaVersions" => json!({
        "reports": [{
            "company_id": world.one.id,
            "database_id": fresh_id(),
            "schema_version": "m20260101_001500_person_tokens",
            "sequence": 1,
        }],
    }),
    "tenantry.catalog.v1.TokenService/Login" => json!({ "email": world.one.owner_email, "password": PASSWORD }),
    "tenantry.catalog.v1.TokenService/RefreshToken" => json!({ "refresh_token": world.refresh_token().await? }),
    "tenantry.catalog.v1.TokenService/RevokeToken" => json!({ "token": world.refresh_token().await? }),
    "tenantry.catalog.v1.TokenService/SignOutEverywhere" [Elsewhere::Refused(Reason::CallerNotAllowed)] => json!({
        "user_id": world.viewer_of_unrevoked().await?,
    }),
    "tenantry.catalog.v1.TokenService/ExchangeApiKey" => json!({ "secret": world.api_key().await?["secret"] }),
    "tenantry.catalog.v1.TokenService/ExchangeToken" [Elsewhere::Refused(Reason::CallerNotAllowed)] => json!({
        "company_id": world.one.id,
        "user_id": world.viewer()?,
        "reason": "a ticket",
    }),
    "tenantry.catalog.v1.TokenService/ExchangeExternalToken" => json!({
        "subject_token": world.external_token().await?,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
    }),
    // To the same one, so that everybody can sign in again.
    "tenantry.catalog.v1.TokenService/ChangePassword" [Elsewhere::OwnData] => json!({
        "current_password": world.password_of_unrevoked().await?,
        "new_password": PASSWORD,
    }),

    "tenantry.crm.v1.PersonService/CreatePerson" [Elsewhere::OwnData] => json!({
        "person": { "name": "Ada", "surname": "Lovelace", "labels": { "tier": "gold" } },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.PersonService/GetPerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "id": world.person().await?["id"],
    }),
    "tenantry.crm.v1.PersonService/ListPeople" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.PersonService/UpdatePerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "person": { "id": world.person().await?["id"], "name": "Augusta" },
        "update_mask": "name",
    }),
    "tenantry.crm.v1.PersonService/DeletePerson" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "id": world.person().await?["id"],
    }),

    "tenantry.crm.v1.PlaceService/CreatePlace" [Elsewhere::OwnData] => json!({
        "place": { "kind": "PLACE_KIND_COUNTRY", "name": "Utopia", "country_code": fresh_code() },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.PlaceService/GetPlace" [Elsewhere::Refused(Reason::PlaceNotFound)] => json!({
        "id": world.place().await?["id"],
    }),
    "tenantry.crm.v1.PlaceService/ListPlaces" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.PlaceService/UpdatePlace" [Elsewhere::Refused(Reason::PlaceNotFound)] => json!({
        "place": { "id": world.place().await?["id"], "name": format!("Dystopia {}", fresh_id()) },
    }),
    "tenantry.crm.v1.PlaceService/DeletePlace" [Elsewhere::Refused(Reason::PlaceNotFound)] => json!({
        "id": world.place().await?["id"],
    }),
    "tenantry.crm.v1.AddressService/CreateAddress" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "address": { "person_id": world.person().await?["id"], "phone": "+4915112345678" },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.AddressService/GetAddress" [Elsewhere::Refused(Reason::AddressNotFound)] => json!({
        "id": world.address().await?["id"],
    }),
    "tenantry.crm.v1.AddressService/ListAddresses" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.AddressService/UpdateAddress" [Elsewhere::Refused(Reason::AddressNotFound)] => json!({
        "address": { "id": world.address().await?["id"], "street": "Ende 1" },
    }),
    "tenantry.crm.v1.AddressService/DeleteAddress" [Elsewhere::Refused(Reason::AddressNotFound)] => json!({
        "id": world.address().await?["id"],
    }),
    "tenantry.crm.v1.ManufacturerService/CreateManufacturer" [Elsewhere::OwnData] => json!({
        "manufacturer": { "name": fresh_id() },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.ManufacturerService/GetManufacturer" [Elsewhere::Refused(Reason::ManufacturerNotFound)] => json!({
        "id": world.manufacturer().await?["id"],
    }),
    "tenantry.crm.v1.ManufacturerService/ListManufacturers" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.ManufacturerService/UpdateManufacturer" [Elsewhere::Refused(Reason::ManufacturerNotFound)] => json!({
        "manufacturer": { "id": world.manufacturer().await?["id"], "website": "https://example.com" },
    }),
    "tenantry.crm.v1.ManufacturerService/DeleteManufacturer" [Elsewhere::Refused(Reason::ManufacturerNotFound)] => json!({
        "id": world.manufacturer().await?["id"],
    }),
    "tenantry.crm.v1.TariffService/CreateTariff" [Elsewhere::OwnData] => json!({
        "tariff": { "name": fresh_id(), "price": kes() },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.TariffService/GetTariff" [Elsewhere::Refused(Reason::TariffNotFound)] => json!({
        "id": world.tariff().await?["id"],
    }),
    "tenantry.crm.v1.TariffService/ListTariffs" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.TariffService/UpdateTariff" [Elsewhere::Refused(Reason::TariffNotFound)] => json!({
        "tariff": { "id": world.tariff().await?["id"], "price": kes() },
    }),
    "tenantry.crm.v1.TariffService/DeleteTariff" [Elsewhere::Refused(Reason::TariffNotFound)] => json!({
        "id": world.tariff().await?["id"],
    }),
    "tenantry.crm.v1.DeviceService/CreateDevice" [Elsewhere::Refused(Reason::ManufacturerNotFound)] => json!({
        "device": { "manufacturer_id": world.manufacturer().await?["id"], "serial": "1", "meter": {} },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.DeviceService/GetDevice" [Elsewhere::Refused(Reason::DeviceNotFound)] => json!({
        "id": world.device().await?["id"],
    }),
    "tenantry.crm.v1.DeviceService/ListDevices" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.DeviceService/UpdateDevice" [Elsewhere::Refused(Reason::DeviceNotFound)] => json!({
        "device": { "id": world.device().await?["id"], "labels": { "touched": fresh_id() } },
    }),
    "tenantry.crm.v1.DeviceService/DeleteDevice" [Elsewhere::Refused(Reason::DeviceNotFound)] => json!({
        "id": world.device().await?["id"],
    }),
    "tenantry.crm.v1.DeviceService/AssignDevice" [Elsewhere::Refused(Reason::DeviceNotFound)] => json!({
        "id": world.device().await?["id"],
        "person_id": world.person().await?["id"],
    }),
    "tenantry.crm.v1.DeviceService/ReleaseDevice" [Elsewhere::Refused(Reason::DeviceNotFound)] => json!({
        "id": world.device().await?["id"],
    }),
    "tenantry.crm.v1.DeviceService/ListDeviceAssignments" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.DebtService/CreateDebt" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "debt": { "person_id": world.person().await?["id"], "principal": kes() },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.DebtService/GetDebt" [Elsewhere::Refused(Reason::DebtNotFound)] => json!({
        "id": world.debt().await?["id"],
    }),
    "tenantry.crm.v1.DebtService/ListDebts" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.DebtService/UpdateDebt" [Elsewhere::Refused(Reason::DebtNotFound)] => json!({
        "debt": { "id": world.debt().await?["id"], "reason": "a stove" },
    }),
    "tenantry.crm.v1.DebtService/DeleteDebt" [Elsewhere::Refused(Reason::DebtNotFound)] => json!({
        "id": world.debt().await?["id"],
    }),
    "tenantry.crm.v1.TransactionService/CreateTransaction" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "transaction": payment(&world.person().await?["id"]),
    }),
    "tenantry.crm.v1.TransactionService/RefundTransaction" [Elsewhere::Refused(Reason::TransactionNotFound)] => json!({
        "id": world.transaction().await?["id"],
        "external_id": fresh_id(),
    }),
    "tenantry.crm.v1.TransactionService/GetTransaction" [Elsewhere::Refused(Reason::TransactionNotFound)] => json!({
        "id": world.transaction().await?["id"],
    }),
    "tenantry.crm.v1.TransactionService/ListTransactions" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.TransactionService/ListBalances" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "person_id": world.person().await?["id"],
    }),
    "tenantry.crm.v1.TicketCategoryService/CreateTicketCategory" [Elsewhere::OwnData] => json!({
        "ticket_category": { "name": fresh_id(), "colour": "#2e7d32" },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.TicketCategoryService/GetTicketCategory" [Elsewhere::Refused(Reason::TicketCategoryNotFound)] => json!({
        "id": world.ticket_category().await?["id"],
    }),
    "tenantry.crm.v1.TicketCategoryService/ListTicketCategories" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.TicketCategoryService/UpdateTicketCategory" [Elsewhere::Refused(Reason::TicketCategoryNotFound)] => json!({
        "ticket_category": { "id": world.ticket_category().await?["id"], "colour": "#c62828" },
    }),
    "tenantry.crm.v1.TicketCategoryService/DeleteTicketCategory" [Elsewhere::Refused(Reason::TicketCategoryNotFound)] => json!({
        "id": world.ticket_category().await?["id"],
    }),
    "tenantry.crm.v1.TicketService/CreateTicket" [Elsewhere::Refused(Reason::TicketCategoryNotFound)] => json!({
        "ticket": { "category_id": world.ticket_category().await?["id"], "title": "Broken" },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.TicketService/GetTicket" [Elsewhere::Refused(Reason::TicketNotFound)] => json!({
        "id": world.ticket().await?["id"],
    }),
    "tenantry.crm.v1.TicketService/ListTickets" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.TicketService/UpdateTicket" [Elsewhere::Refused(Reason::TicketNotFound)] => json!({
        "ticket": { "id": world.ticket().await?["id"], "status": "TICKET_STATUS_CLOSED" },
    }),
    "tenantry.crm.v1.TicketService/DeleteTicket" [Elsewhere::Refused(Reason::TicketNotFound)] => json!({
        "id": world.ticket().await?["id"],
    }),
    "tenantry.crm.v1.TicketService/AddTicketComment" [Elsewhere::Refused(Reason::TicketNotFound)] => json!({
        "ticket_id": world.ticket().await?["id"],
        "body": "Looked at it.",
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.TicketService/ListTicketComments" [Elsewhere::Refused(Reason::TicketNotFound)] => json!({
        "ticket_id": world.ticket().await?["id"],
    }),
    "tenantry.crm.v1.AuditService/ListAuditEntries" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.PersonService/SearchPeople" [Elsewhere::OwnData] => json!({ "query": "only knows" }),

    "tenantry.crm.v1.TransferService/ImportPeople" [Elsewhere::OwnData] => json!({
        "options": { "format": "TRANSFER_FORMAT_JSON_LINES", "mode": "IMPORT_MODE_BEST_EFFORT" },
    }),
    "tenantry.crm.v1.TransferService/ExportPeople" [Elsewhere::OwnData] => json!({ "format": "TRANSFER_FORMAT_CSV" }),
    "tenantry.crm.v1.TransferService/ExportCompany" [Elsewhere::OwnData] => json!({}),

    "tenantry.crm.v1.ApplianceService/CreateAppliance" [Elsewhere::OwnData] => json!({
        "appliance": { "name": fresh_id(), "price": kes() },
        "request_id": world.with_plugin("appliances").await?,
    }),
    "tenantry.crm.v1.ApplianceService/GetAppliance" [Elsewhere::Refused(Reason::ApplianceNotFound)] => json!({
        "id": world.appliance().await?["id"],
    }),
    "tenantry.crm.v1.ApplianceService/ListAppliances" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.ApplianceService/UpdateAppliance" [Elsewhere::Refused(Reason::ApplianceNotFound)] => json!({
        "appliance": { "id": world.appliance().await?["id"], "category": "kitchen" },
    }),
    "tenantry.crm.v1.ApplianceService/DeleteAppliance" [Elsewhere::Refused(Reason::ApplianceNotFound)] => json!({
        "id": world.appliance().await?["id"],
    }),
    "tenantry.crm.v1.ApplianceService/SellAppliance" [Elsewhere::Refused(Reason::PersonNotFound)] => json!({
        "appliance_id": world.appliance().await?["id"],
        "person_id": world.person().await?["id"],
        "down_payment": kes(),
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.ApplianceService/GetSale" [Elsewhere::Refused(Reason::SaleNotFound)] => json!({
        "id": world.sale().await?["id"],
    }),
    "tenantry.crm.v1.ApplianceService/ListSales" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.ApplianceService/CancelSale" [Elsewhere::Refused(Reason::SaleNotFound)] => json!({
        "id": world.sale().await?["id"],
    }),

    "tenantry.crm.v1.SmsService/CreateSmsTemplate" [Elsewhere::OwnData] => json!({
        "sms_template": { "name": world.with_plugin("sms").await?, "body": "Hi {name}" },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.SmsService/GetSmsTemplate" [Elsewhere::Refused(Reason::SmsTemplateNotFound)] => json!({
        "id": world.sms_template().await?["id"],
    }),
    "tenantry.crm.v1.SmsService/ListSmsTemplates" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.SmsService/UpdateSmsTemplate" [Elsewhere::Refused(Reason::SmsTemplateNotFound)] => json!({
        "sms_template": { "id": world.sms_template().await?["id"], "body": "Hello {name}" },
    }),
    "tenantry.crm.v1.SmsService/DeleteSmsTemplate" [Elsewhere::Refused(Reason::SmsTemplateNotFound)] => json!({
        "id": world.sms_template().await?["id"],
    }),
    "tenantry.crm.v1.SmsService/SendSms" [Elsewhere::Refused(Reason::SmsTemplateNotFound)] => json!({
        "phone": "+254700000000",
        "template_id": world.sms_template().await?["id"],
        "values": { "name": "Ada" },
        "request_id": fresh_id(),
    }),
    "tenantry.crm.v1.SmsService/GetSms" [Elsewhere::Refused(Reason::SmsNotFound)] => json!({
        "id": world.sms().await?["id"],
    }),
    "tenantry.crm.v1.SmsService/ListSms" [Elsewhere::OwnData] => json!({ "page_size": 10 }),
    "tenantry.crm.v1.SmsService/LeaseSms" [Elsewhere::OwnData] => json!({ "most": 1, "lease_seconds": 1 }),
    "tenantry.crm.v1.SmsService/ReportSmsDelivery" [Elsewhere::Refused(Reason::SmsNotFound)] => {
        let message = world.leased_sms().await?;
        json!({ "id": message["id"], "fence": message["fence"], "state": "SMS_STATE_SENT" })
    },

    "tenantry.migrator.v1.DriftService/CheckDrift" => json!({ "company_id": world.one.id }),
    "tenantry.migrator.v1.ReconciliationService/Survey" => json!({}),
    "tenantry.migrator.v1.ReconciliationService/Repair" => json!({ "validate_only": true }),
    "tenantry.migrator.v1.TenantDatabaseService/CreateTenantDatabase" => json!({
        "company_id": fresh_id(),
        "database_id": fresh_id(),
        "server": "local",
        "password_verifier": verifier(),
    }),
    "tenantry.migrator.v1.TenantDatabaseService/CheckAdoption" => json!({
        "server": "local",
        "adoption": { "name": "not_there" },
    }),
    "tenantry.migrator.v1.TenantDatabaseService/SetTenantCredential" => json!({
        "company_id": world.one.id,
        "password_verifier": verifier(),
        "slot": "CREDENTIAL_SLOT_SECOND",
        "generation": 2,
    }),
    "tenantry.migrator.v1.TenantDatabaseService/LockTenantCredential" => json!({
        "company_id": world.one.id,
        "slot": "CREDENTIAL_SLOT_SECOND",
        "generation": 2,
    }),
    "tenantry.migrator.v1.TenantDatabaseService/SeedTenantDatabase" => json!({ "company_id": world.one.id }),
    "tenantry.migrator.v1.TenantDatabaseService/InstallTenantPlugin" => json!({
        "company_id": world.one.id,
        "plugin": "sms",
    }),
    "tenantry.migrator.v1.TenantDatabaseService/DropTenantPlugin" => json!({
        "company_id": world.one.id,
        "plugin": "sms",
    }),
    "tenantry.migrator.v1.TenantDatabaseService/DropTenantDatabase" => json!({
        "company_id": fresh_id(),
        "database_id": fresh_id(),
        "server": "local",
    }),
    "tenantry.migrator.v1.TenantDatabaseService/GetTenantDatabase" => json!({ "company_id": world.one.id }),

    "tenantry.migrator.v1.MigrationService/Migrate" => json!({ "target": company(&world.one.id) }),
    "tenantry.migrator.v1.MigrationService/Rollback" => json!({ "target": company(&world.spare().await?), "force": true }),
    "tenantry.migrator.v1.MigrationService/Reset" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Refresh" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Fresh" => json!({ "target": company(&world.in_maintenance().await?) }),
    "tenantry.migrator.v1.MigrationService/Seed" => json!({ "target": company(&world.one.id) }),
    "tenantry.migrator.v1.MigrationService/GetMigrationStatus" => json!({ "target": { "central": true } }),
    "tenantry.migrator.v1.MigrationService/PlanMigration" => json!({ "target": company(&world.one.id) }),

    "tenantry.migrator.v1.RolloutService/CreateRollout" => json!({
        "targets": { "company_ids": [world.one.id] },
        "request_id": fresh_id(),
    }),
    "tenantry.migrator.v1.RolloutService/GetRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/ListRollouts" => json!({ "page_size": 10 }),
    "tenantry.migrator.v1.RolloutService/ListRolloutTargets" => json!({ "rollout_id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/WatchRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/PauseRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/ResumeRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/CancelRollout" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/RetryFailedTargets" => json!({ "id": world.rollout().await? }),
    "tenantry.migrator.v1.RolloutService/RollbackRollout" => json!({ "id": world.cancelled_rollout().await? }),
    "tenantry.migrator.v1.RolloutService/GetFleetStatus" => json!({}),
}

/// What SQLite has nothing for: whoever is let in gets this refusal, after everything that access is decided by.
pub(crate) fn past_access(rpc: &str) -> Option<Reason> {
    let (_, name) = rpc.split_once('/')?;
    match name {
        "RotateDatabaseCredential" | "SetTenantCredential" | "LockTenantCredential" => {
            Some(Reason::NoDatabaseCredential)
        }
        "CheckAdoption" => Some(Reason::DatabaseNotAdoptable),
        _ => None,
    }
}

fn verifier() -> Value {
    json!({
        "scram_sha_256": "SCRAM-SHA-256$64:c2FsdA==$c3RvcmVk:c2VydmVy",
        "mysql_native": format!("*{}", "0F".repeat(20)),
    })
}

fn company(id: &str) -> Value {
    json!({ "company_id": id })
}

pub(crate) fn kes() -> Value {
    json!({ "currency_code": "KES", "units": "5" })
}

pub(crate) fn payment(person: &Value) -> Value {
    json!({ "provider": "mpesa", "external_id": fresh_id(), "amount": kes(), "person_id": person })
}

/// Two letters that no other call has taken.
fn fresh_code() -> String {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);
    let number = TAKEN.fetch_add(1, Ordering::Relaxed);
    [number / 26 % 26, number % 26].iter().filter_map(|at| ('A'..='Z').nth(*at)).collect()
}

pub(crate) fn fresh_id() -> String {
    Uuid::now_v7().to_string()
}
