//! Databases that were there before their company: by which name, and at which version.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [string_len_null("adopted_name", 63), string_len_null("baseline_version", 100)] {
            manager.alter_table(Table::alter().table("company_databases").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["baseline_version", "adopted_name"] {
            manager.alter_table(Table::alter().table("company_databases").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
