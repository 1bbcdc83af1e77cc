//! Addresses of people.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder, QuerySelect};
use tenantry_ids::{AddressId, PersonId, PlaceId};
use tenantry_tenancy::TenantConnection;

use super::table::{Table, table};
use crate::domain::{Address, Stored};

pub(crate) use row::Entity as Addresses;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "addresses")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: AddressId,
        pub person_id: PersonId,
        pub email: Option<String>,
        pub phone: Option<String>,
        pub street: Option<String>,
        pub place_id: Option<PlaceId>,
        /// The person's id where the address is the primary one: unique, so that there is one at most.
        pub primary_of: Option<PersonId>,
        /// The same, as it was kept before.
        pub is_primary: bool,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Address, columns: columns, read: read);

fn read(row: row::Model) -> Address {
    let row::Model { person_id, email, phone, street, place_id, primary_of, .. } = row;
    Address { person_id, email, phone, street, place_id, primary: primary_of.is_some() }
}

fn columns(address: &Address) -> row::ActiveModel {
    row::ActiveModel {
        person_id: Set(address.person_id),
        email: Set(address.email.clone()),
        phone: Set(address.phone.clone()),
        street: Set(address.street.clone()),
        place_id: Set(address.place_id),
        primary_of: Set(address.primary.then_some(address.person_id)),
        is_primary: Set(address.primary),
        ..Default::default()
    }
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressFilter {
    pub(crate) person_id: Option<PersonId>,
    pub(crate) place_id: Option<PlaceId>,
}

impl From<AddressFilter> for Condition {
    fn from(filter: AddressFilter) -> Self {
        Condition::all()
            .add_option(filter.person_id.map(|person| row::Column::PersonId.eq(person)))
            .add_option(filter.place_id.map(at))
    }
}

pub(crate) fn at(place: PlaceId) -> Condition {
    Condition::all().add(row::Column::PlaceId.eq(place))
}

/// All of these people's, oldest entry first.
pub(crate) async fn of_all(db: &impl TenantConnection, people: &[PersonId]) -> Result<Vec<Stored<Address>>, DbErr> {
    let query = Addresses::find().filter(row::Column::PersonId.is_in(people.iter().copied()));
    Ok(query.order_by_asc(row::Column::Id).all(db).await?.into_iter().map(Addresses::read).collect())
}

/// All of a person's as they were committed last, oldest entry first. The person is locked: nobody adds or removes one
/// meanwhile.
pub(crate) async fn lock_all(db: &impl TenantConnection, person: PersonId) -> Result<Vec<Stored<Address>>, DbErr> {
    let query = Addresses::find().filter(row::Column::PersonId.eq(person)).order_by_asc(row::Column::Id);
    Ok(query.lock_exclusive().all(db).await?.into_iter().map(Addresses::read).collect())
}
