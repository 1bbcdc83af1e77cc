//! Databases made ahead. A row is written before anything is made, and goes when the database is a company's or gone.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use tenantry_ids::DatabaseId;

use super::{OwnDb, StoreError};

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
    pub enum State {
        /// Whoever makes it has until the lease ends.
        #[sea_orm(string_value = "making")]
        Making,
        #[sea_orm(string_value = "ready")]
        Ready,
        /// Nobody takes it any more.
        #[sea_orm(string_value = "dropping")]
        Dropping,
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "spares")]
    pub struct Model {
        /// The id that its name is made from.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: DatabaseId,
        pub server: String,
        /// Which of the server's places it takes.
        pub place: i32,
        pub name: String,
        /// Of the migrations in it.
        pub set_checksum: String,
        pub state: State,
        pub lease_until: DateTime<Utc>,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use row::{Model as Spare, State as SpareState};

/// Takes a place for a spare that is to be made; false when somebody else has taken it.
pub(crate) async fn insert(db: &OwnDb, spare: &Spare) -> Result<bool, StoreError> {
    let row = row::ActiveModel {
        id: Set(spare.id),
        server: Set(spare.server.clone()),
        place: Set(spare.place),
        name: Set(spare.name.clone()),
        set_checksum: Set(spare.set_checksum.clone()),
        state: Set(spare.state),
        lease_until: Set(spare.lease_until),
        created_at: Set(spare.created_at),
    };
    match row::Entity::insert(row).exec_without_returning(db.raw()).await.map_err(StoreError::from) {
        Ok(_) => Ok(true),
        Err(StoreError::Taken(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

pub(crate) async fn all(db: &OwnDb) -> Result<Vec<Spare>, StoreError> {
    Ok(row::Entity::find().all(db.raw()).await?)
}

pub(crate) async fn on_server(db: &OwnDb, server: &str) -> Result<Vec<Spare>, StoreError> {
    Ok(row::Entity::find()
        .filter(row::Column::Server.eq(server))
        .order_by_asc(row::Column::Place)
        .all(db.raw())
        .await?)
}

/// One that is ready and has these migrations.
pub(crate) async fn ready(
    db: &impl ConnectionTrait,
    server: &str,
    set_checksum: &str,
) -> Result<Option<Spare>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Server.eq(server))
        .filter(row::Column::SetChecksum.eq(set_checksum))
        .filter(row::Column::State.eq(SpareState::Ready))
        .order_by_asc(row::Column::CreatedAt);
    Ok(query.one(db).await?)
}

/// Takes the row away, in the state that it was seen in; false when somebody else was faster.
pub(crate) async fn remove(db: &impl ConnectionTrait, seen: &Spare) -> Result<bool, StoreError> {
    let removed = row::Entity::delete_many()
        .filter(row::Column::Id.eq(seen.id))
        .filter(row::Column::State.eq(seen.state))
        .exec(db)
        .await?;
    Ok(removed.rows_affected == 1)
}

/// Moves one that was seen so to another state; false when somebody else was faster.
pub(crate) async fn change(
    db: &OwnDb,
    seen: &Spare,
    state: SpareState,
    lease_until: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let changed = row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state))
        .col_expr(row::Column::LeaseUntil, Expr::value(lease_until))
        .filter(row::Column::Id.eq(seen.id))
        .filter(row::Column::State.eq(seen.state))
        .filter(row::Column::LeaseUntil.eq(seen.lease_until))
        .exec(db.raw())
        .await?;
    Ok(changed.rows_affected == 1)
}
