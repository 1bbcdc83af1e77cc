//! The tables, each after those that its rows refer to.

use super::Table;
use super::column::{Column, amount, date, double, flag, json, long, name, number, text, time, uuid};
use super::plugins::{APPLIANCES, INSTALMENTS, SALES, SMS, SMS_TEMPLATES};

/// What is derived of other columns, and would be again.
const DERIVED: &str = "derived from what is exported";
/// What keeps calls apart, and says nothing of the company.
pub(super) const INTERNAL: &str = "of the service's own work";

pub(super) const CREATED: Column = time("created_at").named("create_time");
pub(super) const UPDATED: Column = time("updated_at").named("update_time");
pub(super) const ETAG: Column = long("revision").named("etag");
pub(super) const CURRENCY: Column = text("currency");
const ID: &[&str] = &["id"];
const DEVICE_ID: &[&str] = &["device_id"];

/// The tables that no export has, each with the reason.
pub const LEFT_OUT: &[(&str, &str)] = &[
    ("idempotency_keys", "answers of calls of the last 24 hours, kept for who repeats them"),
    ("person_tokens", DERIVED),
    ("tenantry_migrations", "the ledger of migrations; the first line names the versions"),
    ("tenantry_migration_progress", "of a migration under way"),
];

/// A table of the core's with an id.
pub(super) const fn table(name: &'static str, kind: &'static str, columns: &'static [Column]) -> Table {
    Table { name, kind, plugin: None, only: &[], key: ID, columns, left_out: &[] }
}

/// Every table that an export has, in the order in which it has them.
pub const TABLES: &[Table] = &[
    Table { only: &["country"], ..PLACES },
    Table { only: &["city"], ..PLACES },
    Table { only: &["site"], ..PLACES },
    PEOPLE,
    ADDRESSES,
    MANUFACTURERS,
    DEVICES,
    DEVICE_ASSIGNMENTS,
    TARIFFS,
    METERS,
    SOLAR_HOME_SYSTEMS,
    E_BIKES,
    ACCOUNTS,
    DEBTS,
    Table { only: &["payment", "adjustment"], ..TRANSACTIONS },
    // Each refers to the payment that it takes back.
    Table { only: &["refund"], ..TRANSACTIONS },
    ALLOCATIONS,
    TICKET_CATEGORIES,
    TICKETS,
    TICKET_COMMENTS,
    APPLIANCES,
    SALES,
    INSTALMENTS,
    SMS_TEMPLATES,
    SMS,
    AUDIT_ENTRIES,
];

const PLACES: Table = table(
    "places",
    "place",
    &[
        uuid("id"),
        name("kind"),
        uuid("parent_id"),
        text("name"),
        text("country_code"),
        double("latitude"),
        double("longitude"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

const PEOPLE: Table = Table {
    left_out: &[("latest_payment_at", DERIVED), ("name_key", DERIVED), ("search_version", DERIVED)],
    ..table(
        "people",
        "person",
        &[
            uuid("id"),
            name("kind"),
            text("title"),
            text("name"),
            text("surname"),
            date("birth_date"),
            text("gender"),
            text("education"),
            text("nationality"),
            json("labels"),
            uuid("created_by").named("creator_id"),
            CREATED,
            UPDATED,
            ETAG,
        ],
    )
};

const ADDRESSES: Table = Table {
    left_out: &[("primary_of", DERIVED)],
    ..table(
        "addresses",
        "address",
        &[
            uuid("id"),
            uuid("person_id"),
            text("email"),
            text("phone"),
            text("street"),
            uuid("place_id"),
            flag("is_primary").named("primary"),
            CREATED,
            UPDATED,
            ETAG,
        ],
    )
};

const MANUFACTURERS: Table =
    table("manufacturers", "manufacturer", &[uuid("id"), text("name"), text("website"), CREATED, UPDATED, ETAG]);

const DEVICES: Table = table(
    "devices",
    "device",
    &[
        uuid("id"),
        name("kind"),
        uuid("manufacturer_id"),
        text("serial"),
        uuid("person_id"),
        uuid("place_id"),
        json("labels"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

const DEVICE_ASSIGNMENTS: Table = table(
    "device_assignments",
    "device_assignment",
    &[
        uuid("id"),
        uuid("device_id"),
        uuid("person_id"),
        time("assigned_at").named("assign_time"),
        time("released_at").named("release_time"),
    ],
);

const TARIFFS: Table = table(
    "tariffs",
    "tariff",
    &[
        uuid("id"),
        text("name"),
        amount("price"),
        amount("access_fee"),
        CURRENCY,
        flag("is_default"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

const METERS: Table = Table {
    key: DEVICE_ID,
    ..table(
        "meters",
        "meter",
        &[
            uuid("device_id"),
            uuid("tariff_id"),
            text("connection_type"),
            number("phases"),
            number("max_current_milliamps"),
            flag("in_use"),
        ],
    )
};

const SOLAR_HOME_SYSTEMS: Table = Table {
    key: DEVICE_ID,
    ..table(
        "solar_home_systems",
        "solar_home_system",
        &[uuid("device_id"), number("panel_watts"), number("battery_watt_hours")],
    )
};

const E_BIKES: Table = Table {
    key: DEVICE_ID,
    ..table(
        "e_bikes",
        "e_bike",
        &[
            uuid("device_id"),
            long("mileage_metres"),
            number("battery_percent"),
            flag("is_locked").named("locked"),
            double("latitude"),
            double("longitude"),
            time("last_seen_at").named("last_seen_time"),
        ],
    )
};

const ACCOUNTS: Table = Table {
    key: &["person_id", "currency"],
    ..table(
        "accounts",
        "account",
        &[uuid("person_id"), CURRENCY, amount("paid"), amount("credit"), amount("owed"), UPDATED],
    )
};

const DEBTS: Table = table(
    "debts",
    "debt",
    &[
        uuid("id"),
        uuid("person_id"),
        uuid("device_id"),
        amount("principal"),
        amount("remaining"),
        CURRENCY,
        text("reason"),
        date("due_on").named("due_date"),
        time("settled_at").named("settle_time"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

const TRANSACTIONS: Table = Table {
    left_out: &[("fingerprint", INTERNAL)],
    ..table(
        "transactions",
        "transaction",
        &[
            uuid("id"),
            text("provider"),
            text("external_id"),
            name("kind"),
            amount("amount"),
            CURRENCY,
            text("sender"),
            text("message"),
            uuid("person_id"),
            uuid("device_id"),
            uuid("refund_of"),
            CREATED,
        ],
    )
};

const ALLOCATIONS: Table = table(
    "transaction_allocations",
    "allocation",
    &[uuid("id"), uuid("transaction_id"), name("kind"), uuid("debt_id"), amount("amount"), CURRENCY, CREATED],
);

const TICKET_CATEGORIES: Table =
    table("ticket_categories", "ticket_category", &[uuid("id"), text("name"), text("colour"), CREATED, UPDATED, ETAG]);

const TICKETS: Table = table(
    "tickets",
    "ticket",
    &[
        uuid("id"),
        uuid("category_id"),
        uuid("person_id"),
        uuid("device_id"),
        text("title"),
        text("description"),
        name("status"),
        uuid("creator_id"),
        uuid("assignee_id"),
        date("due_date"),
        time("closed_at").named("close_time"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

const TICKET_COMMENTS: Table = table(
    "ticket_comments",
    "ticket_comment",
    &[uuid("id"), uuid("ticket_id"), uuid("author_id"), text("body"), CREATED],
);

const AUDIT_ENTRIES: Table = table(
    "audit_entries",
    "audit_entry",
    &[
        uuid("id"),
        text("actor"),
        text("action"),
        text("entity"),
        uuid("entity_id"),
        json("before_state").named("before"),
        json("after_state").named("after"),
        text("trace_id"),
        time("occurred_at").named("occur_time"),
    ],
);
