//! Debts.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::Condition;
use sea_orm::entity::prelude::*;
use tenantry_ids::{DebtId, DeviceId, PersonId};

use super::table::table;
use crate::domain::{Amount, Currency, Debt, Money};

pub(crate) use row::Entity as Debts;

#[allow(unreachable_pub)] // The derive wants its model public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "debts")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: DebtId,
        pub person_id: PersonId,
        pub device_id: Option<DeviceId>,
        pub reason: Option<String>,
        pub principal_units: i64,
        pub principal_nanos: i32,
        pub remaining_units: i64,
        pub remaining_nanos: i32,
        pub currency: String,
        pub due_on: Option<NaiveDate>,
        pub settled_at: Option<DateTime<Utc>>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Debt, columns: columns, read: read);

fn read(row: row::Model) -> Debt {
    let principal = Amount::stored(row.principal_units, row.principal_nanos);
    Debt {
        person_id: row.person_id,
        device_id: row.device_id,
        principal: Money { currency: Currency::stored(row.currency), amount: principal },
        remaining: Amount::stored(row.remaining_units, row.remaining_nanos),
        settled_at: row.settled_at,
        reason: row.reason,
        due_date: row.due_on,
    }
}

fn columns(debt: &Debt) -> row::ActiveModel {
    row::ActiveModel {
        person_id: Set(debt.person_id),
        device_id: Set(debt.device_id),
        reason: Set(debt.reason.clone()),
        principal_units: Set(debt.principal.amount.units()),
        principal_nanos: Set(debt.principal.amount.nanos()),
        remaining_units: Set(debt.remaining.units()),
        remaining_nanos: Set(debt.remaining.nanos()),
        currency: Set(debt.principal.currency.as_str().to_owned()),
        due_on: Set(debt.due_date),
        settled_at: Set(debt.settled_at),
        ..Default::default()
    }
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct DebtFilter {
    pub(crate) person_id: Option<PersonId>,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) unsettled: bool,
}

impl From<DebtFilter> for Condition {
    fn from(filter: DebtFilter) -> Self {
        Condition::all()
            .add_option(filter.person_id.map(|person| row::Column::PersonId.eq(person)))
            .add_option(filter.device_id.map(|device| row::Column::DeviceId.eq(device)))
            .add_option(filter.unsettled.then(|| row::Column::SettledAt.is_null()))
    }
}
