//! Failures to sign in, by what they are counted for, and the addresses that accounts are signed in from.

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use super::entities::{familiar_address, sign_in_failure};
use super::{CentralConnection, CentralTx, StoreError};
use crate::domain::Failures;

/// Rows that are swept at once.
const SWEPT_AT_ONCE: u64 = 500;

/// The failures that are counted under this key, locked until the transaction ends.
pub(crate) async fn lock(tx: &CentralTx, key: &str, now: DateTime<Utc>) -> Result<Failures, StoreError> {
    use sign_in_failure::{ActiveModel, Column, Entity};
    let fresh =
        ActiveModel { digest: Set(key.to_owned()), failures: Set(0), last_at: Set(now), blocked_until: Set(None) };
    // Written first: two who look for a row that is not there would wait for each other on MariaDB.
    let unless_there = OnConflict::column(Column::Digest).do_nothing_on([Column::Digest]).to_owned();
    Entity::insert(fresh).on_conflict(unless_there).exec_without_returning(tx.raw()).await?;
    let row = Entity::find_by_id(key.to_owned()).lock_exclusive().one(tx.raw()).await?;
    Ok(row.map_or_else(Failures::default, |row| Failures {
        count: row.failures,
        last_at: Some(row.last_at),
        blocked_until: row.blocked_until,
    }))
}

pub(crate) async fn set(tx: &CentralTx, key: &str, failures: Failures) -> Result<(), StoreError> {
    use sign_in_failure::{Column, Entity};
    Entity::update_many()
        .col_expr(Column::Failures, Expr::value(failures.count))
        .col_expr(Column::LastAt, Expr::value(failures.last_at))
        .col_expr(Column::BlockedUntil, Expr::value(failures.blocked_until))
        .filter(Column::Digest.eq(key))
        .exec(tx.raw())
        .await?;
    Ok(())
}

/// Whether the account was signed in from the address since then.
pub(crate) async fn is_familiar(
    db: &impl CentralConnection,
    key: &str,
    since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let row = familiar_address::Entity::find_by_id(key.to_owned()).one(db.raw()).await?;
    Ok(row.is_some_and(|row| row.seen_at >= since))
}

pub(crate) async fn set_familiar(db: &impl CentralConnection, key: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
    use familiar_address::{ActiveModel, Column, Entity};
    let row = ActiveModel { digest: Set(key.to_owned()), seen_at: Set(now) };
    let renewed = OnConflict::column(Column::Digest).update_column(Column::SeenAt).to_owned();
    Entity::insert(row).on_conflict(renewed).exec_without_returning(db.raw()).await?;
    Ok(())
}

/// Removes some of what is older: failures, and addresses.
pub(crate) async fn sweep(
    db: &impl CentralConnection,
    failures_before: DateTime<Utc>,
    addresses_before: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let digests: Vec<String> = sign_in_failure::Entity::find()
        .select_only()
        .column(sign_in_failure::Column::Digest)
        .filter(sign_in_failure::Column::LastAt.lt(failures_before))
        .limit(SWEPT_AT_ONCE)
        .into_tuple()
        .all(db.raw())
        .await?;
    let addresses: Vec<String> = familiar_address::Entity::find()
        .select_only()
        .column(familiar_address::Column::Digest)
        .filter(familiar_address::Column::SeenAt.lt(addresses_before))
        .limit(SWEPT_AT_ONCE)
        .into_tuple()
        .all(db.raw())
        .await?;
    let found = digests.len() + addresses.len();
    if !digests.is_empty() {
        // Again what is older: somebody may have failed meanwhile.
        sign_in_failure::Entity::delete_many()
            .filter(sign_in_failure::Column::Digest.is_in(digests))
            .filter(sign_in_failure::Column::LastAt.lt(failures_before))
            .exec(db.raw())
            .await?;
    }
    if !addresses.is_empty() {
        familiar_address::Entity::delete_many()
            .filter(familiar_address::Column::Digest.is_in(addresses))
            .exec(db.raw())
            .await?;
    }
    Ok(found as u64)
}
