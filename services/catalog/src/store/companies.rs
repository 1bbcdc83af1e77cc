//! Companies and their databases.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, DatabaseId};
use uuid::Uuid;

use super::entities::{company, company_database};
use super::{CentralConnection, StoreError};

/// A company about to be created.
pub(crate) struct NewCompany {
    pub(crate) id: CompanyId,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) created_by: String,
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
        state: Set(company::State::Provisioning),
        state_reason: Set(None),
        plan: Set(None),
        region: Set(None),
        labels: Set(serde_json::json!({})),
        access_epoch: Set(1),
        revision: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        created_by: Set(Some(new.created_by)),
    };
    Ok(row.insert(db.raw()).await?)
}

pub(crate) async fn find(db: &impl CentralConnection, id: CompanyId) -> Result<Option<company::Model>, StoreError> {
    Ok(company::Entity::find_by_id(id).one(db.raw()).await?)
}

pub(crate) async fn slug_is_taken(db: &impl CentralConnection, slug: &str) -> Result<bool, StoreError> {
    let found = company::Entity::find().filter(company::Column::Slug.eq(slug)).one(db.raw()).await?;
    Ok(found.is_some())
}

/// At most `limit` companies after this id, oldest first.
pub(crate) async fn list(
    db: &impl CentralConnection,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<company::Model>, StoreError> {
    let mut query = company::Entity::find().order_by_asc(company::Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(company::Column::Id.gt(CompanyId(after)));
    }
    Ok(query.all(db.raw()).await?)
}

/// Moves a company from PROVISIONING to where provisioning ended; false when it
/// is not PROVISIONING any more.
pub(crate) async fn end_provisioning(
    db: &impl CentralConnection,
    id: CompanyId,
    state: company::State,
    reason: Option<String>,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let updated = company::Entity::update_many()
        .col_expr(company::Column::State, Expr::value(state))
        .col_expr(company::Column::StateReason, Expr::value(reason))
        .col_expr(company::Column::Revision, Expr::col(company::Column::Revision).add(1))
        .col_expr(company::Column::UpdatedAt, Expr::value(now))
        .filter(company::Column::Id.eq(id))
        .filter(company::Column::State.eq(company::State::Provisioning))
        .exec(db.raw())
        .await?;
    Ok(updated.rows_affected == 1)
}

/// A database about to be created for a company.
pub(crate) struct NewDatabase {
    pub(crate) id: DatabaseId,
    pub(crate) company_id: CompanyId,
    pub(crate) server: String,
    pub(crate) sealed_password: Vec<u8>,
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
