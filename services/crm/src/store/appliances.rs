//! What is sold.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::ApplianceId;
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::{Amount, Appliance, Currency, Money};

pub(crate) use row::Entity as Appliances;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "appliances")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ApplianceId,
        pub name: String,
        pub category: Option<String>,
        pub price_units: i64,
        pub price_nanos: i32,
        pub currency: String,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Appliance, columns: columns, read: read);

fn read(row: row::Model) -> Appliance {
    let amount = Amount::stored(row.price_units, row.price_nanos);
    let price = Money { currency: Currency::stored(row.currency), amount };
    Appliance { name: row.name, category: row.category, price }
}

fn columns(appliance: &Appliance) -> row::ActiveModel {
    row::ActiveModel {
        name: Set(appliance.name.clone()),
        category: Set(appliance.category.clone()),
        price_units: Set(appliance.price.amount.units()),
        price_nanos: Set(appliance.price.amount.nanos()),
        currency: Set(appliance.price.currency.as_str().to_owned()),
        ..Default::default()
    }
}

/// Whether another than `this` has the name.
pub(crate) async fn is_taken(db: &impl TenantConnection, name: &str, this: Option<ApplianceId>) -> Result<bool, DbErr> {
    let same = Condition::all().add(row::Column::Name.eq(name));
    any::<Appliances>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApplianceFilter {
    pub(crate) category: Option<String>,
}

impl From<ApplianceFilter> for Condition {
    fn from(filter: ApplianceFilter) -> Self {
        Condition::all().add_option(filter.category.map(|category| row::Column::Category.eq(category)))
    }
}
