//! The event log. An event is written in the transaction of the change that it
//! tells of.

use chrono::{DateTime, Utc};
use sea_orm::{ActiveValue::NotSet, ActiveValue::Set, EntityTrait};
use tenantry_ids::{CompanyId, EventId};
use tenantry_telemetry::propagation;

use super::entities::event;
use super::{CentralConnection, StoreError};

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
    }
}
