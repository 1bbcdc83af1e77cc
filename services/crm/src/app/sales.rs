//! Sales. A part of a price is a debt of the buyer's, so that what they owe, what payments do and what a refund brings
//! back are what they are for every debt; a sale knows which debts are its own.

use chrono::NaiveDate;
use tenantry_ids::{ApplianceId, DeviceId, PersonId, SaleId};
use tenantry_rpc::Context;
use tenantry_rpc::paging::Page;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::act::ATTEMPTS;
use super::payments::{book, change_account, lock_person};
use super::standard::{expect, misfit};
use super::{Act, App, CrmError, Replay};
use crate::domain::sale::{Interval, Part, Terms};
use crate::domain::{
    Allocation, Amount, Debt, Device, Effect, Instalment, Money, Sale, Stored, Thing, Transaction, TransactionKind,
};
use crate::store::appliances::Appliances;
use crate::store::debts::Debts;
use crate::store::devices::Devices;
use crate::store::sales::{self, SaleFilter, Sales};
use crate::store::{assignments, table};

/// Who handles what the service books by itself.
pub(crate) const OWN_PROVIDER: &str = "tenantry";

/// A sale that is asked for.
pub(crate) struct Offer {
    pub(crate) appliance_id: ApplianceId,
    pub(crate) person_id: PersonId,
    pub(crate) device_id: Option<DeviceId>,
    /// `None`: the appliance's.
    pub(crate) price: Option<Money>,
    /// `None`: nothing.
    pub(crate) down_payment: Option<Money>,
    pub(crate) instalments: u32,
    pub(crate) first_due: NaiveDate,
    pub(crate) interval: Interval,
}

/// Sells an appliance, once for each request id.
pub(crate) async fn sell(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    offer: &Offer,
    replay: &Replay,
) -> Result<Stored<Sale>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        // A device, then a person, as everybody does.
        let device = match offer.device_id {
            Some(id) => Some(expect::<Devices>(&tx, id.into(), None).await),
            None => None,
        };
        let buyer = lock_person(&tx, offer.person_id).await;
        if let Some(id) = act.earlier(&tx, replay).await? {
            return whole(&tx, SaleId(id)).await;
        }
        buyer?;
        hand_over(&act, &tx, device.transpose()?, offer.person_id).await?;
        let appliance = table::find::<Appliances>(&tx, offer.appliance_id).await?;
        let appliance = appliance.ok_or(CrmError::NotFound(Thing::Appliance))?.content;
        let price = offer.price.clone().unwrap_or_else(|| appliance.price.clone());
        if offer.down_payment.as_ref().is_some_and(|down| down.currency != price.currency) {
            return Err(CrmError::CurrencyMismatch);
        }
        let down_payment = offer.down_payment.as_ref().map(|down| down.amount).unwrap_or_default();
        let &Offer { instalments, first_due, interval, .. } = offer;
        let terms = Terms { price: price.clone(), down_payment, instalments, first_due, interval };
        let plan = terms.plan(act.now.date_naive()).map_err(|(field, description)| misfit(field, description))?;

        let owed = Effect { owed: price.amount, ..Effect::default() };
        change_account(&act, &tx, offer.person_id, &price.currency, Some(owed)).await?;
        let mut sale = act.stored(Sale {
            appliance_id: offer.appliance_id,
            person_id: offer.person_id,
            device_id: offer.device_id,
            price,
            down_payment,
            cancelled_at: None,
            instalments: Vec::new(),
        });
        table::insert::<Sales>(&tx, &sale).await?;
        for part in &plan {
            let debt = act.insert::<Debts>(&tx, debt(&sale.content, part, &appliance.name, plan.len())).await?;
            sale.content.instalments.push(Instalment {
                number: part.number,
                debt_id: Some(debt.id),
                amount: part.amount,
                remaining: part.amount,
                written_off: Amount::ZERO,
                due_date: Some(part.due_date),
            });
        }
        sales::insert_parts(&tx, sale.id, &sale.content.instalments).await?;
        act.created(&tx, &sale).await?;
        act.remember(&tx, replay, sale.uuid()).await?;
        Ok(sale)
    })
    .await
}

/// Nobody's device becomes the buyer's; another's is not sold.
async fn hand_over(
    act: &Act<'_>,
    tx: &impl TenantConnection,
    device: Option<Stored<Device>>,
    buyer: PersonId,
) -> Result<(), CrmError> {
    let Some(device) = device else { return Ok(()) };
    match device.content.person_id {
        Some(owner) if owner == buyer => Ok(()),
        Some(_) => Err(misfit("device_id", "must be nobody's device, or the person's")),
        None => {
            assignments::insert(tx, act.new_id(), (device.id, buyer), act.now).await?;
            let content = Device { person_id: Some(buyer), ..device.content.clone() };
            act.update::<Devices>(tx, &device, content).await.map(drop)
        }
    }
}

fn debt(sale: &Sale, part: &Part, name: &str, parts: usize) -> Debt {
    let reason = match part.number {
        0 => format!("{name}: down payment"),
        number => format!("{name}: {number}/{}", parts - usize::from(sale.down_payment.is_positive())),
    };
    Debt {
        person_id: sale.person_id,
        device_id: sale.device_id,
        principal: Money { currency: sale.price.currency.clone(), amount: part.amount },
        remaining: part.amount,
        settled_at: None,
        reason: Some(reason),
        due_date: Some(part.due_date),
    }
}

/// One sale, with its instalments.
pub(crate) async fn get(db: &TenantDb<'_>, id: SaleId) -> Result<Stored<Sale>, CrmError> {
    whole(&db.read().await?, id).await
}

async fn whole(db: &impl TenantConnection, id: SaleId) -> Result<Stored<Sale>, CrmError> {
    let mut sale = table::find::<Sales>(db, id).await?.ok_or(CrmError::NotFound(Thing::Sale))?;
    sales::fill(db, &mut sale).await?;
    Ok(sale)
}

/// A page of sales and one more, oldest first, without their instalments.
pub(crate) async fn list(db: &TenantDb<'_>, filter: SaleFilter, page: &Page) -> Result<Vec<Stored<Sale>>, CrmError> {
    Ok(table::page::<Sales>(&db.read().await?, filter.into(), page.after, page.size + 1).await?)
}

/// Ends a sale that still has this revision, if one is given: what is left is written off, and what was paid becomes
/// credit if that is asked for. One that has ended stays as it is.
pub(crate) async fn cancel(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (id, revision): (SaleId, Option<i64>),
    credit_paid: bool,
) -> Result<Stored<Sale>, CrmError> {
    // Whose it is never changes, so it can be read before the transaction.
    let buyer = table::find::<Sales>(&db.read().await?, id).await?.ok_or(CrmError::NotFound(Thing::Sale))?;
    let buyer = buyer.content.person_id;
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        lock_person(&tx, buyer).await?;
        let mut before = table::lock::<Sales>(&tx, id).await?.ok_or(CrmError::NotFound(Thing::Sale))?;
        let open = sales::lock_open(&tx, id).await?;
        sales::fill(&tx, &mut before).await?;
        if before.content.cancelled_at.is_some() {
            return Ok(before);
        }
        if revision.is_some_and(|revision| revision != before.revision) {
            return Err(CrmError::EtagMismatch(Thing::Sale));
        }
        let mut paid = before.content.instalments.iter().map(Instalment::paid);
        let paid = paid.try_fold(Amount::ZERO, |sum, paid| sum.checked_add(paid?));
        let paid = paid.ok_or(CrmError::AmountOverflow)?;
        let credit = if credit_paid { paid } else { Amount::ZERO };
        let allocations = Allocation::write_off(&open, credit);
        if !allocations.is_empty() {
            book(&act, &tx, adjustment(&before, allocations)?).await?;
        }
        sales::write_off(&tx, id, &open).await?;
        let content = Sale { cancelled_at: Some(act.now), ..before.content.clone() };
        let mut after = before.changed(content, act.now);
        if !table::update::<Sales>(&tx, &after).await? {
            return Err(CrmError::EtagMismatch(Thing::Sale));
        }
        sales::fill(&tx, &mut after).await?;
        act.changed(&tx, &before, &after).await?;
        Ok(after)
    })
    .await
}

fn adjustment(sale: &Stored<Sale>, allocations: Vec<Allocation>) -> Result<Transaction, CrmError> {
    let amount = Allocation::sum(&allocations).ok_or(CrmError::AmountOverflow)?;
    Ok(Transaction {
        provider: OWN_PROVIDER.to_owned(),
        external_id: format!("sale {} cancelled", sale.id),
        amount: Money { currency: sale.content.price.currency.clone(), amount },
        kind: TransactionKind::Adjustment,
        sender: None,
        message: None,
        person_id: Some(sale.content.person_id),
        device_id: sale.content.device_id,
        refund_of: None,
        fingerprint: None,
        allocations,
    })
}
