//! Transactions and what their parts are for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::ActiveValue::Set;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{SimpleExpr, Value};
use sea_orm::{Condition, QueryOrder, QuerySelect, QueryTrait};
use tenantry_ids::{DebtId, DeviceId, PersonId, TransactionId};
use tenantry_tenancy::TenantConnection;
use uuid::Uuid;

use super::order::Sorting;
use super::table::any;
use crate::domain::{Allocation, AllocationKind, Amount, Currency, Money, Stored, Transaction, TransactionKind};

#[allow(unreachable_pub)] // The derives want their models public.
mod row {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "transactions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: TransactionId,
        pub provider: String,
        pub external_id: String,
        pub amount_units: i64,
        pub amount_nanos: i32,
        pub currency: String,
        pub(crate) kind: TransactionKind,
        pub sender: Option<String>,
        pub message: Option<String>,
        pub person_id: Option<PersonId>,
        pub device_id: Option<DeviceId>,
        pub fingerprint: Option<String>,
        pub refund_of: Option<TransactionId>,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[allow(unreachable_pub)]
mod allocation {
    use super::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "transaction_allocations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub transaction_id: TransactionId,
        pub(crate) kind: AllocationKind,
        pub debt_id: Option<DebtId>,
        pub amount_units: i64,
        pub amount_nanos: i32,
        pub currency: String,
        pub created_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

fn read(row: row::Model) -> Stored<Transaction> {
    let amount = Amount::stored(row.amount_units, row.amount_nanos);
    let content = Transaction {
        provider: row.provider,
        external_id: row.external_id,
        amount: Money { currency: Currency::stored(row.currency), amount },
        kind: row.kind,
        sender: row.sender,
        message: row.message,
        person_id: row.person_id,
        device_id: row.device_id,
        refund_of: row.refund_of,
        fingerprint: row.fingerprint,
        allocations: Vec::new(),
    };
    Stored::new(row.id.0, content, row.created_at)
}

/// Writes a transaction; `ids` gives each of its parts one.
pub(crate) async fn insert(
    db: &impl TenantConnection,
    stored: &Stored<Transaction>,
    ids: impl Fn() -> Uuid + Send + Sync,
) -> Result<(), DbErr> {
    let transaction = &stored.content;
    let Money { currency, amount } = &transaction.amount;
    let row = row::ActiveModel {
        id: Set(stored.id),
        provider: Set(transaction.provider.clone()),
        external_id: Set(transaction.external_id.clone()),
        amount_units: Set(amount.units()),
        amount_nanos: Set(amount.nanos()),
        currency: Set(currency.as_str().to_owned()),
        kind: Set(transaction.kind),
        sender: Set(transaction.sender.clone()),
        message: Set(transaction.message.clone()),
        person_id: Set(transaction.person_id),
        device_id: Set(transaction.device_id),
        fingerprint: Set(transaction.fingerprint.clone()),
        refund_of: Set(transaction.refund_of),
        created_at: Set(stored.created_at),
    };
    row::Entity::insert(row).exec_without_returning(db).await?;
    for part in &transaction.allocations {
        let row = allocation::ActiveModel {
            id: Set(ids()),
            transaction_id: Set(stored.id),
            kind: Set(part.kind),
            debt_id: Set(part.debt_id),
            amount_units: Set(part.amount.units()),
            amount_nanos: Set(part.amount.nanos()),
            currency: Set(currency.as_str().to_owned()),
            created_at: Set(stored.created_at),
        };
        allocation::Entity::insert(row).exec_without_returning(db).await?;
    }
    Ok(())
}

pub(crate) async fn find(db: &impl TenantConnection, id: TransactionId) -> Result<Option<Stored<Transaction>>, DbErr> {
    one(db, Condition::all().add(row::Column::Id.eq(id))).await
}

/// The one that a provider's id names.
pub(crate) async fn find_external(
    db: &impl TenantConnection,
    provider: &str,
    external_id: &str,
) -> Result<Option<Stored<Transaction>>, DbErr> {
    let named = Condition::all().add(row::Column::Provider.eq(provider)).add(row::Column::ExternalId.eq(external_id));
    one(db, named).await
}

async fn one(db: &impl TenantConnection, filter: Condition) -> Result<Option<Stored<Transaction>>, DbErr> {
    let mut found: Vec<_> = row::Entity::find().filter(filter).one(db).await?.into_iter().map(read).collect();
    fill(db, &mut found).await?;
    Ok(found.pop())
}

/// Puts their parts into transactions that were read without.
async fn fill(db: &impl TenantConnection, transactions: &mut [Stored<Transaction>]) -> Result<(), DbErr> {
    if transactions.is_empty() {
        return Ok(());
    }
    let ids = transactions.iter().map(|transaction| transaction.id);
    let query = allocation::Entity::find()
        .filter(allocation::Column::TransactionId.is_in(ids))
        .order_by_asc(allocation::Column::Id);
    let mut parts: HashMap<TransactionId, Vec<Allocation>> = HashMap::new();
    for row in query.all(db).await? {
        let amount = Amount::stored(row.amount_units, row.amount_nanos);
        let part = Allocation { kind: row.kind, debt_id: row.debt_id, amount };
        parts.entry(row.transaction_id).or_default().push(part);
    }
    for transaction in transactions {
        transaction.content.allocations = parts.remove(&transaction.id).unwrap_or_default();
    }
    Ok(())
}

/// Whether it was taken back.
pub(crate) async fn is_refunded(db: &impl TenantConnection, id: TransactionId) -> Result<bool, DbErr> {
    any::<row::Entity>(db, Condition::all().add(row::Column::RefundOf.eq(id))).await
}

/// Whether anything was ever paid of a debt.
pub(crate) async fn any_of_debt(db: &impl TenantConnection, debt: DebtId) -> Result<bool, DbErr> {
    any::<allocation::Entity>(db, Condition::all().add(allocation::Column::DebtId.eq(debt))).await
}

/// Whether what was left of one of these debts was written off: an adjustment has paid it.
pub(crate) async fn any_written_off(db: &impl TenantConnection, debts: Vec<DebtId>) -> Result<bool, DbErr> {
    if debts.is_empty() {
        return Ok(false);
    }
    let adjustments = row::Entity::find()
        .select_only()
        .column(row::Column::Id)
        .filter(row::Column::Kind.eq(TransactionKind::Adjustment))
        .into_query();
    let of_debts = allocation::Column::DebtId.is_in(debts);
    let by_hand = allocation::Column::TransactionId.in_subquery(adjustments);
    any::<allocation::Entity>(db, Condition::all().add(of_debts).add(by_hand)).await
}

/// What a list is about; `None`: any.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransactionFilter {
    pub(crate) person_id: Option<PersonId>,
    pub(crate) device_id: Option<DeviceId>,
    pub(crate) provider: Option<String>,
    pub(crate) kind: Option<TransactionKind>,
    pub(crate) currency: Option<Currency>,
    pub(crate) min_amount: Option<Amount>,
    pub(crate) max_amount: Option<Amount>,
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) before: Option<DateTime<Utc>>,
}

impl From<TransactionFilter> for Condition {
    fn from(filter: TransactionFilter) -> Self {
        use row::Column;
        let (units, nanos) = (Column::AmountUnits, Column::AmountNanos);
        let at_least = |most: Amount| {
            let same = Condition::all().add(units.eq(most.units())).add(nanos.gte(most.nanos()));
            Condition::all().add(units.gte(most.units())).add(Condition::any().add(units.gt(most.units())).add(same))
        };
        let at_most = |most: Amount| {
            let same = Condition::all().add(units.eq(most.units())).add(nanos.lte(most.nanos()));
            Condition::all().add(units.lte(most.units())).add(Condition::any().add(units.lt(most.units())).add(same))
        };
        Condition::all()
            .add_option(filter.person_id.map(|person| Column::PersonId.eq(person)))
            .add_option(filter.device_id.map(|device| Column::DeviceId.eq(device)))
            .add_option(filter.provider.map(|provider| Column::Provider.eq(provider)))
            .add_option(filter.kind.map(|kind| Column::Kind.eq(kind)))
            .add_option(filter.currency.map(|currency| Column::Currency.eq(currency.as_str())))
            .add_option(filter.min_amount.map(at_least))
            .add_option(filter.max_amount.map(at_most))
            .add_option(filter.from.map(|from| Column::CreatedAt.gte(from)))
            .add_option(filter.before.map(|before| Column::CreatedAt.lt(before)))
    }
}

/// What a list is sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionOrder {
    CreateTime,
    Amount,
}

/// Where a page begins: after the row of these keys.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) enum TransactionKey {
    CreateTime(DateTime<Utc>),
    Amount(i64, i32),
}

impl TransactionOrder {
    pub(crate) fn key(self, transaction: &Stored<Transaction>) -> TransactionKey {
        let amount = transaction.content.amount.amount;
        match self {
            Self::CreateTime => TransactionKey::CreateTime(transaction.created_at),
            Self::Amount => TransactionKey::Amount(amount.units(), amount.nanos()),
        }
    }

    fn columns(self) -> Vec<SimpleExpr> {
        use row::Column;
        let columns = match self {
            Self::CreateTime => vec![Column::CreatedAt, Column::Id],
            Self::Amount => vec![Column::AmountUnits, Column::AmountNanos, Column::Id],
        };
        columns.into_iter().map(|column| column.into_expr()).collect()
    }
}

/// At most `limit`, sorted, after the row of this key and id.
pub(crate) async fn page(
    db: &impl TenantConnection,
    filter: TransactionFilter,
    (order, descending): (TransactionOrder, bool),
    after: Option<(TransactionKey, Uuid)>,
    limit: u64,
) -> Result<Vec<Stored<Transaction>>, DbErr> {
    let sorting = Sorting { columns: order.columns(), descending };
    let mut query = row::Entity::find().filter(Condition::from(filter)).limit(limit);
    if let Some((key, id)) = after {
        let mut values: Vec<Value> = match key {
            TransactionKey::CreateTime(time) => vec![time.into()],
            TransactionKey::Amount(units, nanos) => vec![units.into(), nanos.into()],
        };
        values.push(id.into());
        query = query.filter(sorting.beyond(values));
    }
    for column in &sorting.columns {
        query = query.order_by(column.clone(), sorting.direction());
    }
    let mut found: Vec<_> = query.all(db).await?.into_iter().map(read).collect();
    fill(db, &mut found).await?;
    Ok(found)
}
