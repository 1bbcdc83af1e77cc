//! The public side of database servers.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect};

use super::entities::{company_database, database_server};
use super::{CentralConnection, StoreError};

/// Registers a server, or changes the address of a known one.
pub(crate) async fn register(
    db: &impl CentralConnection,
    name: &str,
    engine: &str,
    endpoint: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = database_server::ActiveModel {
        name: Set(name.to_owned()),
        engine: Set(engine.to_owned()),
        endpoint: Set(endpoint.to_owned()),
        region: Set(None),
        state: Set(database_server::State::Open),
        created_at: Set(now),
        updated_at: Set(now),
    };
    let known = OnConflict::column(database_server::Column::Name)
        .update_columns([
            database_server::Column::Engine,
            database_server::Column::Endpoint,
            database_server::Column::UpdatedAt,
        ])
        .to_owned();
    database_server::Entity::insert(row).on_conflict(known).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn find(
    db: &impl CentralConnection,
    name: &str,
) -> Result<Option<database_server::Model>, StoreError> {
    Ok(database_server::Entity::find_by_id(name).one(db.raw()).await?)
}

#[derive(FromQueryResult)]
struct Load {
    server: String,
    databases: i64,
}

/// The open server with the fewest databases; the asked one, if it is open.
pub(crate) async fn choose(
    db: &impl CentralConnection,
    asked: Option<&str>,
) -> Result<Option<database_server::Model>, StoreError> {
    let open = database_server::Entity::find().filter(database_server::Column::State.eq(database_server::State::Open));
    if let Some(asked) = asked {
        return Ok(open.filter(database_server::Column::Name.eq(asked)).one(db.raw()).await?);
    }
    let loads = company_database::Entity::find()
        .select_only()
        .column(company_database::Column::Server)
        .column_as(Expr::col(company_database::Column::Id).count(), "databases")
        .group_by(company_database::Column::Server)
        .into_model::<Load>()
        .all(db.raw())
        .await?;
    let load = |name: &str| loads.iter().find(|load| load.server == name).map_or(0, |load| load.databases);
    let servers = open.all(db.raw()).await?;
    Ok(servers.into_iter().min_by_key(|server| (load(&server.name), server.name.clone())))
}
