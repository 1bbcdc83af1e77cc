//! Devices. What those of each kind have besides is in `device_details`.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::{DeviceId, ManufacturerId, PersonId, PlaceId};
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::{Details, Device, DeviceKind};

pub(crate) use row::Entity as Devices;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "devices")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: DeviceId,
        pub(crate) kind: DeviceKind,
        pub manufacturer_id: ManufacturerId,
        pub serial: String,
        pub person_id: Option<PersonId>,
        pub place_id: Option<PlaceId>,
        pub labels: Json,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Device, columns: columns, read: read);

fn read(row: row::Model) -> Device {
    Device {
        person_id: row.person_id,
        manufacturer_id: row.manufacturer_id,
        serial: row.serial,
        place_id: row.place_id,
        labels: serde_json::from_value(row.labels).unwrap_or_default(),
        details: Details::unknown(row.kind),
    }
}

fn columns(device: &Device) -> row::ActiveModel {
    row::ActiveModel {
        kind: Set(device.details.kind()),
        manufacturer_id: Set(device.manufacturer_id),
        serial: Set(device.serial.clone()),
        person_id: Set(device.person_id),
        place_id: Set(device.place_id),
        labels: Set(serde_json::json!(device.labels)),
        ..Default::default()
    }
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeviceFilter {
    pub(crate) kind: Option<DeviceKind>,
    pub(crate) manufacturer_id: Option<ManufacturerId>,
    pub(crate) person_id: Option<PersonId>,
    pub(crate) place_id: Option<PlaceId>,
    pub(crate) serial: Option<String>,
}

impl From<DeviceFilter> for Condition {
    fn from(filter: DeviceFilter) -> Self {
        Condition::all()
            .add_option(filter.kind.map(|kind| row::Column::Kind.eq(kind)))
            .add_option(filter.manufacturer_id.map(made_by))
            .add_option(filter.person_id.map(of))
            .add_option(filter.place_id.map(at))
            .add_option(filter.serial.map(|serial| row::Column::Serial.eq(serial)))
    }
}

pub(crate) fn at(place: PlaceId) -> Condition {
    Condition::all().add(row::Column::PlaceId.eq(place))
}

pub(crate) fn of(person: PersonId) -> Condition {
    Condition::all().add(row::Column::PersonId.eq(person))
}

pub(crate) fn made_by(manufacturer: ManufacturerId) -> Condition {
    Condition::all().add(row::Column::ManufacturerId.eq(manufacturer))
}

/// Whether another device than `this` has its serial number.
pub(crate) async fn is_taken(
    db: &impl TenantConnection,
    device: &Device,
    this: Option<DeviceId>,
) -> Result<bool, DbErr> {
    let same = made_by(device.manufacturer_id).add(row::Column::Serial.eq(&*device.serial));
    any::<Devices>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}
