//! Plugins: the registry, and what each company has of it.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, DatabaseId};

use super::entities::company_plugin::{Column, Entity, Model, State};
use super::entities::{company_database, plugin};
use super::{CentralConnection, CentralTx, StoreError};

/// Everything that companies can install, by name.
pub(crate) async fn registry(db: &impl CentralConnection) -> Result<Vec<plugin::Model>, StoreError> {
    Ok(plugin::Entity::find().order_by_asc(plugin::Column::Name).all(db.raw()).await?)
}

pub(crate) async fn known(db: &impl CentralConnection, name: &str) -> Result<Option<plugin::Model>, StoreError> {
    Ok(plugin::Entity::find_by_id(name).one(db.raw()).await?)
}

/// Writes a plugin into the registry, or what is new about it.
pub(crate) async fn register(tx: &CentralTx, new: plugin::Model) -> Result<(), StoreError> {
    let name = new.name.clone();
    let before = known(tx, &name).await?;
    let row = plugin::Model { created_at: before.as_ref().map_or(new.created_at, |row| row.created_at), ..new };
    let mut row = row.into_active_model().reset_all();
    if before.is_none() {
        plugin::Entity::insert(row).exec_without_returning(tx.raw()).await?;
        return Ok(());
    }
    row.name = Unchanged(name.clone());
    plugin::Entity::update_many().set(row).filter(plugin::Column::Name.eq(name)).exec(tx.raw()).await?;
    Ok(())
}

pub(crate) async fn find(
    db: &impl CentralConnection,
    company: CompanyId,
    name: &str,
) -> Result<Option<Model>, StoreError> {
    let query = Entity::find().filter(Column::CompanyId.eq(company)).filter(Column::Plugin.eq(name));
    Ok(query.one(db.raw()).await?)
}

/// All that a company has, by name.
pub(crate) async fn of_company(db: &impl CentralConnection, company: CompanyId) -> Result<Vec<Model>, StoreError> {
    let query = Entity::find().filter(Column::CompanyId.eq(company)).order_by_asc(Column::Plugin);
    Ok(query.all(db.raw()).await?)
}

/// What these companies can be served by, each by name.
pub(crate) async fn installed(
    db: &impl CentralConnection,
    companies: &HashSet<CompanyId>,
) -> Result<HashMap<CompanyId, Vec<Model>>, StoreError> {
    let query = Entity::find()
        .filter(Column::CompanyId.is_in(companies.iter().copied()))
        .filter(Column::State.eq(State::Installed))
        .order_by_asc(Column::Plugin);
    let mut installed: HashMap<_, Vec<_>> = HashMap::new();
    for row in query.all(db.raw()).await? {
        installed.entry(row.company_id).or_default().push(row);
    }
    Ok(installed)
}

pub(crate) async fn insert(tx: &CentralTx, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.raw()).await?;
    Ok(())
}

/// Writes the row as it is to be, with its next revision; `None` when somebody else has changed it since it was read.
pub(crate) async fn save(
    db: &impl CentralConnection,
    before: &Model,
    after: Model,
) -> Result<Option<Model>, StoreError> {
    let after = Model { revision: before.revision + 1, ..after };
    let mut row = after.clone().into_active_model().reset_all();
    row.id = Unchanged(before.id);
    let unchanged = Column::Id.eq(before.id).and(Column::Revision.eq(before.revision));
    let saved = Entity::update_many().set(row).filter(unchanged).exec(db.raw()).await?;
    Ok((saved.rows_affected == 1).then_some(after))
}

/// Removes the row; false when somebody else has changed it since it was read.
pub(crate) async fn remove(tx: &CentralTx, row: &Model) -> Result<bool, StoreError> {
    let unchanged = Column::Id.eq(row.id).and(Column::Revision.eq(row.revision));
    let removed = Entity::delete_many().filter(unchanged).exec(tx.raw()).await?;
    Ok(removed.rows_affected == 1)
}

/// Of a company whose database is gone.
pub(crate) async fn forget(tx: &CentralTx, company: CompanyId) -> Result<(), StoreError> {
    Entity::delete_many().filter(Column::CompanyId.eq(company)).exec(tx.raw()).await?;
    Ok(())
}

/// Those with something to do, longest waiting first.
pub(crate) async fn due(db: &impl CentralConnection, now: DateTime<Utc>, limit: u64) -> Result<Vec<Model>, StoreError> {
    let query = Entity::find().filter(Column::DueAt.lte(now)).order_by_asc(Column::DueAt).limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// Notes which version a plugin's tables are at; false when a newer report was there, or the company does not have it.
pub(crate) async fn note_version(
    tx: &CentralTx,
    (company, database): (CompanyId, DatabaseId),
    name: &str,
    (version, sequence): (&str, i64),
) -> Result<bool, StoreError> {
    let own = company_database::Entity::find_by_id(database).one(tx.raw()).await?;
    if own.is_none_or(|own| own.company_id != company) {
        return Ok(false);
    }
    let noted = Entity::update_many()
        .col_expr(Column::SchemaVersion, Expr::value(version))
        .col_expr(Column::VersionSequence, Expr::value(sequence))
        .filter(Column::CompanyId.eq(company))
        .filter(Column::Plugin.eq(name))
        .filter(Column::VersionSequence.lt(sequence))
        .exec(tx.raw())
        .await?;
    Ok(noted.rows_affected == 1)
}
