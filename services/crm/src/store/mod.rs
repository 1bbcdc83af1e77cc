//! A company's own database. Every function asks for a [`TenantConnection`], so
//! nothing here can be pointed at another one.

use tenantry_tenancy::SchemaRange;

pub(crate) mod accounts;
pub(crate) mod addresses;
pub(crate) mod appliances;
pub(crate) mod assignments;
pub(crate) mod audit;
pub(crate) mod debts;
pub(crate) mod device_details;
pub(crate) mod devices;
pub mod everything;
pub(crate) mod manufacturers;
mod order;
pub(crate) mod people;
pub(crate) mod people_list;
pub(crate) mod person_tokens;
pub(crate) mod places;
pub(crate) mod sales;
pub(crate) mod sms;
pub(crate) mod sms_templates;
pub(crate) mod table;
pub(crate) mod tariffs;
pub(crate) mod ticket_categories;
pub(crate) mod ticket_comments;
pub(crate) mod tickets;
pub(crate) mod transactions;

/// The versions of the tenant schema that this crm works with.
pub const SCHEMA: SchemaRange =
    SchemaRange { oldest: "m20260101_001400_people_order", newest: "m20260101_001500_person_tokens" };

/// The versions of plugins' tables that this crm works with.
pub const PLUGINS: &[(&str, SchemaRange)] = &[
    ("appliances", SchemaRange { oldest: "m20260101_000100_sales", newest: "m20260101_000100_sales" }),
    ("sms", SchemaRange { oldest: "m20260101_000300_delivery", newest: "m20260101_000300_delivery" }),
];
