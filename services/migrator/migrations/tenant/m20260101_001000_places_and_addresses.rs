//! Places and addresses have etags, and a person at most one primary address: the engine sees to it.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{add_columns, drop_columns, drop_indexes, revision, unique};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        add_columns(manager, "places", [revision()]).await?;
        // The person's id, or NULL: any number of NULLs is unique, everywhere.
        add_columns(manager, "addresses", [revision(), uuid_null("primary_of")]).await?;
        let primary = Query::update()
            .table("addresses")
            .value("primary_of", Expr::col("person_id"))
            .and_where(Expr::col("is_primary").eq(true))
            .to_owned();
        manager.execute(primary).await?;
        // `is_primary` stays, and is written too: dropped and brought back it would be another column.
        manager.create_index(unique("addresses", ["primary_of"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "addresses", ["ux_addresses_primary_of"]).await?;
        drop_columns(manager, "addresses", ["primary_of", "revision"]).await?;
        drop_columns(manager, "places", ["revision"]).await
    }
}
