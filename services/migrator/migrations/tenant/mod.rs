//! A company's own database: the CRM. No table has a company column, the database is the company's.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_places;
mod m20260101_000200_people;
mod m20260101_000300_tariffs;
mod m20260101_000400_devices;
mod m20260101_000500_payments;
mod m20260101_000600_tickets;
mod m20260101_000700_audit_entries;
mod seed;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("tenant")
        .add_both(super::both::migrations())
        .add(m20260101_000100_places::Migration)
        .add(m20260101_000200_people::Migration)
        .add(m20260101_000300_tariffs::Migration)
        .add(m20260101_000400_devices::Migration)
        .add(m20260101_000500_payments::Migration)
        .add(m20260101_000600_tickets::Migration)
        .add(m20260101_000700_audit_entries::Migration)
        .seeder(seed::TicketCategories)
        .seeder(seed::Tariffs)
        .seeder(seed::Manufacturers)
        .build()
}
