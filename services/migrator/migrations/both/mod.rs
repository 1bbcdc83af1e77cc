//! What central's and every tenant's database share; each ledger records it on its own.

use tenantry_migration::Migration;

mod m20260101_000000_idempotency_keys;

pub(super) fn migrations() -> Vec<Migration> {
    vec![m20260101_000000_idempotency_keys::Migration.into()]
}
