//! Categories of tickets.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::TicketCategoryId;
use tenantry_tenancy::TenantConnection;

use super::table::{any, table};
use crate::domain::TicketCategory;

pub(crate) use row::Entity as TicketCategories;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ticket_categories")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TicketCategoryId,
        pub name: String,
        pub colour: String,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, TicketCategory, columns: columns, read: read);

fn read(row: row::Model) -> TicketCategory {
    TicketCategory { name: row.name, colour: row.colour }
}

fn columns(category: &TicketCategory) -> row::ActiveModel {
    row::ActiveModel { name: Set(category.name.clone()), colour: Set(category.colour.clone()), ..Default::default() }
}

/// Whether another than `this` has the name.
pub(crate) async fn is_taken(
    db: &impl TenantConnection,
    name: &str,
    this: Option<TicketCategoryId>,
) -> Result<bool, DbErr> {
    let same = Condition::all().add(row::Column::Name.eq(name));
    any::<TicketCategories>(db, same.add_option(this.map(|this| row::Column::Id.ne(this)))).await
}
