//! Companies and their databases.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ActiveValue::Unchanged, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait,
    ExprTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};
use tenantry_ids::{CompanyId, DatabaseId};
use uuid::Uuid;

use super::entities::{company, company_database};
use super::{CentralConnection, CentralTx, StoreError};
use crate::domain::{Action, Selector, Slug, State};

/// A company about to be created.
pub(crate) struct NewCompany {
    pub(crate) id: CompanyId,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) created_by: String,
    pub(crate) labels: serde_json::Value,
    pub(crate) plan: Option<String>,
    pub(crate) region: Option<String>,
}

pub(crate) async fn insert(
    db: &impl CentralConnection,
    new: NewCompany,
    now: DateTime<Utc>,
) -> Result<company::Model, StoreError> {
    let row = company::ActiveModel {
        id: Set(new.id),
        name: Set(new.name),
        slug: Set(new.slug),
        state: Set(State::Provisioning),
        state_reason: Set(None),
        plan: Set(new.plan),
        region: Set(new.region),
        labels: Set(new.labels),
        access_epoch: Set(1),
        revision: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        created_by: Set(Some(new.created_by)),
        maintenance_retry_s: Set(None),
        deleted_from: Set(None),
        purge_at: Set(None),
        purge_begun_at: Set(None),
        own_requests_per_second: Set(0),
        own_concurrent_requests: Set(0),
        own_connections: Set(0),
    };
    Ok(row.insert(db.raw()).await?)
}

pub(crate) async fn find(db: &impl CentralConnection, id: CompanyId) -> Result<Option<company::Model>, StoreError> {
    Ok(company::Entity::find_by_id(id).one(db.raw()).await?)
}

/// Locks a company until the transaction ends, for what must be decided for the company as a whole. Before any user of
/// it is locked.
pub(crate) async fn lock(tx: &CentralTx, id: CompanyId) -> Result<Option<company::Model>, StoreError> {
    Ok(company::Entity::find_by_id(id).lock_exclusive().one(tx.raw()).await?)
}

pub(crate) async fn find_by_slug(
    db: &impl CentralConnection,
    slug: &str,
) -> Result<Option<company::Model>, StoreError> {
    Ok(company::Entity::find().filter(company::Column::Slug.eq(slug)).one(db.raw()).await?)
}

/// Which companies a list is of; what is empty lets all through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) states: Vec<State>,
    pub(crate) labels: Vec<Selector>,
    pub(crate) server: String,
}

/// At most `limit` companies after this id, oldest first.
pub(crate) async fn list(
    db: &impl CentralConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<company::Model>, StoreError> {
    let mut query = company::Entity::find().order_by_asc(company::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(company::Column::Id.gt(CompanyId(after)));
    }
    if !filter.states.is_empty() {
        query = query.filter(company::Column::State.is_in(filter.states.clone()));
    }
    for selector in &filter.labels {
        query = query.filter(has_label(db.raw().get_database_backend(), selector));
    }
    if !filter.server.is_empty() {
        let there = company_database::Entity::find()
            .select_only()
            .column(company_database::Column::CompanyId)
            .filter(company_database::Column::Server.eq(&filter.server));
        query = query.filter(company::Column::Id.in_subquery(there.into_query()));
    }
    Ok(query.all(db.raw()).await?)
}

/// A label's value out of the JSON, in each engine's own words.
fn has_label(backend: DbBackend, selector: &Selector) -> SimpleExpr {
    let value = selector.value.as_str();
    match backend {
        DbBackend::Postgres => {
            Expr::cust_with_values("jsonb_extract_path_text(labels, $1) = $2", [selector.key(), value])
        }
        DbBackend::MySql => {
            Expr::cust_with_values("JSON_UNQUOTE(JSON_EXTRACT(labels, ?)) = ?", [selector.json_path().as_str(), value])
        }
        _ => Expr::cust_with_values("json_extract(labels, ?) = ?", [selector.json_path().as_str(), value]),
    }
}

/// Writes the company as it is to be, with its next revision; `None` when
/// somebody else has changed it since it was read.
pub(crate) async fn save(
    db: &impl CentralConnection,
    before: &company::Model,
    after: company::Model,
    now: DateTime<Utc>,
) -> Result<Option<company::Model>, StoreError> {
    let after = company::Model { revision: before.revision + 1, updated_at: now, ..after };
    let mut row = after.clone().into_active_model().reset_all();
    row.id = Unchanged(before.id);
    let updated = company::Entity::update_many()
        .set(row)
        .filter(company::Column::Id.eq(before.id))
        .filter(company::Column::Revision.eq(before.revision))
        .exec(db.raw())
        .await?;
    Ok((updated.rows_affected == 1).then_some(after))
}

/// Moves a company to where an action of the pipeline leads, and says why; false
/// when it is in none of the states that the action leads from.
pub(crate) async fn advance(
    db: &impl CentralConnection,
    id: CompanyId,
    (action, state): (Action, State),
    reason: Option<String>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let updated = company::Entity::update_many()
        .col_expr(company::Column::State, Expr::value(state))
        .col_expr(company::Column::StateReason, Expr::value(reason))
        .col_expr(company::Column::Revision, Expr::col(company::Column::Revision).add(1))
        .col_expr(company::Column::UpdatedAt, Expr::value(now))
        .filter(company::Column::Id.eq(id))
        .filter(company::Column::State.is_in(action.sources().iter().copied()))
        .exec(db.raw())
        .await?;
    Ok(updated.rows_affected == 1)
}

/// Gives the slug and the database's row with its sealed credential up. Of a
/// company whose database is gone.
pub(crate) async fn forget(db: &impl CentralConnection, id: CompanyId) -> Result<(), StoreError> {
    company::Entity::update_many()
        .col_expr(company::Column::Slug, Expr::value(Slug::of_purged(id)))
        .filter(company::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    company_database::Entity::delete_many().filter(company_database::Column::CompanyId.eq(id)).exec(db.raw()).await?;
    Ok(())
}

/// Deleted companies whose grace has ended and whose purge has not begun.
pub(crate) async fn grace_over(
    db: &impl CentralConnection,
    now: DateTime<Utc>,
    limit: u64,
) -> Result<Vec<CompanyId>, StoreError> {
    let rows = company::Entity::find()
        .filter(company::Column::State.eq(State::Deleted))
        .filter(company::Column::PurgeBegunAt.is_null())
        .filter(company::Column::PurgeAt.lte(now))
        .order_by_asc(company::Column::PurgeAt)
        .limit(limit)
        .all(db.raw())
        .await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// A database about to be created for a company.
pub(crate) struct NewDatabase {
    pub(crate) id: DatabaseId,
    pub(crate) company_id: CompanyId,
    pub(crate) server: String,
    pub(crate) sealed_password: Vec<u8>,
    pub(crate) adopted_name: Option<String>,
    pub(crate) baseline_version: Option<String>,
}

pub(crate) async fn insert_database(
    db: &impl CentralConnection,
    new: NewDatabase,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = company_database::ActiveModel {
        id: Set(new.id),
        company_id: Set(new.company_id),
        server: Set(new.server),
        name: Set(None),
        role: Set(None),
        sealed_password: Set(Some(new.sealed_password)),
        generation: Set(1),
        schema_version: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        version_sequence: Set(None),
        credential_slot: Set(0),
        adopted_name: Set(new.adopted_name),
        baseline_version: Set(new.baseline_version),
    };
    company_database::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn database_of(
    db: &impl CentralConnection,
    company: CompanyId,
) -> Result<Option<company_database::Model>, StoreError> {
    let query = company_database::Entity::find().filter(company_database::Column::CompanyId.eq(company));
    Ok(query.one(db.raw()).await?)
}

/// The databases of these companies.
pub(crate) async fn databases_of(
    db: &impl CentralConnection,
    companies: impl IntoIterator<Item = CompanyId>,
) -> Result<HashMap<CompanyId, company_database::Model>, StoreError> {
    let query = company_database::Entity::find().filter(company_database::Column::CompanyId.is_in(companies));
    Ok(query.all(db.raw()).await?.into_iter().map(|row| (row.company_id, row)).collect())
}

/// Notes what the migrator made: the database's name, its role and its version.
pub(crate) async fn note_database(
    db: &impl CentralConnection,
    id: DatabaseId,
    name: &str,
    role: &str,
    schema_version: &str,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    company_database::Entity::update_many()
        .col_expr(company_database::Column::Name, Expr::value(name))
        .col_expr(company_database::Column::Role, Expr::value(role))
        .col_expr(company_database::Column::SchemaVersion, Expr::value(schema_version))
        .col_expr(company_database::Column::UpdatedAt, Expr::value(now))
        .filter(company_database::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}
