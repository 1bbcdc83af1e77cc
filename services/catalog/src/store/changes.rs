//! The log of what the data plane has to hear of.
//!
//! A row is written in the transaction of its change, as the last thing before the
//! commit. A tenant's row only says that the tenant changed: whoever reads it reads
//! the tenant as it is then. Sequences are given when a row is written and seen when
//! it is committed, so a lower one can appear after a higher one: readers look at
//! the gaps again (`domain::Tail`).

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tenantry_ids::CompanyId;

use super::entities::tenant_change::{self as change, Model};
use super::{CentralConnection, StoreError};

/// Rows of one statement: engines limit the values that a statement may have.
const ROWS_AT_ONCE: usize = 1_000;

/// Notes that these tenants changed; none is fine.
pub(crate) async fn append(
    db: &impl CentralConnection,
    companies: impl IntoIterator<Item = CompanyId>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = companies.into_iter().map(|company| row(company, None, now)).collect();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        change::Entity::insert_many(rows.to_vec()).exec_without_returning(db.raw()).await?;
    }
    Ok(())
}

/// Revokes the tokens of a subject for a company that were issued before a whole second.
pub(crate) async fn revoke(
    db: &impl CentralConnection,
    company: CompanyId,
    (subject, issued_before): (String, DateTime<Utc>),
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = row(company, Some((subject, issued_before)), now);
    change::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}

fn row(company: CompanyId, revoked: Option<(String, DateTime<Utc>)>, now: DateTime<Utc>) -> change::ActiveModel {
    let (subject, issued_before) = revoked.unzip();
    change::ActiveModel {
        sequence: NotSet,
        company_id: Set(company),
        subject: Set(subject),
        issued_before: Set(issued_before),
        created_at: Set(now),
    }
}

/// Until when tokens of any of these subjects for a company are revoked, if they are.
pub(crate) async fn revoked_before(
    db: &impl CentralConnection,
    company: CompanyId,
    subjects: impl IntoIterator<Item = String>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let latest = change::Entity::find()
        .filter(change::Column::CompanyId.eq(company))
        .filter(change::Column::Subject.is_in(subjects))
        .order_by_desc(change::Column::IssuedBefore)
        .one(db.raw())
        .await?;
    Ok(latest.and_then(|row| row.issued_before))
}

/// The revocations since this time, oldest first.
pub(crate) async fn revocations_since(
    db: &impl CentralConnection,
    since: DateTime<Utc>,
) -> Result<Vec<Model>, StoreError> {
    let query = change::Entity::find()
        .filter(change::Column::CreatedAt.gte(since))
        .filter(change::Column::Subject.is_not_null())
        .order_by_asc(change::Column::Sequence);
    Ok(query.all(db.raw()).await?)
}

/// At most `limit` rows after this sequence, in their order.
pub(crate) async fn after(db: &impl CentralConnection, sequence: i64, limit: u64) -> Result<Vec<Model>, StoreError> {
    let query = change::Entity::find()
        .filter(change::Column::Sequence.gt(sequence))
        .order_by_asc(change::Column::Sequence)
        .limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// At most `limit` of the rows in these ranges of sequences, in their order.
pub(crate) async fn within(
    db: &impl CentralConnection,
    ranges: Vec<RangeInclusive<i64>>,
    limit: u64,
) -> Result<Vec<Model>, StoreError> {
    let one_of = ranges
        .into_iter()
        .fold(Condition::any(), |any, range| any.add(change::Column::Sequence.between(*range.start(), *range.end())));
    let query = change::Entity::find().filter(one_of).order_by_asc(change::Column::Sequence).limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// The lowest and the highest sequence that are kept.
pub(crate) async fn kept(db: &impl CentralConnection) -> Result<Option<RangeInclusive<i64>>, StoreError> {
    let bounds: Option<(Option<i64>, Option<i64>)> = change::Entity::find()
        .select_only()
        .expr_as(Expr::col(change::Column::Sequence).min(), "lowest")
        .expr_as(Expr::col(change::Column::Sequence).max(), "highest")
        .into_tuple()
        .one(db.raw())
        .await?;
    Ok(bounds.and_then(|(lowest, highest)| Some(lowest?..=highest?)))
}

/// The highest sequence that was written before this time.
pub(crate) async fn last_before(db: &impl CentralConnection, time: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
    let last: Option<Option<i64>> = change::Entity::find()
        .select_only()
        .expr_as(Expr::col(change::Column::Sequence).max(), "highest")
        .filter(change::Column::CreatedAt.lt(time))
        .into_tuple()
        .one(db.raw())
        .await?;
    Ok(last.flatten())
}

/// Removes the rows up to this sequence, by the primary key: a range of times would
/// lock out those who write on MariaDB.
pub(crate) async fn remove_through(db: &impl CentralConnection, sequence: i64) -> Result<u64, StoreError> {
    let removed = change::Entity::delete_many().filter(change::Column::Sequence.lte(sequence)).exec(db.raw()).await?;
    Ok(removed.rows_affected)
}
