//! Which of a database's two login roles is in use, and since which generation of its placement.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let slot = integer("credential_slot").default(0).to_owned();
        let generation = big_integer("credential_generation").default(0).to_owned();
        for column in [slot, generation] {
            manager.alter_table(Table::alter().table("database_claims").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["credential_generation", "credential_slot"] {
            manager.alter_table(Table::alter().table("database_claims").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
