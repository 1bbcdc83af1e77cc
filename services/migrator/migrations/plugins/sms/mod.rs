//! The tables of the plugin sms, in the databases of companies that have it.

use tenantry_migration::{MigrationError, MigrationSet, SetBuilder};

mod m20260101_000100_templates;
mod m20260101_000200_outbox;
mod m20260101_000300_delivery;

pub(super) fn set() -> Result<MigrationSet, MigrationError> {
    SetBuilder::new("plugin_sms")
        .about("Text messages: templates, and an outbox with delivery states.")
        .default_settings(r#"{"sender":"","max_attempts":5}"#)
        .add(m20260101_000100_templates::Migration)
        .add(m20260101_000200_outbox::Migration)
        .add(m20260101_000300_delivery::Migration)
        .build()
}
