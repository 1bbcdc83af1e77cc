//! What each person has paid, has left over and owes, per currency: kept in the transaction of every payment.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    add_columns, currency, drop_columns, drop_indexes, drop_tables, index, nanos, primary_key, reference, table,
    timestamp, timestamp_or_epoch, unique, units,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let accounts = table(manager, "accounts")
            .col(uuid("person_id"))
            .col(currency())
            .col(units("paid_units"))
            .col(nanos("paid_nanos"))
            .col(units("credit_units"))
            .col(nanos("credit_nanos"))
            .col(units("owed_units"))
            .col(nanos("owed_nanos"))
            .col(timestamp(manager, "updated_at"))
            .index(&mut primary_key("accounts", ["person_id", "currency"]))
            .foreign_key(&mut reference("accounts", "person_id", "people", ForeignKeyAction::Cascade))
            .to_owned();
        manager.create_table(accounts).await?;
        manager.create_index(index("accounts", ["currency", "paid_units", "paid_nanos", "person_id"])).await?;

        // A digest of what was asked for tells a replay from another transaction under the same external id.
        let columns = [char_len_null("fingerprint", 64), uuid_null("refund_of")];
        add_columns(manager, "transactions", columns).await?;
        manager.create_index(unique("transactions", ["refund_of"])).await?;
        manager.create_index(index("transactions", ["currency", "amount_units", "amount_nanos"])).await?;
        manager.create_index(index("transactions", ["kind", "created_at"])).await?;

        add_columns(manager, "people", [timestamp_or_epoch(manager, "latest_payment_at")]).await?;
        manager.create_index(index("people", ["latest_payment_at"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "people", ["ix_people_latest_payment_at"]).await?;
        drop_columns(manager, "people", ["latest_payment_at"]).await?;
        let indexes = [
            "ix_transactions_kind_created_at",
            "ix_transactions_currency_amount_units_amount_nanos",
            "ux_transactions_refund_of",
        ];
        drop_indexes(manager, "transactions", indexes).await?;
        drop_columns(manager, "transactions", ["refund_of", "fingerprint"]).await?;
        drop_tables(manager, ["accounts"]).await
    }
}
