//! People sort by name alike on every engine: by a key that the crm derives, in any script, with or without accents.
//! `search_version` says by which rules it was derived; 0: not yet.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{add_columns, drop_columns, drop_indexes, index, text_key};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let name_key = text_key("name_key", 160).default("").to_owned();
        let search_version = integer("search_version").default(0).to_owned();
        add_columns(manager, "people", [name_key, search_version]).await?;
        manager.create_index(index("people", ["name_key"])).await?;
        manager.create_index(index("people", ["search_version"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_indexes(manager, "people", ["ix_people_search_version", "ix_people_name_key"]).await?;
        drop_columns(manager, "people", ["search_version", "name_key"]).await
    }
}
