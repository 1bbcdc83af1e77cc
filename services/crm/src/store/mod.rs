//! A company's own database. Every function asks for a [`TenantConnection`], so
//! nothing here can be pointed at another one.

pub(crate) mod audit;
pub(crate) mod people;

/// The versions of the tenant schema that this crm works with.
pub const SCHEMA: tenantry_tenancy::SchemaRange = tenantry_tenancy::SchemaRange {
    oldest: "m20260101_000700_audit_entries",
    newest: "m20260101_000700_audit_entries",
};
