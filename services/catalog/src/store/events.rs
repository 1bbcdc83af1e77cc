//! The event log. An event is written in the transaction of the change that it
//! tells of.

use std::ops::RangeInclusive;

use chrono::{DateTime, Utc};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use tenantry_ids::{CompanyId, EventId};
use tenantry_rpc::current_origin;
use tenantry_telemetry::propagation;

use super::entities::event::{self, Model};
use super::entities::event_removal as removal;
use super::{CentralConnection, CentralTx, StoreError};

/// Something that happened.
pub(crate) struct NewEvent<'a> {
    pub(crate) id: EventId,
    pub(crate) company: Option<CompanyId>,
    /// Past tense, such as `company.created`.
    pub(crate) kind: &'static str,
    /// Who did it, as `Caller::subject` writes it.
    pub(crate) actor: &'a str,
    pub(crate) payload: serde_json::Value,
}

pub(crate) async fn append(
    db: &impl CentralConnection,
    new: NewEvent<'_>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    append_all(db, [new], now).await
}

/// Several at once; none is fine.
pub(crate) async fn append_all<'a>(
    db: &impl CentralConnection,
    new: impl IntoIterator<Item = NewEvent<'a>>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = new.into_iter().map(|new| row(new, now)).collect();
    if !rows.is_empty() {
        event::Entity::insert_many(rows).exec_without_returning(db.raw()).await?;
    }
    Ok(())
}

fn row(new: NewEvent<'_>, now: DateTime<Utc>) -> event::ActiveModel {
    event::ActiveModel {
        sequence: NotSet,
        id: Set(new.id),
        company_id: Set(new.company),
        kind: Set(new.kind.to_owned()),
        actor: Set(new.actor.to_owned()),
        trace_id: Set(propagation::trace_id()),
        payload: Set(new.payload),
        occurred_at: Set(now),
        peer_address: Set(current_origin().map(|origin| origin.to_string())),
    }
}

/// Which events a list is of; what is empty lets all through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) company: Option<CompanyId>,
    pub(crate) kinds: Vec<String>,
    pub(crate) actor: Option<String>,
    pub(crate) from: Option<DateTime<Utc>>,
    /// Not this moment itself.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// At most `limit` events before this sequence, newest first.
pub(crate) async fn list(
    db: &impl CentralConnection,
    filter: &Filter,
    before: Option<i64>,
    limit: u64,
) -> Result<Vec<Model>, StoreError> {
    let kinds = Some(&filter.kinds).filter(|kinds| !kinds.is_empty());
    let all = Condition::all()
        .add_option(before.map(|before| event::Column::Sequence.lt(before)))
        .add_option(filter.company.map(|company| event::Column::CompanyId.eq(company)))
        .add_option(kinds.map(|kinds| event::Column::Kind.is_in(kinds)))
        .add_option(filter.actor.as_ref().map(|actor| event::Column::Actor.eq(actor)))
        .add_option(filter.from.map(|from| event::Column::OccurredAt.gte(from)))
        .add_option(filter.until.map(|until| event::Column::OccurredAt.lt(until)));
    let query = event::Entity::find().filter(all).order_by_desc(event::Column::Sequence).limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// At most `limit` of the events in these ranges of sequences, in their order.
pub(crate) async fn within(
    db: &impl CentralConnection,
    ranges: Vec<RangeInclusive<i64>>,
    limit: u64,
) -> Result<Vec<Model>, StoreError> {
    let one_of = ranges
        .into_iter()
        .fold(Condition::any(), |any, range| any.add(event::Column::Sequence.between(*range.start(), *range.end())));
    let query = event::Entity::find().filter(one_of).order_by_asc(event::Column::Sequence).limit(limit);
    Ok(query.all(db.raw()).await?)
}

/// The newest event's sequence; 0 where there is none.
pub(crate) async fn newest(db: &impl CentralConnection) -> Result<i64, StoreError> {
    let newest = event::Entity::find().select_only().column(event::Column::Sequence);
    let newest: Option<i64> = newest.order_by_desc(event::Column::Sequence).into_tuple().one(db.raw()).await?;
    Ok(newest.unwrap_or(0))
}

/// The sequence of the newest event from before this time.
pub(crate) async fn last_before(db: &impl CentralConnection, time: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
    let last = event::Entity::find().select_only().column(event::Column::Sequence);
    let last = last.filter(event::Column::OccurredAt.lt(time)).order_by_desc(event::Column::Sequence);
    Ok(last.into_tuple().one(db.raw()).await?)
}

/// Up to where events were removed; 0 where none were.
pub(crate) async fn removed_through(db: &impl CentralConnection) -> Result<i64, StoreError> {
    let row = removal::Entity::find_by_id(REMOVALS).one(db.raw()).await?;
    Ok(row.map_or(0, |row| row.removed_through))
}

/// Removes at most so many events from before this time, oldest first and never the newest; how many there were. The
/// mark of how far that went is written with it.
pub(crate) async fn remove_before(tx: &CentralTx, time: DateTime<Utc>, at_most: u64) -> Result<u64, StoreError> {
    let oldest = event::Entity::find().select_only().column(event::Column::Sequence).column(event::Column::OccurredAt);
    let oldest = oldest.order_by_asc(event::Column::Sequence).limit(at_most + 1).into_tuple();
    let oldest: Vec<(i64, DateTime<Utc>)> = oldest.all(tx.raw()).await?;
    let older = oldest.iter().take_while(|(_, occurred_at)| *occurred_at < time);
    let Some((last, _)) = older.take(oldest.len().saturating_sub(1)).last() else { return Ok(0) };
    mark_removed(tx, *last).await?;
    // By the primary key: a range of times would lock out those who write on MariaDB.
    let removed = event::Entity::delete_many().filter(event::Column::Sequence.lte(*last)).exec(tx.raw()).await?;
    Ok(removed.rows_affected)
}

/// The one row of removals.
const REMOVALS: i32 = 1;

/// Never back: another replica may have been further.
async fn mark_removed(tx: &CentralTx, through: i64) -> Result<(), StoreError> {
    let first = removal::ActiveModel { id: Set(REMOVALS), removed_through: Set(through) };
    let known = OnConflict::column(removal::Column::Id).do_nothing_on([removal::Column::Id]).to_owned();
    removal::Entity::insert(first).on_conflict(known).exec_without_returning(tx.raw()).await?;
    removal::Entity::update_many()
        .col_expr(removal::Column::RemovedThrough, Expr::value(through))
        .filter(removal::Column::RemovedThrough.lt(through))
        .exec(tx.raw())
        .await?;
    Ok(())
}
