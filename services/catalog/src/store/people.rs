//! Users, their memberships, invitations, and operators.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, OperatorId, UserId};
use uuid::Uuid;

use super::entities::{company, invitation, membership, operator, user};
use super::{CentralConnection, CentralTx, StoreError};
use crate::domain::{Email, Role};

pub(crate) async fn find_user(db: &impl CentralConnection, email: &Email) -> Result<Option<user::Model>, StoreError> {
    find_user_by_key(db, email.key()).await
}

pub(crate) async fn find_user_by_key(
    db: &impl CentralConnection,
    email_key: &str,
) -> Result<Option<user::Model>, StoreError> {
    Ok(user::Entity::find().filter(user::Column::EmailKey.eq(email_key)).one(db.raw()).await?)
}

pub(crate) async fn insert_user(
    db: &impl CentralConnection,
    id: UserId,
    (address, key): (&str, &str),
    password_hash: String,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = user::ActiveModel {
        id: Set(id),
        email: Set(address.to_owned()),
        email_key: Set(key.to_owned()),
        password_hash: Set(password_hash),
        password_changed_at: Set(now),
        created_at: Set(now),
        updated_at: Set(now),
    };
    user::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Locks a user until the transaction ends. Whoever ends what the user's tokens are good for holds this lock, and so
/// does whoever issues one: each sees what the other has done. Alone, since MariaDB has no word for less. To be the
/// first statement of its transaction, but for the company's lock: what is read before may be of another time.
pub(crate) async fn lock_user(tx: &CentralTx, id: UserId) -> Result<Option<user::Model>, StoreError> {
    Ok(user::Entity::find_by_id(id).lock_exclusive().one(tx.raw()).await?)
}

pub(crate) async fn find_user_by_id(
    db: &impl CentralConnection,
    id: UserId,
) -> Result<Option<user::Model>, StoreError> {
    Ok(user::Entity::find_by_id(id).one(db.raw()).await?)
}

pub(crate) async fn set_password(
    db: &impl CentralConnection,
    id: UserId,
    password_hash: String,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(password_hash))
        .col_expr(user::Column::PasswordChangedAt, Expr::value(now))
        .col_expr(user::Column::UpdatedAt, Expr::value(now))
        .filter(user::Column::Id.eq(id))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn add_member(
    db: &impl CentralConnection,
    company_id: CompanyId,
    user_id: UserId,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = membership::ActiveModel {
        company_id: Set(company_id),
        user_id: Set(user_id),
        role: Set(role),
        created_at: Set(now),
    };
    membership::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

pub(crate) async fn role_in(
    db: &impl CentralConnection,
    company: CompanyId,
    user: UserId,
) -> Result<Option<Role>, StoreError> {
    Ok(membership::Entity::find_by_id((company, user)).one(db.raw()).await?.map(|row| row.role))
}

/// The companies that a user belongs to, with the role in each, oldest first.
pub(crate) async fn companies_of(
    db: &impl CentralConnection,
    user: UserId,
) -> Result<Vec<(company::Model, Role)>, StoreError> {
    let memberships = membership::Entity::find().filter(membership::Column::UserId.eq(user)).all(db.raw()).await?;
    let ids = memberships.iter().map(|row| row.company_id);
    let companies = company::Entity::find()
        .filter(company::Column::Id.is_in(ids))
        .order_by_asc(company::Column::Id)
        .all(db.raw())
        .await?;
    let role = |id| memberships.iter().find(|row| row.company_id == id).map(|row| row.role);
    Ok(companies.into_iter().filter_map(|company| role(company.id).map(|role| (company, role))).collect())
}

/// At most `limit` members after this user, in the order of users.
pub(crate) async fn members_of(
    db: &impl CentralConnection,
    company: CompanyId,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<(membership::Model, user::Model)>, StoreError> {
    let mut query = membership::Entity::find()
        .filter(membership::Column::CompanyId.eq(company))
        .order_by_asc(membership::Column::UserId)
        .limit(limit);
    if let Some(after) = after {
        query = query.filter(membership::Column::UserId.gt(UserId(after)));
    }
    let members = query.all(db.raw()).await?;
    let users = user::Entity::find().filter(user::Column::Id.is_in(members.iter().map(|member| member.user_id)));
    let mut users: HashMap<_, _> = users.all(db.raw()).await?.into_iter().map(|user| (user.id, user)).collect();
    let with_user = |member: membership::Model| users.remove(&member.user_id).map(|user| (member, user));
    Ok(members.into_iter().filter_map(with_user).collect())
}

/// One member, with the user.
pub(crate) async fn member(
    db: &impl CentralConnection,
    company: CompanyId,
    user: UserId,
) -> Result<Option<(membership::Model, user::Model)>, StoreError> {
    let membership = membership::Entity::find_by_id((company, user)).one(db.raw()).await?;
    let user = user::Entity::find_by_id(user).one(db.raw()).await?;
    Ok(membership.zip(user))
}

pub(crate) async fn set_role(
    db: &impl CentralConnection,
    company: CompanyId,
    user: UserId,
    role: Role,
) -> Result<(), StoreError> {
    membership::Entity::update_many()
        .col_expr(membership::Column::Role, Expr::value(role))
        .filter(membership::Column::CompanyId.eq(company))
        .filter(membership::Column::UserId.eq(user))
        .exec(db.raw())
        .await?;
    Ok(())
}

pub(crate) async fn owners_of(db: &impl CentralConnection, company: CompanyId) -> Result<u64, StoreError> {
    let owners = membership::Entity::find()
        .filter(membership::Column::CompanyId.eq(company))
        .filter(membership::Column::Role.eq(Role::Owner));
    Ok(owners.count(db.raw()).await?)
}

pub(crate) async fn remove_member(
    db: &impl CentralConnection,
    company: CompanyId,
    user: UserId,
) -> Result<(), StoreError> {
    membership::Entity::delete_by_id((company, user)).exec(db.raw()).await?;
    Ok(())
}

/// Removes everybody from a company, those who were invited, its machines' keys, and what leads to it from elsewhere. The
/// users stay.
pub(crate) async fn remove_members(db: &impl CentralConnection, company: CompanyId) -> Result<(), StoreError> {
    let members = membership::Entity::delete_many().filter(membership::Column::CompanyId.eq(company));
    members.exec(db.raw()).await?;
    let invitations = invitation::Entity::delete_many().filter(invitation::Column::CompanyId.eq(company));
    invitations.exec(db.raw()).await?;
    super::issuers::unmap_all(db, company).await?;
    super::api_keys::remove_all(db, company).await
}

pub(crate) async fn insert_invitation(db: &impl CentralConnection, row: invitation::Model) -> Result<(), StoreError> {
    let row: invitation::ActiveModel = row.into();
    invitation::Entity::insert(row.reset_all()).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// The invitation with this secret that can still be accepted.
pub(crate) async fn open_invitation(
    db: &impl CentralConnection,
    secret_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<invitation::Model>, StoreError> {
    let query = invitation::Entity::find()
        .filter(invitation::Column::SecretHash.eq(secret_hash))
        .filter(invitation::Column::AcceptedAt.is_null())
        .filter(invitation::Column::ExpiresAt.gt(now));
    Ok(query.one(db.raw()).await?)
}

/// Uses the invitation up; false when somebody else has.
pub(crate) async fn use_invitation(
    db: &impl CentralConnection,
    row: &invitation::Model,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let used = invitation::Entity::update_many()
        .col_expr(invitation::Column::AcceptedAt, Expr::value(now))
        .filter(invitation::Column::Id.eq(row.id))
        .filter(invitation::Column::AcceptedAt.is_null())
        .exec(db.raw())
        .await?;
    Ok(used.rows_affected == 1)
}

pub(crate) async fn operators_exist(db: &impl CentralConnection) -> Result<bool, StoreError> {
    Ok(operator::Entity::find().count(db.raw()).await? > 0)
}

pub(crate) async fn insert_operator(
    db: &impl CentralConnection,
    id: OperatorId,
    name: &str,
    credential_hash: String,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = operator::ActiveModel {
        id: Set(id),
        name: Set(name.to_owned()),
        credential_hash: Set(credential_hash),
        created_at: Set(now),
        last_used_at: Set(None),
    };
    operator::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// The operator with this credential, whose use is noted.
pub(crate) async fn use_operator(
    db: &impl CentralConnection,
    credential_hash: &str,
    now: DateTime<Utc>,
) -> Result<Option<OperatorId>, StoreError> {
    let found =
        operator::Entity::find().filter(operator::Column::CredentialHash.eq(credential_hash)).one(db.raw()).await?;
    let Some(found) = found else { return Ok(None) };
    operator::Entity::update_many()
        .col_expr(operator::Column::LastUsedAt, Expr::value(now))
        .filter(operator::Column::Id.eq(found.id))
        .exec(db.raw())
        .await?;
    Ok(Some(found.id))
}
