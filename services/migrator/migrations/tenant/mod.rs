//! A company's own database: the CRM. No table has a company column, the database is the company's.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_places;
mod m20260101_000200_people;
mod m20260101_000300_tariffs;
mod m20260101_000400_devices;
mod m20260101_000500_payments;
mod m20260101_000600_tickets;
mod m20260101_000700_audit_entries;
mod m20260101_001000_places_and_addresses;
mod m20260101_001100_device_lists;
mod m20260101_001200_accounts;
mod m20260101_001300_ticket_lists;
mod m20260101_001400_people_order;
mod m20260101_001500_person_tokens;
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
        .add(m20260101_001000_places_and_addresses::Migration)
        .add(m20260101_001100_device_lists::Migration)
        .add(m20260101_001200_accounts::Migration)
        .add(m20260101_001300_ticket_lists::Migration)
        .add(m20260101_001400_people_order::Migration)
        .add(m20260101_001500_person_tokens::Migration)
        .seeder(seed::TicketCategories)
        .seeder(seed::Tariffs)
        .seeder(seed::Manufacturers)
        .build()
}
