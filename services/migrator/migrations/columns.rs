//! What the three engines do not agree on. In `shared/`, since plugins' sets of other crates have the same engines.

pub(crate) use tenantry_migration::columns::*;
