//! Plans, and what they allow.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use tenantry_ids::CompanyId;

use super::entities::company;
use super::entities::plan::{Column, Entity, Model};
use super::{CentralConnection, CentralTx, StoreError};
use crate::domain::{Limits, State};

pub(crate) async fn find(db: &impl CentralConnection, name: &str) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(name).one(db.raw()).await?)
}

/// All of them, by name.
pub(crate) async fn all(db: &impl CentralConnection) -> Result<Vec<Model>, StoreError> {
    Ok(Entity::find().order_by_asc(Column::Name).all(db.raw()).await?)
}

pub(crate) async fn insert(tx: &CentralTx, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.raw()).await?;
    Ok(())
}

/// Writes the plan as it is to be, with its next revision; whether nobody has changed it since it was read.
pub(crate) async fn save(tx: &CentralTx, before: &Model, after: Model, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let mut row = Model { revision: before.revision + 1, updated_at: now, ..after }.into_active_model().reset_all();
    row.name = Unchanged(before.name.clone());
    let unchanged = Column::Name.eq(&before.name).and(Column::Revision.eq(before.revision));
    let updated = Entity::update_many().set(row).filter(unchanged).exec(tx.raw()).await?;
    Ok(updated.rows_affected == 1)
}

/// Whether nobody has changed it since it was read.
pub(crate) async fn remove(tx: &CentralTx, plan: &Model) -> Result<bool, StoreError> {
    let unchanged = Column::Name.eq(&plan.name).and(Column::Revision.eq(plan.revision));
    let removed = Entity::delete_many().filter(unchanged).exec(tx.raw()).await?;
    Ok(removed.rows_affected == 1)
}

/// The companies that have booked it and can still be served.
pub(crate) async fn companies_on(db: &impl CentralConnection, name: &str) -> Result<Vec<CompanyId>, StoreError> {
    let on_it = company::Column::Plan.eq(name).and(company::Column::State.ne(State::Purged));
    let ids = company::Entity::find().select_only().column(company::Column::Id).filter(on_it);
    Ok(ids.into_tuple().all(db.raw()).await?)
}

/// What a company may ask for: its own limits, and its plan's.
pub(crate) async fn effective(db: &impl CentralConnection, company: &company::Model) -> Result<Limits, StoreError> {
    let plan = match &company.plan {
        Some(name) => find(db, name).await?,
        None => None,
    };
    Ok(company.own_limits().or(plan.map(|plan| plan.limits()).unwrap_or_default()))
}

/// [`effective`] for those who ask about many companies.
pub(crate) struct PlanTable(HashMap<String, Limits>);

impl PlanTable {
    pub(crate) async fn read(db: &impl CentralConnection) -> Result<Self, StoreError> {
        let plans = all(db).await?.into_iter();
        Ok(Self(plans.map(|plan| (plan.name.clone(), plan.limits())).collect()))
    }

    pub(crate) fn effective(&self, company: &company::Model) -> Limits {
        let plan = company.plan.as_ref().and_then(|name| self.0.get(name));
        company.own_limits().or(plan.copied().unwrap_or_default())
    }
}
