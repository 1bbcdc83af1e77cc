//! What both share, before anything was made.

use tenantry_migration::Migration;

mod m20260101_120002_notes;

pub(super) fn migrations() -> Vec<Migration> {
    vec![m20260101_120002_notes::Migration.into()]
}
