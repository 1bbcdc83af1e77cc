//! What people have paid, have left over and owe. Their person is locked while these change.

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{QueryOrder, QuerySelect};
use tenantry_ids::PersonId;
use tenantry_tenancy::TenantConnection;

use crate::domain::{Account, Amount, Currency};

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "accounts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub person_id: PersonId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub currency: String,
        pub paid_units: i64,
        pub paid_nanos: i32,
        pub credit_units: i64,
        pub credit_nanos: i32,
        pub owed_units: i64,
        pub owed_nanos: i32,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl From<row::Model> for Account {
    fn from(row: row::Model) -> Self {
        Self {
            person_id: row.person_id,
            currency: Currency::stored(row.currency),
            paid: Amount::stored(row.paid_units, row.paid_nanos),
            credit: Amount::stored(row.credit_units, row.credit_nanos),
            owed: Amount::stored(row.owed_units, row.owed_nanos),
        }
    }
}

/// As it was committed last; empty where there is none.
pub(crate) async fn lock(db: &impl TenantConnection, person: PersonId, currency: &Currency) -> Result<Account, DbErr> {
    let id = (person, currency.as_str().to_owned());
    let found = row::Entity::find_by_id(id).lock_exclusive().one(db).await?;
    Ok(found.map_or_else(|| Account::empty(person, currency.clone()), Account::from))
}

/// A person's, by currency.
pub(crate) async fn of(db: &impl TenantConnection, person: PersonId) -> Result<Vec<Account>, DbErr> {
    let query = row::Entity::find().filter(row::Column::PersonId.eq(person)).order_by_asc(row::Column::Currency);
    Ok(query.all(db).await?.into_iter().map(Account::from).collect())
}

/// Writes an account, new or not.
pub(crate) async fn put(db: &impl TenantConnection, account: &Account, now: DateTime<Utc>) -> Result<(), DbErr> {
    let Account { person_id, currency, paid, credit, owed } = account;
    let row = row::ActiveModel {
        person_id: Set(*person_id),
        currency: Set(currency.as_str().to_owned()),
        paid_units: Set(paid.units()),
        paid_nanos: Set(paid.nanos()),
        credit_units: Set(credit.units()),
        credit_nanos: Set(credit.nanos()),
        owed_units: Set(owed.units()),
        owed_nanos: Set(owed.nanos()),
        updated_at: Set(now),
    };
    let values = [
        row::Column::PaidUnits,
        row::Column::PaidNanos,
        row::Column::CreditUnits,
        row::Column::CreditNanos,
        row::Column::OwedUnits,
        row::Column::OwedNanos,
        row::Column::UpdatedAt,
    ];
    let key = OnConflict::columns([row::Column::PersonId, row::Column::Currency]).update_columns(values).to_owned();
    row::Entity::insert(row).on_conflict(key).exec_without_returning(db).await.map(drop)
}
