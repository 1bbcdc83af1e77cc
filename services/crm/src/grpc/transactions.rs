use std::sync::Arc;

use tenantry_api::crm::v1::transaction_service_server::TransactionService;
use tenantry_api::crm::v1::{
    Allocation as WireAllocation, AllocationKind as WireAllocationKind, Balance, CreateTransactionRequest,
    GetTransactionRequest, ListBalancesRequest, ListBalancesResponse, ListTransactionsRequest,
    ListTransactionsResponse, RefundTransactionRequest, Transaction as Wire, TransactionFilter as WireFilter,
    TransactionKind as WireKind,
};
use tenantry_ids::TransactionId;
use tenantry_rpc::paging::KeyedPage;
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{bound, money, optional, optional_moment, order, parse_money, respond, text, timestamp};
use crate::app::sales::OWN_PROVIDER;
use crate::app::{App, payments};
use crate::domain::{
    Account, AllocationKind, Amount, Currency, Fields, Money, Order, Stored, Target, Transaction, TransactionKind,
};
use crate::store::transactions::{TransactionFilter, TransactionKey, TransactionOrder};

pub(crate) struct TransactionGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TransactionService for TransactionGrpc {
    async fn create_transaction(&self, request: Request<CreateTransactionRequest>) -> Result<Response<Wire>, Status> {
        let call = Call::open(request)?;
        let order = parse(&call.body.transaction.clone().unwrap_or_default())?;
        respond(payments::create(&self.0, &call.tenant_db()?, &call.context, &order).await.map(convert))
    }

    async fn refund_transaction(&self, request: Request<RefundTransactionRequest>) -> Result<Response<Wire>, Status> {
        let call = Call::open(request)?;
        let (id, external_id, message) = parse_refund(&call.body)?;
        let of = (id, external_id.as_str(), message.as_deref());
        respond(payments::refund(&self.0, &call.tenant_db()?, &call.context, of).await.map(convert))
    }

    async fn get_transaction(&self, request: Request<GetTransactionRequest>) -> Result<Response<Wire>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("id", &call.body.id)?;
        respond(payments::get(&call.tenant_db()?, id).await.map(convert))
    }

    async fn list_transactions(
        &self,
        request: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, order, page) = parse_list(&call.body)?;
        let rows = payments::list(&call.tenant_db()?, filter, order, page.after.clone(), page.size + 1).await;
        respond(rows.map(|mut rows| {
            let next_page_token = page.cut(&mut rows, |row| (order.0.key(row), row.uuid()));
            ListTransactionsResponse { transactions: rows.into_iter().map(convert).collect(), next_page_token }
        }))
    }

    async fn list_balances(
        &self,
        request: Request<ListBalancesRequest>,
    ) -> Result<Response<ListBalancesResponse>, Status> {
        let call = Call::open(request)?;
        let person = parse_field("person_id", &call.body.person_id)?;
        let balances = payments::balances(&call.tenant_db()?, person).await;
        respond(balances.map(|rows| ListBalancesResponse { balances: rows.into_iter().map(balance).collect() }))
    }
}

fn parse(wire: &Wire) -> Result<Order, Error> {
    let mut violations = Violations::new();
    let fields = &mut Fields::all(&mut violations, "transaction");
    let provider = fields.text("provider", &wire.provider, 40);
    fields.check(provider != OWN_PROVIDER, "provider", "must not be tenantry, which the service books under itself");
    let external_id = fields.text("external_id", &wire.external_id, 128);
    let sender = fields.optional_text("sender", &wire.sender, 128);
    let message = fields.optional_text("message", &wire.message, 2_000);
    let kind = match WireKind::try_from(wire.kind) {
        Ok(WireKind::Unspecified | WireKind::Payment) => TransactionKind::Payment,
        Ok(WireKind::Adjustment) => TransactionKind::Adjustment,
        Ok(WireKind::Refund) | Err(_) => {
            fields.check(false, "kind", "must be PAYMENT or ADJUSTMENT; a refund is made by RefundTransaction");
            TransactionKind::Payment
        }
    };
    let amount = wire.amount.as_ref().and_then(|wire| parse_money(fields, "amount", wire));
    let fits = |amount: &Money| match kind {
        TransactionKind::Adjustment => amount.amount != Amount::ZERO,
        TransactionKind::Payment | TransactionKind::Refund => amount.amount.is_positive(),
    };
    let is_noted = amount.is_none() && wire.amount.is_some();
    let description = "must be positive for a payment, and not zero for an adjustment";
    fields.check(is_noted || amount.as_ref().is_some_and(fits), "amount", description);
    let target = target(fields, wire, kind);
    violations.finish(amount.zip(target).map(|(amount, target)| Order {
        provider,
        external_id,
        amount,
        kind,
        sender,
        message,
        target,
    }))
}

/// The one thing that is named.
fn target(fields: &mut Fields<'_>, wire: &Wire, kind: TransactionKind) -> Option<Target> {
    let named =
        [&wire.person_id, &wire.device_id, &wire.debt_id, &wire.sale_id].iter().filter(|id| !id.is_empty()).count();
    fields.check(named == 1, "person_id", "must be set, or else one of device_id, debt_id and sale_id");
    let to_person = kind != TransactionKind::Adjustment || !wire.person_id.is_empty() || named != 1;
    fields.check(to_person, "person_id", "must be set for an adjustment");
    let person = fields.optional_id("person_id", &wire.person_id).map(Target::Person);
    let device = fields.optional_id("device_id", &wire.device_id).map(Target::Device);
    let debt = fields.optional_id("debt_id", &wire.debt_id).map(Target::Debt);
    let sale = fields.optional_id("sale_id", &wire.sale_id).map(Target::Sale);
    person.or(device).or(debt).or(sale)
}

fn parse_refund(body: &RefundTransactionRequest) -> Result<(TransactionId, String, Option<String>), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("id", &body.id);
    let external_id = violations.text("external_id", &body.external_id, 128);
    let message = Some(violations.optional_text("message", &body.message, 2_000)).filter(|text| !text.is_empty());
    violations.finish(id.map(|id| (id, external_id, message)))
}

type Listed = (TransactionFilter, (TransactionOrder, bool), KeyedPage<TransactionKey>);

fn parse_list(body: &ListTransactionsRequest) -> Result<Listed, Error> {
    let mut violations = Violations::new();
    let wire = body.filter.clone().unwrap_or_default();
    let list = format!("transactions{wire:?}{}", body.order_by);
    let page = KeyedPage::parse(&mut violations, list, body.page_size, &body.page_token);
    let fields = [("create_time", TransactionOrder::CreateTime), ("amount", TransactionOrder::Amount)];
    let order = order(&mut violations, &body.order_by, &fields);
    let by_amount = order.0 == TransactionOrder::Amount;
    let description = "must be set, since amounts of different currencies have no order";
    violations.check(!by_amount || !wire.currency_code.is_empty(), "filter.currency_code", description);
    let filter = parse_filter(&mut violations, &wire);
    violations.finish(Some((filter, order, page)))
}

fn parse_filter(violations: &mut Violations, wire: &WireFilter) -> TransactionFilter {
    let kind = match WireKind::try_from(wire.kind) {
        Ok(WireKind::Unspecified) => None,
        Ok(WireKind::Payment) => Some(TransactionKind::Payment),
        Ok(WireKind::Refund) => Some(TransactionKind::Refund),
        Ok(WireKind::Adjustment) => Some(TransactionKind::Adjustment),
        Err(_) => {
            violations.add("filter.kind", "must be PAYMENT, REFUND or ADJUSTMENT, or unset");
            None
        }
    };
    let currency: Option<Currency> = optional(violations, "filter.currency_code", &wire.currency_code);
    TransactionFilter {
        person_id: optional(violations, "filter.person_id", &wire.person_id),
        device_id: optional(violations, "filter.device_id", &wire.device_id),
        provider: Some(violations.optional_text("filter.provider", &wire.provider, 40)).filter(|text| !text.is_empty()),
        kind,
        min_amount: bound(violations, "filter.min_amount", wire.min_amount.as_ref(), currency.as_ref()),
        max_amount: bound(violations, "filter.max_amount", wire.max_amount.as_ref(), currency.as_ref()),
        currency,
        from: optional_moment(violations, "filter.create_time_from", wire.create_time_from.as_ref()),
        before: optional_moment(violations, "filter.create_time_before", wire.create_time_before.as_ref()),
    }
}

fn convert(stored: Stored<Transaction>) -> Wire {
    let transaction = stored.content;
    let kind = match transaction.kind {
        TransactionKind::Payment => WireKind::Payment,
        TransactionKind::Refund => WireKind::Refund,
        TransactionKind::Adjustment => WireKind::Adjustment,
    };
    let currency = &transaction.amount.currency;
    let allocations = transaction.allocations.iter().map(|part| {
        let kind = match part.kind {
            AllocationKind::Energy => WireAllocationKind::Energy,
            AllocationKind::AccessFee => WireAllocationKind::AccessFee,
            AllocationKind::Debt => WireAllocationKind::Debt,
            AllocationKind::Credit => WireAllocationKind::Credit,
        };
        let amount = Some(money(Money { currency: currency.clone(), amount: part.amount }));
        WireAllocation { kind: kind.into(), debt_id: text(part.debt_id), amount }
    });
    Wire {
        id: stored.id.to_string(),
        allocations: allocations.collect(),
        debt_id: text(transaction.allocations.iter().find_map(|part| part.debt_id)),
        provider: transaction.provider,
        external_id: transaction.external_id,
        amount: Some(money(transaction.amount)),
        kind: kind.into(),
        sender: transaction.sender.unwrap_or_default(),
        message: transaction.message.unwrap_or_default(),
        person_id: text(transaction.person_id),
        device_id: text(transaction.device_id),
        refund_of: text(transaction.refund_of),
        create_time: Some(timestamp(stored.created_at)),
        sale_id: String::new(),
    }
}

fn balance(account: Account) -> Balance {
    let of = |amount| Some(money(Money { currency: account.currency.clone(), amount }));
    Balance { paid: of(account.paid), credit: of(account.credit), owed: of(account.owed) }
}
