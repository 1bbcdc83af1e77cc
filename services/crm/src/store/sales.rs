//! What was sold, and the parts of its price. What is left of a part stands in its debt, and nowhere else.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::{Condition, QueryOrder};
use tenantry_ids::{ApplianceId, DebtId, DeviceId, PersonId, SaleId};
use tenantry_tenancy::TenantConnection;

use super::debts::Debts;
use super::table::{Table, any, lock, table};
use crate::domain::{Amount, Currency, Instalment, Money, Sale, Stored};

pub(crate) use row::Entity as Sales;

#[allow(unreachable_pub)] // The derives want their models public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "appliance_sales")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: SaleId,
        pub appliance_id: ApplianceId,
        pub person_id: PersonId,
        pub device_id: Option<DeviceId>,
        pub price_units: i64,
        pub price_nanos: i32,
        pub down_payment_units: i64,
        pub down_payment_nanos: i32,
        pub currency: String,
        pub cancelled_at: Option<DateTime<Utc>>,
        pub revision: i64,
        pub created_at: DateTime<Utc>,
        pub updated_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)]
mod part {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "appliance_instalments")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub sale_id: SaleId,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i32,
        pub debt_id: Option<DebtId>,
        pub amount_units: i64,
        pub amount_nanos: i32,
        pub written_off_units: i64,
        pub written_off_nanos: i32,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

table!(row, Sale, columns: columns, read: read);

fn read(row: row::Model) -> Sale {
    let price = Amount::stored(row.price_units, row.price_nanos);
    Sale {
        appliance_id: row.appliance_id,
        person_id: row.person_id,
        device_id: row.device_id,
        price: Money { currency: Currency::stored(row.currency), amount: price },
        down_payment: Amount::stored(row.down_payment_units, row.down_payment_nanos),
        cancelled_at: row.cancelled_at,
        instalments: Vec::new(),
    }
}

fn columns(sale: &Sale) -> row::ActiveModel {
    row::ActiveModel {
        appliance_id: Set(sale.appliance_id),
        person_id: Set(sale.person_id),
        device_id: Set(sale.device_id),
        price_units: Set(sale.price.amount.units()),
        price_nanos: Set(sale.price.amount.nanos()),
        down_payment_units: Set(sale.down_payment.units()),
        down_payment_nanos: Set(sale.down_payment.nanos()),
        currency: Set(sale.price.currency.as_str().to_owned()),
        cancelled_at: Set(sale.cancelled_at),
        ..Default::default()
    }
}

/// Writes the parts of a new sale.
pub(crate) async fn insert_parts(db: &impl TenantConnection, sale: SaleId, parts: &[Instalment]) -> Result<(), DbErr> {
    let rows = parts.iter().map(|instalment| part::ActiveModel {
        sale_id: Set(sale),
        number: Set(instalment.number),
        debt_id: Set(instalment.debt_id),
        amount_units: Set(instalment.amount.units()),
        amount_nanos: Set(instalment.amount.nanos()),
        written_off_units: Set(instalment.written_off.units()),
        written_off_nanos: Set(instalment.written_off.nanos()),
    });
    part::Entity::insert_many(rows).exec_without_returning(db).await.map(drop)
}

/// Notes what is written off now of each of these.
pub(crate) async fn write_off(
    db: &impl TenantConnection,
    sale: SaleId,
    parts: &[(DebtId, Amount)],
) -> Result<(), DbErr> {
    for (debt, amount) in parts {
        part::Entity::update_many()
            .col_expr(part::Column::WrittenOffUnits, Expr::value(amount.units()))
            .col_expr(part::Column::WrittenOffNanos, Expr::value(amount.nanos()))
            .filter(part::Column::SaleId.eq(sale))
            .filter(part::Column::DebtId.eq(*debt))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Reads the parts of a sale's price. One whose debt is gone was never paid: only such debts can be removed, while the
/// company does without the plugin.
pub(crate) async fn fill(db: &impl TenantConnection, sale: &mut Stored<Sale>) -> Result<(), DbErr> {
    let rows = parts(db, sale.id).await?;
    let ids = rows.iter().filter_map(|row| row.debt_id);
    let debts = Debts::find().filter(Debts::id().is_in(ids)).all(db).await?;
    let debts: HashMap<_, _> = debts.into_iter().map(Debts::read).map(|debt| (debt.id, debt.content)).collect();
    let filled = rows.into_iter().map(|row| {
        let debt = row.debt_id.and_then(|id| debts.get(&id));
        let amount = Amount::stored(row.amount_units, row.amount_nanos);
        let written_off = Amount::stored(row.written_off_units, row.written_off_nanos);
        Instalment {
            number: row.number,
            debt_id: row.debt_id,
            amount,
            remaining: debt.map(|debt| debt.remaining).unwrap_or_default(),
            written_off: if debt.is_some() { written_off } else { amount },
            due_date: debt.and_then(|debt| debt.due_date),
        }
    });
    sale.content.instalments = filled.collect();
    Ok(())
}

/// What is left of each part of which something is, in the order in which they are paid. Nobody else changes them
/// before this transaction ends; their sale is locked.
pub(crate) async fn lock_open(db: &impl TenantConnection, sale: SaleId) -> Result<Vec<(DebtId, Amount)>, DbErr> {
    let mut open = Vec::new();
    for id in parts(db, sale).await?.into_iter().filter_map(|row| row.debt_id) {
        let left = lock::<Debts>(db, id).await?.map(|debt| debt.content.remaining).unwrap_or_default();
        if left.is_positive() {
            open.push((id, left));
        }
    }
    Ok(open)
}

async fn parts(db: &impl TenantConnection, sale: SaleId) -> Result<Vec<part::Model>, DbErr> {
    part::Entity::find().filter(part::Column::SaleId.eq(sale)).order_by_asc(part::Column::Number).all(db).await
}

/// Whether a debt is a part of a sale's price.
pub(crate) async fn has_debt(db: &impl TenantConnection, debt: DebtId) -> Result<bool, DbErr> {
    any::<part::Entity>(db, Condition::all().add(part::Column::DebtId.eq(debt))).await
}

pub(crate) fn of_appliance(appliance: ApplianceId) -> Condition {
    Condition::all().add(row::Column::ApplianceId.eq(appliance))
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct SaleFilter {
    pub(crate) person_id: Option<PersonId>,
    pub(crate) appliance_id: Option<ApplianceId>,
    pub(crate) device_id: Option<DeviceId>,
}

impl From<SaleFilter> for Condition {
    fn from(filter: SaleFilter) -> Self {
        Condition::all()
            .add_option(filter.person_id.map(|person| row::Column::PersonId.eq(person)))
            .add_option(filter.appliance_id.map(|appliance| row::Column::ApplianceId.eq(appliance)))
            .add_option(filter.device_id.map(|device| row::Column::DeviceId.eq(device)))
    }
}
