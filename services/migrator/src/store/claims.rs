//! Which company a database belongs to.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryOrder, QuerySelect, QueryTrait,
};
use tenantry_ids::{CompanyId, DatabaseId, RolloutId};

use super::{OwnDb, StoreError};
use crate::ident::Slot;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    /// Where a database is in its life.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
    #[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
    pub enum State {
        #[sea_orm(string_value = "creating")]
        Creating,
        #[sea_orm(string_value = "ready")]
        Ready,
        #[sea_orm(string_value = "dropping")]
        Dropping,
        #[sea_orm(string_value = "dropped")]
        Dropped,
    }

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "database_claims")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub database_id: DatabaseId,
        pub company_id: CompanyId,
        pub server: String,
        pub name: String,
        /// The first login role; the second follows from it.
        pub role: Option<String>,
        pub state: State,
        pub schema_version: Option<String>,
        pub seeded_at: Option<DateTime<Utc>>,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
        /// Raised whenever the version changes: what the catalog is told in order by.
        pub version_sequence: i64,
        /// The last of those that the catalog has.
        pub reported_sequence: i64,
        /// The last rollout that failed here, until one succeeds.
        pub failed_rollout: Option<RolloutId>,
        /// Which of the login roles is in use: 0 the first, 1 the second.
        pub credential_slot: i32,
        /// Since which generation of the placement; 0 for what it was made with.
        pub credential_generation: i64,
        /// Somebody else has made it, and it is not the company's yet: it is not dropped.
        pub adopting: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl row::Model {
    /// Which of the login roles is in use.
    pub(crate) fn slot(&self) -> Slot {
        if self.credential_slot == 0 { Slot::First } else { Slot::Second }
    }

    /// Whether its password is not the one any more that it was made with.
    pub(crate) fn is_rotated(&self) -> bool {
        self.credential_generation > 0
    }
}

pub(crate) use row::{Model as Claim, State as ClaimState};

/// A claim to make.
pub(crate) struct NewClaim<'a> {
    pub(crate) database: DatabaseId,
    pub(crate) company: CompanyId,
    pub(crate) server: &'a str,
    pub(crate) name: &'a str,
    pub(crate) role: Option<&'a str>,
    pub(crate) state: ClaimState,
    pub(crate) adopting: bool,
}

pub(crate) async fn of_company(db: &OwnDb, company: CompanyId) -> Result<Option<Claim>, StoreError> {
    Ok(row::Entity::find().filter(row::Column::CompanyId.eq(company)).one(db.raw()).await?)
}

pub(crate) async fn of_database(db: &OwnDb, database: DatabaseId) -> Result<Option<Claim>, StoreError> {
    Ok(row::Entity::find_by_id(database).one(db.raw()).await?)
}

/// The claims of these databases.
pub(crate) async fn of_databases(
    db: &impl ConnectionTrait,
    databases: impl IntoIterator<Item = DatabaseId>,
) -> Result<HashMap<DatabaseId, Claim>, StoreError> {
    let databases: Vec<_> = databases.into_iter().collect();
    if databases.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = row::Entity::find().filter(row::Column::DatabaseId.is_in(databases)).all(db).await?;
    Ok(rows.into_iter().map(|claim| (claim.database_id, claim)).collect())
}

/// Of whichever company, dropped ones too.
pub(crate) async fn of_name(db: &OwnDb, server: &str, name: &str) -> Result<Option<Claim>, StoreError> {
    let query = row::Entity::find().filter(row::Column::Server.eq(server)).filter(row::Column::Name.eq(name));
    Ok(query.one(db.raw()).await?)
}

/// Every claim, tombstones too.
pub(crate) async fn all(db: &OwnDb) -> Result<Vec<Claim>, StoreError> {
    Ok(row::Entity::find().all(db.raw()).await?)
}

/// Whether a database that is not dropped has a login role that ends so.
pub(crate) async fn is_login(db: &OwnDb, ending: &str) -> Result<bool, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::Role.ends_with(ending))
        .filter(row::Column::State.ne(row::State::Dropped));
    Ok(query.one(db.raw()).await?.is_some())
}

/// The claims on databases of this name that are not dropped, on whichever server.
pub(crate) async fn kept_of_name(db: &OwnDb, name: &str) -> Result<Vec<Claim>, StoreError> {
    let query = row::Entity::find().filter(row::Column::Name.eq(name));
    Ok(query.filter(row::Column::State.ne(row::State::Dropped)).all(db.raw()).await?)
}

pub(crate) async fn insert(db: &impl ConnectionTrait, new: NewClaim<'_>, now: DateTime<Utc>) -> Result<(), StoreError> {
    let row = row::ActiveModel {
        database_id: Set(new.database),
        company_id: Set(new.company),
        server: Set(new.server.to_owned()),
        name: Set(new.name.to_owned()),
        role: Set(new.role.map(str::to_owned)),
        state: Set(new.state),
        schema_version: Set(None),
        seeded_at: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        version_sequence: Set(0),
        reported_sequence: Set(0),
        failed_rollout: Set(None),
        credential_slot: Set(0),
        credential_generation: Set(0),
        adopting: Set(new.adopting),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// Notes that the database is there, at this version; not one that is dropped or
/// being dropped.
pub(crate) async fn note_ready(
    db: &OwnDb,
    database: DatabaseId,
    version: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(row::State::Ready))
        .col_expr(row::Column::Adopting, Expr::value(false))
        .col_expr(row::Column::SchemaVersion, Expr::value(version))
        .col_expr(row::Column::VersionSequence, Expr::col(row::Column::VersionSequence).add(1))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .filter(row::Column::State.is_in([row::State::Creating, row::State::Ready]))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes that the database is being dropped, or dropped.
pub(crate) async fn note_state(
    db: &OwnDb,
    database: DatabaseId,
    state: ClaimState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::State, Expr::value(state))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes which login role is in use from this generation on; false when a later one is noted. Repeated, it stays true.
pub(crate) async fn note_credential(
    db: &OwnDb,
    database: DatabaseId,
    slot: Slot,
    generation: i64,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let slot = match slot {
        Slot::First => 0,
        Slot::Second => 1,
    };
    let same = row::Column::CredentialGeneration.eq(generation).and(row::Column::CredentialSlot.eq(slot));
    let noted = row::Entity::update_many()
        .col_expr(row::Column::CredentialSlot, Expr::value(slot))
        .col_expr(row::Column::CredentialGeneration, Expr::value(generation))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .filter(row::Column::CredentialGeneration.lt(generation).or(same))
        .exec(db.raw())
        .await?;
    Ok(noted.rows_affected == 1)
}

/// Notes that the seeds are in.
pub(crate) async fn note_seeded(db: &OwnDb, database: DatabaseId, now: DateTime<Utc>) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::SeededAt, Expr::value(now))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .exec(db.raw())
        .await?;
    Ok(())
}

/// Notes the version that a database has now; empty where nothing is applied.
pub(crate) async fn note_version(
    db: &impl ConnectionTrait,
    database: DatabaseId,
    version: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    row::Entity::update_many()
        .col_expr(row::Column::SchemaVersion, Expr::value(version.unwrap_or_default()))
        .col_expr(row::Column::VersionSequence, Expr::col(row::Column::VersionSequence).add(1))
        .col_expr(row::Column::UpdatedAt, Expr::value(now))
        .filter(row::Column::DatabaseId.eq(database))
        .exec(db)
        .await?;
    Ok(())
}

/// Notes what a rollout did to a database: the version that it has now, where that has changed, and whether it failed.
pub(crate) async fn note_rollout(
    db: &impl ConnectionTrait,
    databases: impl Iterator<Item = DatabaseId>,
    version: Option<&str>,
    failed: Option<RolloutId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let mut update = row::Entity::update_many()
        .col_expr(row::Column::FailedRollout, Expr::value(failed))
        .col_expr(row::Column::UpdatedAt, Expr::value(now));
    if let Some(version) = version {
        update = update
            .col_expr(row::Column::SchemaVersion, Expr::value(version))
            .col_expr(row::Column::VersionSequence, Expr::col(row::Column::VersionSequence).add(1));
    }
    update.filter(row::Column::DatabaseId.is_in(databases)).exec(db).await?;
    Ok(())
}

/// Which databases a rollout or a status is about.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) server: Option<String>,
    pub(crate) min_version: Option<String>,
    pub(crate) max_version: Option<String>,
}

impl Wanted {
    /// Whether a version is in its range.
    pub(crate) fn takes_version(&self, version: &str) -> bool {
        self.min_version.as_deref().is_none_or(|min| version >= min)
            && self.max_version.as_deref().is_none_or(|max| version <= max)
    }
}

/// The databases that are in service, oldest first.
pub(crate) async fn ready(db: &impl ConnectionTrait, wanted: &Wanted) -> Result<Vec<Claim>, StoreError> {
    let mut query = row::Entity::find().filter(row::Column::State.eq(row::State::Ready));
    if let Some(server) = &wanted.server {
        query = query.filter(row::Column::Server.eq(server.as_str()));
    }
    if let Some(version) = &wanted.min_version {
        query = query.filter(row::Column::SchemaVersion.gte(version.as_str()));
    }
    if let Some(version) = &wanted.max_version {
        query = query.filter(row::Column::SchemaVersion.lte(version.as_str()));
    }
    Ok(query.order_by_asc(row::Column::DatabaseId).all(db).await?)
}

/// How many databases joined after `since` and are not at `version`.
pub(crate) async fn joined_since(
    db: &impl ConnectionTrait,
    since: DateTime<Utc>,
    version: &str,
) -> Result<u64, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::State.eq(row::State::Ready))
        .filter(row::Column::CreatedAt.gt(since))
        .filter(row::Column::SchemaVersion.ne(version));
    Ok(query.count(db).await?)
}

/// How many databases are at each version on each server; those that are being made have none.
pub(crate) async fn versions(
    db: &impl ConnectionTrait,
    server: Option<&str>,
) -> Result<Vec<(String, String, i64)>, StoreError> {
    let mut query = row::Entity::find()
        .select_only()
        .column(row::Column::SchemaVersion)
        .column(row::Column::Server)
        .column_as(row::Column::DatabaseId.count(), "databases")
        .filter(row::Column::State.is_in([row::State::Creating, row::State::Ready]))
        .group_by(row::Column::SchemaVersion)
        .group_by(row::Column::Server);
    if let Some(server) = server {
        query = query.filter(row::Column::Server.eq(server));
    }
    let rows: Vec<(Option<String>, String, i64)> = query.into_tuple().all(db).await?;
    Ok(rows.into_iter().map(|(version, server, databases)| (version.unwrap_or_default(), server, databases)).collect())
}

/// Databases whose last rollout failed there.
pub(crate) async fn failed(
    db: &impl ConnectionTrait,
    server: Option<&str>,
    limit: u64,
) -> Result<(Vec<Claim>, u64), StoreError> {
    let mut query = row::Entity::find()
        .filter(row::Column::State.eq(row::State::Ready))
        .filter(row::Column::FailedRollout.is_not_null());
    if let Some(server) = server {
        query = query.filter(row::Column::Server.eq(server));
    }
    let total = query.clone().count(db).await?;
    Ok((query.order_by_asc(row::Column::DatabaseId).limit(limit).all(db).await?, total))
}

/// A query of the ids of the databases in service, on one server or on all.
pub(super) fn ids_on(server: Option<&str>) -> sea_orm::sea_query::SelectStatement {
    let mut query = row::Entity::find().select_only().column(row::Column::DatabaseId);
    query = query.filter(row::Column::State.eq(row::State::Ready));
    if let Some(server) = server {
        query = query.filter(row::Column::Server.eq(server));
    }
    query.into_query()
}

/// Databases whose version the catalog has not been told.
pub(crate) async fn unreported(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Claim>, StoreError> {
    let query = row::Entity::find()
        .filter(row::Column::State.eq(row::State::Ready))
        .filter(Expr::col(row::Column::VersionSequence).gt(Expr::col(row::Column::ReportedSequence)));
    Ok(query.limit(limit).all(db).await?)
}

/// Notes that the catalog was told of everything up to these sequences.
pub(crate) async fn note_reported(db: &impl ConnectionTrait, told: &[Claim]) -> Result<(), StoreError> {
    let mut by_sequence: std::collections::BTreeMap<i64, Vec<DatabaseId>> = Default::default();
    for claim in told {
        by_sequence.entry(claim.version_sequence).or_default().push(claim.database_id);
    }
    for (sequence, databases) in by_sequence {
        row::Entity::update_many()
            .col_expr(row::Column::ReportedSequence, Expr::value(sequence))
            .filter(row::Column::DatabaseId.is_in(databases))
            .filter(row::Column::ReportedSequence.lt(sequence))
            .exec(db)
            .await?;
    }
    Ok(())
}
