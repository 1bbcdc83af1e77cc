//! Databases that somebody else has made and that are becoming a company's.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let adopting = boolean("adopting").default(false).to_owned();
        manager.alter_table(Table::alter().table("database_claims").add_column(adopting).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("database_claims").drop_column("adopting").to_owned()).await
    }
}
