//! What every company starts with; all of it can be changed or removed afterwards.

use sea_orm_migration::{prelude::*, sea_orm::prelude::Uuid};
use tenantry_migration::{Seed, Seeder};

/// A version 7 UUID of the seeds' epoch: the same in every database, apart from every id made at run time.
fn fixed(table: u16, row: u16) -> Uuid {
    Uuid::from_u128(0x019b_76da_a800_7000_8000_0000_0000_0000 | u128::from(table) << 16 | u128::from(row))
}

/// Numbered from 1 in the order of the list: append, never reorder.
fn ids(table: u16) -> impl Iterator<Item = Uuid> {
    (1..).map(move |row| fixed(table, row))
}

pub(super) struct TicketCategories;

impl Seeder for TicketCategories {
    fn name(&self) -> &'static str {
        "ticket_categories"
    }

    fn seeds(&self) -> Vec<Seed> {
        let categories = [
            ("Installation", "#2e7d32"),
            ("Repair", "#c62828"),
            ("Payment", "#1565c0"),
            ("Complaint", "#ef6c00"),
            ("Information", "#6a1b9a"),
        ];
        let rows = ids(1).zip(categories).map(|(id, (name, colour))| {
            let columns = ["id", "name", "colour", "created_at", "updated_at"];
            row("ticket_categories", columns, [id.into(), name.into(), colour.into(), now(), now()])
        });
        rows.collect()
    }
}

pub(super) struct Tariffs;

impl Seeder for Tariffs {
    fn name(&self) -> &'static str {
        "tariffs"
    }

    fn seeds(&self) -> Vec<Seed> {
        // Half a dollar a kilowatt-hour: a start that a company replaces.
        let prices = [0_i64.into(), 500_000_000_i32.into(), 0_i64.into(), 0_i32.into()];
        let [units, nanos, fee_units, fee_nanos] = prices;
        let columns = [
            "id",
            "name",
            "currency",
            "price_units",
            "price_nanos",
            "access_fee_units",
            "access_fee_nanos",
            "is_default",
            "revision",
            "created_at",
            "updated_at",
        ];
        let values = [
            fixed(2, 1).into(),
            "Standard".into(),
            "USD".into(),
            units,
            nanos,
            fee_units,
            fee_nanos,
            true.into(),
            1_i64.into(),
            now(),
            now(),
        ];
        vec![row("tariffs", columns, values)]
    }
}

pub(super) struct Manufacturers;

impl Seeder for Manufacturers {
    fn name(&self) -> &'static str {
        "manufacturers"
    }

    fn seeds(&self) -> Vec<Seed> {
        let manufacturers = [
            ("Calin", "https://www.szcalinmeter.com"),
            ("SparkMeter", "https://www.sparkmeter.io"),
            ("Sun King", "https://sunking.com"),
            ("d.light", "https://www.dlight.com"),
            ("Ampersand", "https://www.ampersand.solar"),
        ];
        let rows = ids(3).zip(manufacturers).map(|(id, (name, website))| {
            let columns = ["id", "name", "website", "created_at", "updated_at"];
            row("manufacturers", columns, [id.into(), name.into(), website.into(), now(), now()])
        });
        rows.collect()
    }
}

fn now() -> Expr {
    Seed::epoch().into()
}

/// As many values as columns, by its type.
fn row<const N: usize>(table: &'static str, columns: [&'static str; N], values: [Expr; N]) -> Seed {
    let mut insert = Query::insert().into_table(table).columns(columns).to_owned();
    insert.values_panic(values);
    Seed::new(insert, "id")
}
