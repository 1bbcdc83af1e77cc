//! The one row that whoever changes signing keys locks, so that replicas change them one after the other.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let key_ring =
            table(manager, "key_ring").col(integer("id").primary_key()).col(big_integer("version")).to_owned();
        manager.create_table(key_ring).await?;
        let the_one = Query::insert()
            .into_table("key_ring")
            .columns(["id", "version"])
            .values_panic([Expr::value(1), Expr::value(0)])
            .to_owned();
        manager.execute(the_one).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["key_ring"]).await
    }
}
