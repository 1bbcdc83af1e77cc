//! The tables of plugins.

use super::Table;
use super::column::{Column, amount, name, number, of, text, time, uuid};
use super::tables::{CREATED, CURRENCY, ETAG, INTERNAL, UPDATED, table};

/// A table with an id of a plugin's.
const fn of_plugin(plugin: &'static str, name: &'static str, kind: &'static str, columns: &'static [Column]) -> Table {
    Table { plugin: Some(plugin), ..table(name, kind, columns) }
}

pub(super) const APPLIANCES: Table = of_plugin(
    "appliances",
    "appliances",
    "appliance",
    &[uuid("id"), text("name"), text("category"), amount("price"), CURRENCY, CREATED, UPDATED, ETAG],
);

pub(super) const SALES: Table = of_plugin(
    "appliances",
    "appliance_sales",
    "sale",
    &[
        uuid("id"),
        uuid("appliance_id"),
        uuid("person_id"),
        uuid("device_id"),
        amount("price"),
        amount("down_payment"),
        CURRENCY,
        time("cancelled_at").named("cancel_time"),
        CREATED,
        UPDATED,
        ETAG,
    ],
);

pub(super) const INSTALMENTS: Table = Table {
    key: &["sale_id", "number"],
    ..of_plugin(
        "appliances",
        "appliance_instalments",
        "instalment",
        &[
            uuid("sale_id"),
            number("number"),
            uuid("debt_id"),
            amount("amount"),
            amount("written_off"),
            of("appliance_sales", "sale_id", "currency"),
        ],
    )
};

pub(super) const SMS_TEMPLATES: Table = of_plugin(
    "sms",
    "sms_templates",
    "sms_template",
    &[uuid("id"), text("name"), text("language"), text("body"), CREATED, UPDATED, ETAG],
);

pub(super) const SMS: Table = Table {
    left_out: &[("revision", INTERNAL), ("lease_until", INTERNAL), ("fence", INTERNAL)],
    ..of_plugin(
        "sms",
        "sms_messages",
        "sms",
        &[
            uuid("id"),
            uuid("person_id"),
            uuid("template_id"),
            text("phone"),
            text("body"),
            name("state"),
            number("attempts"),
            text("provider_reference"),
            text("error"),
            time("sent_at").named("send_time"),
            CREATED,
            UPDATED,
        ],
    )
};
