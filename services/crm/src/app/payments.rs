//! Transactions: booked once, and every sum adds up.
//!
//! What a transaction changes is locked in one order, a device, then a person, then debts, before anything is read; so
//! what is read is the newest, and two at once come one after the other.

use tenantry_idempotency::Fingerprint;
use tenantry_ids::{PersonId, TransactionId};
use tenantry_rpc::Context;
use tenantry_tenancy::{TenantConnection, TenantDb};
use uuid::Uuid;

use super::act::ATTEMPTS;
use super::{Act, App, CrmError};
use crate::domain::{
    Account, Allocation, AllocationKind, Currency, Effect, Order, Stored, Target, Thing, Transaction, TransactionKind,
    sale,
};
use crate::store::debts::Debts;
use crate::store::devices::Devices;
use crate::store::people::{self, People};
use crate::store::sales::{self, Sales};
use crate::store::transactions::{self, TransactionFilter, TransactionKey, TransactionOrder};
use crate::store::{accounts, table};

/// Books what is asked for, once for each external id.
pub(crate) async fn create(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    order: &Order,
) -> Result<Stored<Transaction>, CrmError> {
    let fingerprint = &digest(order);
    // Whose a debt or a sale is never changes, so it can be read before the transaction.
    let debtor = &match order.target {
        Target::Debt(id) => {
            let debt = table::find::<Debts>(&db.read().await?, id).await?;
            Some(debt.ok_or(CrmError::NotFound(Thing::Debt))?.content.person_id)
        }
        Target::Sale(_) if !db.has_plugin(sale::PLUGIN) => return Err(CrmError::PluginNotInstalled(sale::PLUGIN)),
        Target::Sale(id) => {
            let sale = table::find::<Sales>(&db.read().await?, id).await?;
            Some(sale.ok_or(CrmError::NotFound(Thing::Sale))?.content.person_id)
        }
        Target::Person(_) | Target::Device(_) => None,
    };
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let mut transaction = Transaction {
            provider: order.provider.clone(),
            external_id: order.external_id.clone(),
            amount: order.amount.clone(),
            kind: order.kind,
            sender: order.sender.clone(),
            message: order.message.clone(),
            person_id: *debtor,
            device_id: None,
            refund_of: None,
            fingerprint: Some(fingerprint.clone()),
            allocations: Vec::new(),
        };
        let amount = order.amount.amount;
        match order.target {
            Target::Device(id) => {
                let device = table::lock::<Devices>(&tx, id).await?;
                transaction.device_id = device.as_ref().map(|device| device.id);
                transaction.person_id = device.and_then(|device| device.content.person_id);
                transaction.allocations = Allocation::whole(AllocationKind::Energy, amount);
            }
            Target::Person(id) => {
                transaction.person_id = Some(id);
                transaction.allocations = Allocation::whole(AllocationKind::Credit, amount);
            }
            Target::Debt(_) | Target::Sale(_) => {}
        }
        let locked = match transaction.person_id {
            Some(person) => table::lock::<People>(&tx, person).await?.is_some(),
            None => true,
        };
        let debt = match order.target {
            Target::Debt(id) => table::lock::<Debts>(&tx, id).await?,
            Target::Person(_) | Target::Device(_) | Target::Sale(_) => None,
        };
        let sale = match order.target {
            Target::Sale(id) => table::lock::<Sales>(&tx, id).await?,
            Target::Person(_) | Target::Device(_) | Target::Debt(_) => None,
        };
        // Now, so that a transaction that was booked answers even after its target has gone.
        if let Some(done) = earlier(&tx, order, fingerprint).await? {
            return Ok(done);
        }
        match order.target {
            Target::Device(_) if transaction.device_id.is_none() => return Err(CrmError::NotFound(Thing::Device)),
            Target::Person(_) if !locked => return Err(CrmError::NotFound(Thing::Person)),
            Target::Device(_) | Target::Person(_) => {}
            Target::Debt(id) => {
                let debt = debt.ok_or(CrmError::NotFound(Thing::Debt))?;
                if debt.content.principal.currency != order.amount.currency {
                    return Err(CrmError::CurrencyMismatch);
                }
                let parts = Allocation::of_debts(amount, &[(id, debt.content.remaining)]);
                transaction.allocations = parts.ok_or(CrmError::AmountOverflow)?;
            }
            Target::Sale(_) => {
                let sale = sale.ok_or(CrmError::NotFound(Thing::Sale))?;
                if sale.content.cancelled_at.is_some() {
                    return Err(CrmError::SaleCancelled);
                }
                if sale.content.price.currency != order.amount.currency {
                    return Err(CrmError::CurrencyMismatch);
                }
                let parts = Allocation::of_debts(amount, &sales::lock_open(&tx, sale.id).await?);
                transaction.device_id = sale.content.device_id;
                transaction.allocations = parts.ok_or(CrmError::AmountOverflow)?;
            }
        }
        book(&act, &tx, transaction).await
    })
    .await
}

/// Takes a payment back, once for each external id.
pub(crate) async fn refund(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (id, external_id, message): (TransactionId, &str, Option<&str>),
) -> Result<Stored<Transaction>, CrmError> {
    // What it paid never changes.
    let payment = &get(db, id).await?;
    let fingerprint = &digest(&(id.to_string(), external_id, message));
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        if let Some(person) = payment.content.person_id {
            table::lock::<People>(&tx, person).await?;
        }
        if let Some(done) = transactions::find_external(&tx, &payment.content.provider, external_id).await? {
            return same(done, fingerprint);
        }
        if payment.content.kind != TransactionKind::Payment || transactions::is_refunded(&tx, id).await? {
            return Err(CrmError::NotRefundable);
        }
        // As it is now: its person may have gone.
        let payment = transactions::find(&tx, id).await?.ok_or(CrmError::NotFound(Thing::Transaction))?;
        let debts: Vec<_> = payment.content.allocations.iter().filter_map(|part| part.debt_id).collect();
        if transactions::any_written_off(&tx, debts).await? {
            return Err(CrmError::NotRefundable);
        }
        let refund = payment.content.refund(id, external_id, message).ok_or(CrmError::AmountOverflow)?;
        book(&act, &tx, Transaction { fingerprint: Some(fingerprint.clone()), ..refund }).await
    })
    .await
}

/// Writes a transaction with everything that it changes. Its person is locked.
pub(super) async fn book(
    act: &Act<'_>,
    tx: &impl TenantConnection,
    transaction: Transaction,
) -> Result<Stored<Transaction>, CrmError> {
    for part in &transaction.allocations {
        let Some(id) = part.debt_id else { continue };
        let before = table::lock::<Debts>(tx, id).await?.ok_or(CrmError::NotFound(Thing::Debt))?;
        let after = before.content.paid(part.amount, act.now).ok_or(CrmError::AmountOverflow)?;
        act.update::<Debts>(tx, &before, after).await?;
    }
    if let Some(person) = transaction.person_id {
        change_account(act, tx, person, &transaction.amount.currency, transaction.effect()).await?;
        if transaction.kind == TransactionKind::Payment {
            people::paid(tx, person, act.now).await?;
        }
    }
    let stored = act.stored(transaction);
    transactions::insert(tx, &stored, || act.new_id()).await?;
    act.created(tx, &stored).await?;
    Ok(stored)
}

/// Changes the account of a person who is locked; an effect of `None` is one that cannot be counted.
pub(super) async fn change_account(
    act: &Act<'_>,
    tx: &impl TenantConnection,
    person: PersonId,
    currency: &Currency,
    effect: Option<Effect>,
) -> Result<(), CrmError> {
    let account = accounts::lock(tx, person, currency).await?;
    let account = effect.and_then(|effect| account.with(effect)).ok_or(CrmError::AmountOverflow)?;
    Ok(accounts::put(tx, &account, act.now).await?)
}

pub(super) async fn lock_person(tx: &impl TenantConnection, person: PersonId) -> Result<(), CrmError> {
    table::lock::<People>(tx, person).await?.map(drop).ok_or(CrmError::NotFound(Thing::Person))
}

async fn earlier(
    tx: &impl TenantConnection,
    order: &Order,
    fingerprint: &str,
) -> Result<Option<Stored<Transaction>>, CrmError> {
    match transactions::find_external(tx, &order.provider, &order.external_id).await? {
        Some(done) => same(done, fingerprint).map(Some),
        None => Ok(None),
    }
}

fn same(done: Stored<Transaction>, fingerprint: &str) -> Result<Stored<Transaction>, CrmError> {
    match done.content.fingerprint.as_deref() == Some(fingerprint) {
        true => Ok(done),
        false => Err(CrmError::ExternalIdReused),
    }
}

fn digest(asked: &impl serde::Serialize) -> String {
    Fingerprint::of(&serde_json::to_vec(asked).unwrap_or_default()).as_str().to_owned()
}

/// One transaction.
pub(crate) async fn get(db: &TenantDb<'_>, id: TransactionId) -> Result<Stored<Transaction>, CrmError> {
    transactions::find(&db.read().await?, id).await?.ok_or(CrmError::NotFound(Thing::Transaction))
}

/// At most `limit` transactions, sorted, after the one of this key.
pub(crate) async fn list(
    db: &TenantDb<'_>,
    filter: TransactionFilter,
    order: (TransactionOrder, bool),
    after: Option<(TransactionKey, Uuid)>,
    limit: u64,
) -> Result<Vec<Stored<Transaction>>, CrmError> {
    Ok(transactions::page(&db.read().await?, filter, order, after, limit).await?)
}

/// What a person has, by currency.
pub(crate) async fn balances(db: &TenantDb<'_>, person: PersonId) -> Result<Vec<Account>, CrmError> {
    let connection = db.read().await?;
    table::find::<People>(&connection, person).await?.ok_or(CrmError::NotFound(Thing::Person))?;
    Ok(accounts::of(&connection, person).await?)
}
