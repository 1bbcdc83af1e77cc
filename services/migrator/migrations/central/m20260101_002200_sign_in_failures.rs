//! Failures to sign in, and the addresses that accounts are signed in from: digests, and no foreign keys, since they
//! are about accounts that there are not as well.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, table, timestamp, timestamp_null};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let failures = table(manager, "sign_in_failures")
            .col(char_len("digest", 64).primary_key())
            .col(integer("failures"))
            .col(timestamp(manager, "last_at"))
            .col(timestamp_null(manager, "blocked_until"))
            .to_owned();
        manager.create_table(failures).await?;
        manager.create_index(index("sign_in_failures", ["last_at"])).await?;

        let addresses = table(manager, "familiar_addresses")
            .col(char_len("digest", 64).primary_key())
            .col(timestamp(manager, "seen_at"))
            .to_owned();
        manager.create_table(addresses).await?;
        manager.create_index(index("familiar_addresses", ["seen_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["familiar_addresses", "sign_in_failures"]).await
    }
}
