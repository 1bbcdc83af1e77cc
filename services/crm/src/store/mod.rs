//! A company's own database. Every function asks for a [`TenantConnection`], so
//! nothing here can be pointed at another one.

pub(crate) mod addresses;
pub(crate) mod audit;
pub(crate) mod devices;
pub(crate) mod people;
pub(crate) mod places;
pub(crate) mod table;

/// The versions of the tenant schema that this crm works with.
pub const SCHEMA: tenantry_tenancy::SchemaRange =
    tenantry_tenancy::SchemaRange { oldest: "m20260101_001400_people_order", newest: "m20260101_001500_person_tokens" };
