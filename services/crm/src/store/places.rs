//! Places.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QuerySelect};
use tenantry_ids::PlaceId;
use tenantry_tenancy::TenantConnection;

use super::addresses::Addresses;
use super::devices::Devices;
use super::table::{any, table};
use super::{addresses, devices};
use crate::domain::{Place, PlaceKind};

pub(crate) use row::Entity as Places;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "places")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: PlaceId,
        pub(crate) kind: PlaceKind,
        pub parent_id: Option<PlaceId>,
        pub name: String,
        pub country_code: Option<String>,
        pub latitude: Option<f64>,
        pub longitude: Option<f64>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Place, columns: columns, read: read);

fn read(row: row::Model) -> Place {
    let row::Model { kind, parent_id, name, country_code, latitude, longitude, .. } = row;
    Place { kind, parent_id, name, country_code, latitude, longitude }
}

fn columns(place: &Place) -> row::ActiveModel {
    row::ActiveModel {
        kind: Set(place.kind),
        parent_id: Set(place.parent_id),
        name: Set(place.name.clone()),
        country_code: Set(place.country_code.clone()),
        latitude: Set(place.latitude),
        longitude: Set(place.longitude),
        ..Default::default()
    }
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlaceFilter {
    pub(crate) kind: Option<PlaceKind>,
    pub(crate) parent_id: Option<PlaceId>,
}

impl From<PlaceFilter> for Condition {
    fn from(filter: PlaceFilter) -> Self {
        Condition::all()
            .add_option(filter.kind.map(|kind| row::Column::Kind.eq(kind)))
            .add_option(filter.parent_id.map(|parent| row::Column::ParentId.eq(parent)))
    }
}

/// Whether another place than `this` has the name in the same parent, or the country's code.
pub(crate) async fn is_taken(db: &impl TenantConnection, place: &Place, this: Option<PlaceId>) -> Result<bool, DbErr> {
    let name = Condition::all()
        .add(row::Column::ParentId.is_not_null())
        .add(row::Column::ParentId.eq(place.parent_id))
        .add(row::Column::Kind.eq(place.kind))
        .add(row::Column::Name.eq(&*place.name));
    let code = place.country_code.as_ref().map(|code| row::Column::CountryCode.eq(&**code));
    let same = Condition::any().add(name).add_option(code);
    let others = Condition::all().add(same).add_option(this.map(|this| row::Column::Id.ne(this)));
    any::<Places>(db, others).await
}

/// Those of these ids that there are.
pub(crate) async fn known(db: &impl TenantConnection, ids: BTreeSet<PlaceId>) -> Result<BTreeSet<PlaceId>, DbErr> {
    let mut known = BTreeSet::new();
    let ids: Vec<_> = ids.into_iter().collect();
    for part in ids.chunks(1_000) {
        let query =
            Places::find().select_only().column(row::Column::Id).filter(row::Column::Id.is_in(part.iter().copied()));
        let found: Vec<PlaceId> = query.into_tuple().all(db).await?;
        known.extend(found);
    }
    Ok(known)
}

/// What is in a place, of whatever kind, if anything is.
pub(crate) async fn content(db: &impl TenantConnection, id: PlaceId) -> Result<Option<&'static str>, DbErr> {
    if any::<Places>(db, Condition::all().add(row::Column::ParentId.eq(id))).await? {
        return Ok(Some("other places"));
    }
    if any::<Addresses>(db, addresses::at(id)).await? {
        return Ok(Some("addresses"));
    }
    Ok(any::<Devices>(db, devices::at(id)).await?.then_some("devices"))
}
