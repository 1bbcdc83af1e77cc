//! Every command that changed a database, or tried.

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue::Set, QueryOrder, QuerySelect};
use tenantry_ids::RunId;

use super::{OwnDb, StoreError};

/// How many of a database's runs its status shows.
const SHOWN: u64 = 10;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "runs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: RunId,
        pub server: String,
        pub database_name: String,
        pub set_name: String,
        pub kind: String,
        pub caller: Option<String>,
        pub from_version: Option<String>,
        pub to_version: Option<String>,
        pub state: String,
        pub error: Option<String>,
        pub started_at: DateTime<Utc>,
        pub finished_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) use row::Model as RunRow;

/// A command about to begin.
pub(crate) struct NewRun<'a> {
    pub(crate) id: RunId,
    pub(crate) server: &'a str,
    pub(crate) database: &'a str,
    pub(crate) set: &'a str,
    pub(crate) command: &'static str,
    pub(crate) caller: String,
    pub(crate) from: Option<&'a str>,
}

pub(crate) async fn begin(db: &OwnDb, new: NewRun<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        id: Set(new.id),
        server: Set(new.server.to_owned()),
        database_name: Set(new.database.to_owned()),
        set_name: Set(new.set.to_owned()),
        kind: Set(new.command.to_owned()),
        caller: Set(Some(new.caller)),
        from_version: Set(new.from.map(str::to_owned)),
        to_version: Set(None),
        state: Set("running".to_owned()),
        error: Set(None),
        started_at: Set(now),
        finished_at: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn end(
    db: &OwnDb,
    id: RunId,
    to: Option<&str>,
    error: Option<String>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let state = if error.is_some() { "failed" } else { "done" };
    row::Entity::update_many()
        .col_expr(row::Column::ToVersion, Expr::value(to))
        .col_expr(row::Column::State, Expr::value(state))
        .col_expr(row::Column::Error, Expr::value(error))
        .col_expr(row::Column::FinishedAt, Expr::value(now))
        .filter(row::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// The database's last runs, newest first.
pub(crate) async fn last(db: &OwnDb, server: &str, database: &str) -> Result<Vec<RunRow>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Server.eq(server))
        .filter(row::Column::DatabaseName.eq(database))
        .order_by_desc(row::Column::StartedAt)
        .limit(SHOWN);
    Ok(query.all(db.raw()).await?)
}
