//! The event log as it is read: from where a call came, what an audit looks for, and up to where events were removed.

use sea_orm_migration::{prelude::*, schema::*};

use super::super::columns::{drop_tables, index, table};

#[derive(DeriveMigrationName)]
pub(super) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let peer = string_len_null("peer_address", 64);
        manager.alter_table(Table::alter().table("events").add_column(peer).to_owned()).await?;
        manager.create_index(index("events", ["actor", "sequence"])).await?;
        manager.create_index(index("events", ["occurred_at"])).await?;
        // One row, from the first removal on: a gap in the sequence is no removal.
        let removals = table(manager, "event_removals")
            .col(ColumnDef::new("id").integer().not_null().primary_key())
            .col(big_integer("removed_through"))
            .to_owned();
        manager.create_table(removals).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, ["event_removals"]).await?;
        for name in ["ix_events_occurred_at", "ix_events_actor_sequence"] {
            manager.drop_index(Index::drop().name(name).table("events").to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("events").drop_column("peer_address").to_owned()).await
    }
}
