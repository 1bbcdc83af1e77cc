//! Manufacturers.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::ManufacturerId;
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::Manufacturer;

pub(crate) use row::Entity as Manufacturers;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "manufacturers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: ManufacturerId,
        pub name: String,
        pub website: Option<String>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Manufacturer, columns: columns, read: read);

fn read(row: row::Model) -> Manufacturer {
    Manufacturer { name: row.name, website: row.website }
}

fn columns(manufacturer: &Manufacturer) -> row::ActiveModel {
    row::ActiveModel {
        name: Set(manufacturer.name.clone()),
        website: Set(manufacturer.website.clone()),
        ..Default::default()
    }
}

/// Whether another than `this` has the name.
pub(crate) async fn is_taken(
    db: &impl TenantConnection,
    name: &str,
    this: Option<ManufacturerId>,
) -> Result<bool, DbErr> {
    let same = Condition::all().add(row::Column::Name.eq(name));
    any::<Manufacturers>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}
