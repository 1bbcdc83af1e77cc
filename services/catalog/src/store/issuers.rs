//! Other issuers of tokens, what their claims lead to, and who of ours is whom of theirs.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, IssuerId, UserId};
use uuid::Uuid;

use super::entities::issuer::{Column, Entity, Model};
use super::entities::{issuer_company, issuer_user};
use super::{CentralConnection, CentralTx, StoreError};

pub(crate) async fn find(db: &impl CentralConnection, id: IssuerId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(id).one(db.raw()).await?)
}

pub(crate) async fn find_by_url(db: &impl CentralConnection, url: &str) -> Result<Option<Model>, StoreError> {
    let found = Entity::find().filter(Column::IssuerUrl.eq(url)).one(db.raw()).await?;
    // MariaDB takes no notice of spaces at the end.
    Ok(found.filter(|row| row.issuer_url == url))
}

/// Locks an issuer until the transaction ends: what is mapped and linked under it stays under it.
pub(crate) async fn lock(tx: &CentralTx, id: IssuerId) -> Result<Option<Model>, StoreError> {
    Ok(Entity::find_by_id(id).lock_exclusive().one(tx.raw()).await?)
}

/// At most `limit` after this one, oldest first.
pub(crate) async fn list(
    db: &impl CentralConnection,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Model>, StoreError> {
    let mut query = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(IssuerId(after)));
    }
    Ok(query.all(db.raw()).await?)
}

pub(crate) async fn insert(tx: &CentralTx, row: Model) -> Result<(), StoreError> {
    Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.raw()).await?;
    Ok(())
}

/// Writes the issuer as it is to be; whether nobody has changed it since it was read.
pub(crate) async fn save(tx: &CentralTx, before: &Model, after: Model) -> Result<bool, StoreError> {
    let mut row = after.into_active_model().reset_all();
    row.id = Unchanged(before.id);
    let unchanged = Column::Id.eq(before.id).and(Column::Revision.eq(before.revision));
    let updated = Entity::update_many().set(row).filter(unchanged).exec(tx.raw()).await?;
    Ok(updated.rows_affected == 1)
}

/// With everything under it; whether nobody has changed it since it was read.
pub(crate) async fn remove(tx: &CentralTx, issuer: &Model) -> Result<bool, StoreError> {
    let unchanged = Column::Id.eq(issuer.id).and(Column::Revision.eq(issuer.revision));
    let removed = Entity::delete_many().filter(unchanged).exec(tx.raw()).await?;
    Ok(removed.rows_affected == 1)
}

/// What a value of the issuer's company claim leads to.
pub(crate) async fn mapped(
    db: &impl CentralConnection,
    issuer: IssuerId,
    claim_value: &str,
) -> Result<Option<issuer_company::Model>, StoreError> {
    use issuer_company::{Column, Entity};
    let query = Entity::find().filter(Column::IssuerId.eq(issuer)).filter(Column::ClaimValue.eq(claim_value));
    Ok(query.one(db.raw()).await?.filter(|row| row.claim_value == claim_value))
}

/// At most `limit` after this one, oldest first.
pub(crate) async fn companies(
    db: &impl CentralConnection,
    issuer: IssuerId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<issuer_company::Model>, StoreError> {
    use issuer_company::{Column, Entity};
    let mut query = Entity::find().filter(Column::IssuerId.eq(issuer)).order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    Ok(query.all(db.raw()).await?)
}

pub(crate) async fn map(tx: &CentralTx, row: issuer_company::Model) -> Result<(), StoreError> {
    issuer_company::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.raw()).await?;
    Ok(())
}

pub(crate) async fn unmap(tx: &CentralTx, row: &issuer_company::Model) -> Result<(), StoreError> {
    issuer_company::Entity::delete_by_id(row.id).exec(tx.raw()).await?;
    Ok(())
}

/// Of a company that is gone.
pub(crate) async fn unmap_all(db: &impl CentralConnection, company: CompanyId) -> Result<(), StoreError> {
    let theirs = issuer_company::Entity::delete_many().filter(issuer_company::Column::CompanyId.eq(company));
    theirs.exec(db.raw()).await?;
    Ok(())
}

/// Who the issuer's subject is with us.
pub(crate) async fn linked(
    db: &impl CentralConnection,
    issuer: IssuerId,
    subject: &str,
) -> Result<Option<issuer_user::Model>, StoreError> {
    use issuer_user::{Column, Entity};
    let query = Entity::find().filter(Column::IssuerId.eq(issuer)).filter(Column::Subject.eq(subject));
    Ok(query.one(db.raw()).await?.filter(|row| row.subject == subject))
}

/// Who our user is with the issuer.
pub(crate) async fn link_of(
    db: &impl CentralConnection,
    issuer: IssuerId,
    user: UserId,
) -> Result<Option<issuer_user::Model>, StoreError> {
    use issuer_user::{Column, Entity};
    let query = Entity::find().filter(Column::IssuerId.eq(issuer)).filter(Column::UserId.eq(user));
    Ok(query.one(db.raw()).await?)
}

/// At most `limit` after this one, oldest first.
pub(crate) async fn users(
    db: &impl CentralConnection,
    issuer: IssuerId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<issuer_user::Model>, StoreError> {
    use issuer_user::{Column, Entity};
    let mut query = Entity::find().filter(Column::IssuerId.eq(issuer)).order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    Ok(query.all(db.raw()).await?)
}

pub(crate) async fn link(tx: &CentralTx, row: issuer_user::Model) -> Result<(), StoreError> {
    issuer_user::Entity::insert(row.into_active_model().reset_all()).exec_without_returning(tx.raw()).await?;
    Ok(())
}

pub(crate) async fn unlink(tx: &CentralTx, row: &issuer_user::Model) -> Result<(), StoreError> {
    issuer_user::Entity::delete_by_id(row.id).exec(tx.raw()).await?;
    Ok(())
}
