//! The gRPC face: each handler parses, calls a use case, and converts.

mod addresses;
mod appliances;
mod audit;
mod debts;
mod device_details;
mod devices;
mod manufacturers;
mod people;
mod places;
mod sms;
mod standard;
mod tariffs;
mod ticket_categories;
mod tickets;
mod transactions;
mod transfers;

pub(crate) use addresses::AddressGrpc;
pub(crate) use appliances::ApplianceGrpc;
pub(crate) use audit::AuditGrpc;
pub(crate) use debts::DebtGrpc;
pub(crate) use devices::DeviceGrpc;
pub(crate) use manufacturers::ManufacturerGrpc;
pub(crate) use people::PersonGrpc;
pub(crate) use places::PlaceGrpc;
pub(crate) use sms::SmsGrpc;
pub(crate) use tariffs::TariffGrpc;
pub(crate) use ticket_categories::TicketCategoryGrpc;
pub(crate) use tickets::TicketGrpc;
pub(crate) use transactions::TransactionGrpc;
pub(crate) use transfers::TransferGrpc;
