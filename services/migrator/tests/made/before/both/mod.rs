//! What both share, before anything was made.

use tenantry_migration::Migration;

pub(super) fn migrations() -> Vec<Migration> {
    vec![]
}
