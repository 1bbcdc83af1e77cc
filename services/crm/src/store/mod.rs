//! A company's own database. Every function asks for a [`TenantConnection`], so
//! nothing here can be pointed at another one.

pub(crate) mod accounts;
pub(crate) mod addresses;
pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod debts;
pub(crate) mod device_details;
pub(crate) mod devices;
pub(crate) mod manufacturers;
mod order;
pub(crate) mod people;
pub(crate) mod people_list;
pub(crate) mod person_tokens;
pub(crate) mod places;
pub(crate) mod table;
pub(crate) mod tariffs;
pub(crate) mod ticket_categories;
pub(crate) mod ticket_comments;
pub(crate) mod tickets;
pub(crate) mod transactions;

/// The versions of the tenant schema that this crm works with.
pub const SCHEMA: tenantry_tenancy::SchemaRange =
    tenantry_tenancy::SchemaRange { oldest: "m20260101_001400_people_order", newest: "m20260101_001500_person_tokens" };
