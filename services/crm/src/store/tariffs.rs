//! Tariffs.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::TariffId;
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::{Amount, Currency, Money, Tariff};

pub(crate) use row::Entity as Tariffs;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "tariffs")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TariffId,
        pub name: String,
        pub currency: String,
        pub price_units: i64,
        pub price_nanos: i32,
        pub access_fee_units: i64,
        pub access_fee_nanos: i32,
        pub is_default: bool,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Tariff, columns: columns, read: read);

fn read(row: row::Model) -> Tariff {
    let currency = Currency::stored(row.currency);
    let price = Money { currency: currency.clone(), amount: Amount::stored(row.price_units, row.price_nanos) };
    let access_fee = Money { currency, amount: Amount::stored(row.access_fee_units, row.access_fee_nanos) };
    let access_fee = Some(access_fee).filter(|fee| fee.amount != Amount::ZERO);
    Tariff { is_default: row.is_default, name: row.name, price: Some(price), access_fee }
}

/// Without a price there is no currency, and the database refuses the row.
fn columns(tariff: &Tariff) -> row::ActiveModel {
    let amount = |money: &Option<Money>| money.as_ref().map(|money| money.amount).unwrap_or_default();
    let (price, access_fee) = (amount(&tariff.price), amount(&tariff.access_fee));
    row::ActiveModel {
        name: Set(tariff.name.clone()),
        currency: tariff.price.as_ref().map(|price| Set(price.currency.as_str().to_owned())).unwrap_or_default(),
        price_units: Set(price.units()),
        price_nanos: Set(price.nanos()),
        access_fee_units: Set(access_fee.units()),
        access_fee_nanos: Set(access_fee.nanos()),
        is_default: Set(tariff.is_default),
        ..Default::default()
    }
}

/// Whether another than `this` has the name.
pub(crate) async fn is_taken(db: &impl TenantConnection, name: &str, this: Option<TariffId>) -> Result<bool, DbErr> {
    let same = Condition::all().add(row::Column::Name.eq(name));
    any::<Tariffs>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}
