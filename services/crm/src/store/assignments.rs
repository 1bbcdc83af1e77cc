//! Who had which device, from when to when.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tenantry_ids::{DeviceId, PersonId};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

pub(crate) use row::Model as Assignment;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "device_assignments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub device_id: DeviceId,
        pub person_id: PersonId,
        pub assigned_at: DateTime<Utc>,
        pub released_at: Option<DateTime<Utc>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn insert(
    db: &impl TenantConnection,
    id: Uuid,
    (device, person): (DeviceId, PersonId),
    now: DateTime<Utc>,
) -> Result<(), DbErr> {
    let row = row::ActiveModel {
        id: Set(id),
        device_id: Set(device),
        person_id: Set(person),
        assigned_at: Set(now),
        released_at: Set(None),
    };
    row::Entity::insert(row).exec_without_returning(db).await.map(drop)
}

/// Ends whatever lasts.
pub(crate) async fn end(db: &impl TenantConnection, device: DeviceId, now: DateTime<Utc>) -> Result<(), DbErr> {
    row::Entity::update_many()
        .col_expr(row::Column::ReleasedAt, Expr::value(now))
        .filter(row::Column::DeviceId.eq(device))
        .filter(row::Column::ReleasedAt.is_null())
        .exec(db)
        .await
        .map(drop)
}

/// At most `limit` after this id, oldest entry first; of a device and of a person, where these are named.
pub(crate) async fn page(
    db: &impl TenantConnection,
    (device, person): (Option<DeviceId>, Option<PersonId>),
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<Assignment>, DbErr> {
    let filter = Condition::all()
        .add_option(device.map(|device| row::Column::DeviceId.eq(device)))
        .add_option(person.map(|person| row::Column::PersonId.eq(person)))
        .add_option(after.map(|after| row::Column::Id.gt(after)));
    row::Entity::find().filter(filter).order_by_asc(row::Column::Id).limit(limit).all(db).await
}
