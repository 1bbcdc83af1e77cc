//! What came in, what it was used for and what is still owed. Payments outlive the person and the device.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{
    currency, drop_tables, id, index, nanos, one_of, reference, table, text_key, timestamp, timestamp_null, unique,
    units,
};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let transactions = table(manager, "transactions")
            .col(id("id"))
            .col(text_key("provider", 40))
            .col(text_key("external_id", 128))
            .col(units("amount_units"))
            .col(nanos("amount_nanos"))
            .col(currency())
            .col(text_key("kind", 20))
            .col(string_len_null("sender", 128))
            .col(text_null("message"))
            .col(uuid_null("person_id"))
            .col(uuid_null("device_id"))
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference("transactions", "person_id", "people", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("transactions", "device_id", "devices", ForeignKeyAction::SetNull))
            .check(one_of("transactions", "kind", ["payment", "refund", "adjustment"]))
            .to_owned();
        manager.create_table(transactions).await?;
        manager.create_index(unique("transactions", ["provider", "external_id"])).await?;
        manager.create_index(index("transactions", ["person_id", "created_at"])).await?;
        manager.create_index(index("transactions", ["device_id", "created_at"])).await?;
        manager.create_index(index("transactions", ["created_at"])).await?;

        let debts = table(manager, "debts")
            .col(id("id"))
            .col(uuid("person_id"))
            .col(uuid_null("device_id"))
            .col(string_len_null("reason", 255))
            .col(units("principal_units"))
            .col(nanos("principal_nanos"))
            .col(units("remaining_units"))
            .col(nanos("remaining_nanos"))
            .col(currency())
            .col(date_null("due_on"))
            .col(timestamp_null(manager, "settled_at"))
            .col(big_integer("revision"))
            .col(timestamp(manager, "created_at"))
            .col(timestamp(manager, "updated_at"))
            .foreign_key(&mut reference("debts", "person_id", "people", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("debts", "device_id", "devices", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(debts).await?;
        manager.create_index(index("debts", ["person_id"])).await?;
        manager.create_index(index("debts", ["device_id"])).await?;
        manager.create_index(index("debts", ["due_on"])).await?;

        let transaction_allocations = table(manager, "transaction_allocations")
            .col(id("id"))
            .col(uuid("transaction_id"))
            .col(text_key("kind", 20))
            .col(uuid_null("debt_id"))
            .col(units("amount_units"))
            .col(nanos("amount_nanos"))
            .col(currency())
            .col(timestamp(manager, "created_at"))
            .foreign_key(&mut reference(
                "transaction_allocations",
                "transaction_id",
                "transactions",
                ForeignKeyAction::Cascade,
            ))
            .foreign_key(&mut reference("transaction_allocations", "debt_id", "debts", ForeignKeyAction::SetNull))
            .check(one_of("transaction_allocations", "kind", ["energy", "access_fee", "debt", "credit"]))
            .to_owned();
        manager.create_table(transaction_allocations).await?;
        manager.create_index(index("transaction_allocations", ["transaction_id"])).await?;
        manager.create_index(index("transaction_allocations", ["debt_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["transaction_allocations", "debts", "transactions"]).await
    }
}
