//! The audit trail: who changed what. Written in the change's transaction.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tenantry_telemetry::propagation;
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::table::insert_many;

pub(crate) use row::Model as Entry;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_entries")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub actor: String,
        pub action: String,
        pub entity: String,
        pub entity_id: Uuid,
        pub before_state: Option<Json>,
        pub after_state: Option<Json>,
        pub trace_id: Option<String>,
        pub occurred_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A change.
pub(crate) struct Change<'a> {
    pub(crate) id: Uuid,
    /// Who, as `Caller::subject` writes it.
    pub(crate) actor: &'a str,
    /// What, such as `person.created`.
    pub(crate) action: String,
    pub(crate) entity: String,
    pub(crate) entity_id: Uuid,
    pub(crate) before: Option<serde_json::Value>,
    pub(crate) after: Option<serde_json::Value>,
    pub(crate) at: DateTime<Utc>,
}

pub(crate) async fn append_all(db: &impl TenantConnection, changes: Vec<Change<'_>>) -> Result<(), DbErr> {
    let trace_id = propagation::trace_id();
    let row = |change: Change<'_>| row::ActiveModel {
        id: Set(change.id),
        actor: Set(change.actor.to_owned()),
        action: Set(change.action),
        entity: Set(change.entity),
        entity_id: Set(change.entity_id),
        before_state: Set(change.before),
        after_state: Set(change.after),
        trace_id: Set(trace_id.clone()),
        occurred_at: Set(change.at),
    };
    insert_many::<row::Entity>(db, changes.into_iter().map(row).collect()).await
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct AuditFilter {
    pub(crate) actor: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) entity: Option<String>,
    pub(crate) entity_id: Option<Uuid>,
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) before: Option<DateTime<Utc>>,
}

/// At most `limit` before this id, newest first.
pub(crate) async fn page(
    db: &impl TenantConnection,
    filter: AuditFilter,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Entry>, DbErr> {
    let filter = Condition::all()
        .add_option(filter.actor.map(|actor| row::Column::Actor.eq(actor)))
        .add_option(filter.action.map(|action| row::Column::Action.eq(action)))
        .add_option(filter.entity.map(|entity| row::Column::Entity.eq(entity)))
        .add_option(filter.entity_id.map(|id| row::Column::EntityId.eq(id)))
        .add_option(filter.from.map(|from| row::Column::OccurredAt.gte(from)))
        .add_option(filter.before.map(|before| row::Column::OccurredAt.lt(before)))
        .add_option(after.map(|after| row::Column::Id.lt(after)));
    row::Entity::find().filter(filter).order_by_desc(row::Column::Id).limit(limit).all(db).await
}
