//! Payments: booked once, and whatever happens at once, the books add up.

use std::collections::BTreeMap;

use tenantry_api::crm::v1::transaction_service_client::TransactionServiceClient;
use tenantry_api::crm::v1::{
    AllocationKind, AssignDeviceRequest, Balance, CreateDebtRequest, CreateTransactionRequest, Debt, DeleteDebtRequest,
    DeletePersonRequest, GetDebtRequest, GetTransactionRequest, ListBalancesRequest, ListDebtsRequest,
    ListTransactionsRequest, Money, RefundTransactionRequest, Transaction, TransactionFilter, TransactionKind,
};
use tenantry_rpc::Reason;
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use super::devices::Maker;
use crate::support::{fields, per_engine, reason};

per_engine!(
    a_payment_pays_a_device_a_debt_or_nothing_yet,
    a_replay_books_once_also_from_many_calls_at_once,
    a_refund_takes_back_all_of_a_payment_once,
    what_cannot_be_counted_or_mixed_is_refused,
    the_books_add_up_whatever_happens_at_once,
    transactions_are_filtered_and_sorted,
);

pub(crate) fn kes(units: i64, nanos: i32) -> Money {
    Money { currency_code: "KES".into(), units, nanos }
}

pub(crate) fn nanos(money: &Option<Money>) -> i128 {
    money.as_ref().map_or(0, |money| i128::from(money.units) * 1_000_000_000 + i128::from(money.nanos))
}

pub(crate) fn payment(external_id: &str, amount: Money) -> Transaction {
    Transaction {
        provider: "mpesa".into(),
        external_id: external_id.into(),
        amount: Some(amount),
        sender: "+254700000000".into(),
        message: "O'Brien \"電\"".into(),
        ..Default::default()
    }
}

pub(crate) struct Till<'a> {
    sandbox: &'a Sandbox,
    owner: &'a Owner,
    pub(crate) transactions: TransactionServiceClient<ServiceChannel>,
}

impl<'a> Till<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox, owner: &'a Owner) -> anyhow::Result<Self> {
        Ok(Self { sandbox, owner, transactions: sandbox.clients().transactions()? })
    }

    pub(crate) async fn book(&mut self, transaction: Transaction) -> Result<Transaction, Status> {
        let request = CreateTransactionRequest { transaction: Some(transaction) };
        Ok(self.transactions.create_transaction(self.owner.request(request)).await?.into_inner())
    }

    pub(crate) async fn refund(&mut self, id: &str, external_id: &str) -> Result<Transaction, Status> {
        let request =
            RefundTransactionRequest { id: id.into(), external_id: external_id.into(), message: String::new() };
        Ok(self.transactions.refund_transaction(self.owner.request(request)).await?.into_inner())
    }

    pub(crate) async fn owe(&mut self, person: &str, principal: Money) -> anyhow::Result<Result<Debt, Status>> {
        let debt = Debt { person_id: person.into(), principal: Some(principal), ..Default::default() };
        let request = self.owner.request(CreateDebtRequest { debt: Some(debt), ..Default::default() });
        Ok(self.sandbox.clients().debts()?.create_debt(request).await.map(tonic::Response::into_inner))
    }

    pub(crate) async fn debt(&mut self, id: &str) -> anyhow::Result<Debt> {
        let request = self.owner.request(GetDebtRequest { id: id.into() });
        Ok(self.sandbox.clients().debts()?.get_debt(request).await?.into_inner())
    }

    pub(crate) async fn balances(&mut self, person: &str) -> anyhow::Result<Vec<Balance>> {
        let request = self.owner.request(ListBalancesRequest { person_id: person.into() });
        Ok(self.transactions.list_balances(request).await?.into_inner().balances)
    }

    pub(crate) async fn list(&mut self, request: ListTransactionsRequest) -> anyhow::Result<Vec<Transaction>> {
        let (mut all, mut request) = (Vec::new(), request);
        loop {
            let page = self.transactions.list_transactions(self.owner.request(request.clone())).await?.into_inner();
            all.extend(page.transactions);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(all);
            }
        }
    }
}

fn balance(paid: i64, credit: i64, owed: i64) -> Balance {
    Balance { paid: Some(kes(paid, 0)), credit: Some(kes(credit, 0)), owed: Some(kes(owed, 0)) }
}

async fn a_payment_pays_a_device_a_debt_or_nothing_yet(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Till").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let ada = make.person("Ada").await?;
    let meter = make.meter(&make.manufacturer("Acme").await?, "S1", &ada).await?;
    let parts = |transaction: &Transaction| -> Vec<_> {
        transaction
            .allocations
            .iter()
            .map(|part| (part.kind(), part.amount.clone().unwrap_or_default().units))
            .collect()
    };

    let energy = till.book(Transaction { device_id: meter.id.clone(), ..payment("1", kes(10, 0)) }).await?;
    assert_eq!(energy.person_id, ada, "whose the device is");
    assert_eq!(parts(&energy), [(AllocationKind::Energy, 10)]);
    assert_eq!((energy.kind(), &*energy.message), (TransactionKind::Payment, "O'Brien \"電\""));
    let get = GetTransactionRequest { id: energy.id.clone() };
    assert_eq!(till.transactions.get_transaction(owner.request(get)).await?.into_inner(), energy);

    let debt = till.owe(&ada, kes(30, 0)).await??;
    assert_eq!(till.balances(&ada).await?, [balance(10, 0, 30)]);
    let part = till.book(Transaction { debt_id: debt.id.clone(), ..payment("2", kes(20, 0)) }).await?;
    assert_eq!((parts(&part), &part.debt_id), (vec![(AllocationKind::Debt, 20)], &debt.id));
    assert_eq!(till.debt(&debt.id).await?.remaining, Some(kes(10, 0)));
    let rest = till.book(Transaction { debt_id: debt.id.clone(), ..payment("3", kes(15, 0)) }).await?;
    assert_eq!(parts(&rest), [(AllocationKind::Debt, 10), (AllocationKind::Credit, 5)]);
    let settled = till.debt(&debt.id).await?;
    assert_eq!((settled.remaining, settled.settle_time.is_some()), (Some(kes(0, 0)), true));

    till.book(Transaction { person_id: ada.clone(), ..payment("4", kes(7, 0)) }).await?;
    let kind = TransactionKind::Adjustment.into();
    till.book(Transaction { person_id: ada.clone(), kind, ..payment("5", kes(-2, 0)) }).await?;
    assert_eq!(till.balances(&ada).await?, [balance(52, 10, 0)]);

    // Nobody's device pays into nobody's account.
    let free = make.meter(&make.manufacturer("Other").await?, "S1", "").await?;
    let energy = till.book(Transaction { device_id: free.id.clone(), ..payment("6", kes(1, 0)) }).await?;
    assert_eq!(energy.person_id, "");
    let assign = AssignDeviceRequest { id: free.id, person_id: ada.clone(), etag: String::new() };
    sandbox.clients().devices()?.assign_device(owner.request(assign)).await?;
    assert_eq!(till.balances(&ada).await?, [balance(52, 10, 0)]);

    let mut debts = sandbox.clients().debts()?;
    let open = ListDebtsRequest { unsettled: true, ..Default::default() };
    assert!(debts.list_debts(owner.request(open)).await?.into_inner().debts.is_empty());
    let delete = DeleteDebtRequest { id: debt.id, etag: String::new() };
    assert_eq!(reason(debts.delete_debt(owner.request(delete)).await), Some(Reason::InUse));
    let wrong = till.owe(&ada, kes(3, 0)).await??;
    debts.delete_debt(owner.request(DeleteDebtRequest { id: wrong.id, etag: wrong.etag })).await?;
    assert_eq!(till.balances(&ada).await?, [balance(52, 10, 0)]);
    let bob = make.person("Bob").await?;
    till.owe(&bob, kes(1, 0)).await??;
    let delete = DeletePersonRequest { id: bob, etag: String::new() };
    assert_eq!(reason(sandbox.people()?.delete_person(owner.request(delete)).await), Some(Reason::InUse));
    Ok(())
}

async fn a_replay_books_once_also_from_many_calls_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Replays").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let ada = make.person("Ada").await?;
    let debt = till.owe(&ada, kes(100, 0)).await??;
    let asked = Transaction { debt_id: debt.id.clone(), ..payment("once", kes(40, 0)) };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let request = owner.request(CreateTransactionRequest { transaction: Some(asked.clone()) });
        let mut transactions = till.transactions.clone();
        calls.spawn(async move { transactions.create_transaction(request).await });
    }
    let mut booked = Vec::new();
    while let Some(call) = calls.join_next().await {
        booked.push(call??.into_inner());
    }
    assert!(booked.iter().all(|one| *one == booked[0]), "one answer for all: {booked:?}");
    assert_eq!(till.book(asked.clone()).await?, booked[0]);
    assert_eq!(till.balances(&ada).await?, [balance(40, 0, 60)]);
    assert_eq!(till.debt(&debt.id).await?.remaining, Some(kes(60, 0)));

    let other = till.book(Transaction { message: "another".into(), ..asked.clone() }).await;
    assert_eq!(reason(other), Some(Reason::ExternalIdReused));
    // Another provider counts for itself.
    till.book(Transaction { provider: "bank".into(), ..asked }).await?;
    assert_eq!(till.balances(&ada).await?, [balance(80, 0, 20)]);
    Ok(())
}

async fn a_refund_takes_back_all_of_a_payment_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Refunds").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let ada = make.person("Ada").await?;
    let debt = till.owe(&ada, kes(10, 0)).await??;
    let paid = till.book(Transaction { debt_id: debt.id.clone(), ..payment("1", kes(12, 0)) }).await?;
    assert_eq!(till.balances(&ada).await?, [balance(12, 2, 0)]);

    let mut calls = tokio::task::JoinSet::new();
    for n in 0..6 {
        let request = RefundTransactionRequest {
            id: paid.id.clone(),
            external_id: format!("back {}", n % 2),
            message: String::new(),
        };
        let (mut transactions, request) = (till.transactions.clone(), owner.request(request));
        calls.spawn(async move { transactions.refund_transaction(request).await });
    }
    let mut back = Vec::new();
    while let Some(call) = calls.join_next().await {
        match call? {
            Ok(refund) => back.push(refund.into_inner()),
            refused => assert_eq!(reason(refused), Some(Reason::NotRefundable)),
        }
    }
    assert!(back.iter().all(|one| *one == back[0]) && back.len() == 3, "one of the two, for its three calls: {back:?}");
    assert_eq!((&back[0].amount, &back[0].refund_of), (&Some(kes(-12, 0)), &paid.id));
    assert_eq!(till.balances(&ada).await?, [balance(0, 0, 10)]);
    let open = till.debt(&debt.id).await?;
    assert_eq!((open.remaining, open.settle_time), (Some(kes(10, 0)), None));
    assert_eq!(reason(till.refund(&back[0].id, "twice").await), Some(Reason::NotRefundable));
    assert_eq!(reason(till.refund(&paid.id, "1").await), Some(Reason::ExternalIdReused));
    Ok(())
}

async fn what_cannot_be_counted_or_mixed_is_refused(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Limits").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let ada = make.person("Ada").await?;
    let to_ada = |external_id: &str, amount| Transaction { person_id: ada.clone(), ..payment(external_id, amount) };
    till.book(to_ada("most", kes(i64::MAX, 999_999_999))).await?;
    assert_eq!(reason(till.book(to_ada("more", kes(0, 1))).await), Some(Reason::AmountOverflow));
    assert_eq!(nanos(&till.balances(&ada).await?[0].paid), i128::from(i64::MAX) * 1_000_000_000 + 999_999_999);

    let usd = |units| Money { currency_code: "USD".into(), units, nanos: 0 };
    till.book(to_ada("dollars", usd(1))).await?;
    assert_eq!(till.balances(&ada).await?.len(), 2, "each currency for itself");
    let debt = till.owe(&ada, usd(5)).await??;
    let mixed = till.book(Transaction { debt_id: debt.id.clone(), ..payment("mixed", kes(1, 0)) }).await;
    assert_eq!(reason(mixed), Some(Reason::CurrencyMismatch));
    assert_eq!(reason(till.owe(&ada, usd(i64::MAX)).await?), Some(Reason::AmountOverflow));

    for amount in [kes(0, 0), kes(-1, 0)] {
        assert_eq!(fields(till.book(to_ada("no", amount)).await), ["transaction.amount"]);
    }
    assert_eq!(fields(till.book(to_ada("no", kes(1, -1))).await), ["transaction.amount.nanos"]);
    let two = Transaction { debt_id: debt.id.clone(), ..to_ada("two", kes(1, 0)) };
    assert_eq!(fields(till.book(two).await), ["transaction.person_id"]);
    let refund = Transaction { kind: TransactionKind::Refund.into(), ..to_ada("no", kes(1, 0)) };
    assert_eq!(fields(till.book(refund).await), ["transaction.kind"]);
    let empty = fields(till.book(Transaction::default()).await);
    let all = ["provider", "external_id", "amount", "person_id"].map(|field| format!("transaction.{field}"));
    assert_eq!(empty, all);
    let nowhere = uuid::Uuid::now_v7().to_string();
    let missing = [
        (Transaction { person_id: nowhere.clone(), ..payment("n", kes(1, 0)) }, Reason::PersonNotFound),
        (Transaction { device_id: nowhere.clone(), ..payment("n", kes(1, 0)) }, Reason::DeviceNotFound),
        (Transaction { debt_id: nowhere, ..payment("n", kes(1, 0)) }, Reason::DebtNotFound),
    ];
    for (transaction, expected) in missing {
        assert_eq!(reason(till.book(transaction).await), Some(expected));
    }
    Ok(())
}

/// A seeded generator (xorshift64*).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap_or_default() % below
    }
}

async fn the_books_add_up_whatever_happens_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Books").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let manufacturer = make.manufacturer("Acme").await?;
    let (mut people, mut debts, mut devices) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..3 {
        let person = make.person(&format!("P{n}")).await?;
        devices.push(make.meter(&manufacturer, &format!("S{n}"), &person).await?.id);
        debts.push(till.owe(&person, kes(50, 250_000_000)).await??.id);
        people.push(person);
    }
    let mut workers = tokio::task::JoinSet::new();
    for seed in 1..=4_u64 {
        let token = tenantry_testkit::actors::Bearer(owner.token().unwrap_or_default().to_owned());
        let (mut transactions, mut device_client) = (till.transactions.clone(), sandbox.clients().devices()?);
        let (people, debts, devices) = (people.clone(), debts.clone(), devices.clone());
        workers.spawn(async move {
            let (mut dice, mut mine) = (Dice(seed * 7_919), Vec::new());
            for step in 0..15 {
                let at = dice.roll(people.len());
                let amount = kes(i64::try_from(dice.roll(9))?, i32::try_from(1 + dice.roll(999_999_999))?);
                let asked = payment(&format!("{seed}-{step}"), amount);
                let asked = match dice.roll(6) {
                    0 => Transaction { person_id: people[at].clone(), ..asked },
                    1 => Transaction { device_id: devices[at].clone(), ..asked },
                    2 if !mine.is_empty() => {
                        let id: String = mine.swap_remove(dice.roll(mine.len()));
                        let external_id = format!("back {id}");
                        let refund = RefundTransactionRequest { id, external_id, message: String::new() };
                        transactions.refund_transaction(token.request(refund)).await?;
                        continue;
                    }
                    3 => {
                        let person_id = people[dice.roll(people.len())].clone();
                        let assign = AssignDeviceRequest { id: devices[at].clone(), person_id, etag: String::new() };
                        device_client.assign_device(token.request(assign)).await?;
                        continue;
                    }
                    _ => Transaction { debt_id: debts[at].clone(), ..asked },
                };
                let request = CreateTransactionRequest { transaction: Some(asked) };
                mine.push(transactions.create_transaction(token.request(request)).await?.into_inner().id);
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }

    let all = till.list(ListTransactionsRequest { page_size: 7, ..Default::default() }).await?;
    let mut of_debt: BTreeMap<String, i128> = BTreeMap::new();
    for transaction in &all {
        let parts: i128 = transaction.allocations.iter().map(|part| nanos(&part.amount)).sum();
        assert_eq!(parts, nanos(&transaction.amount), "{transaction:?}");
        for part in transaction.allocations.iter().filter(|part| !part.debt_id.is_empty()) {
            *of_debt.entry(part.debt_id.clone()).or_default() += nanos(&part.amount);
        }
    }
    for (person, debt) in people.iter().zip(&debts) {
        let debt = till.debt(debt).await?;
        let paid = of_debt.get(&debt.id).copied().unwrap_or_default();
        assert_eq!(nanos(&debt.principal) - paid, nanos(&debt.remaining));
        let theirs: Vec<_> = all.iter().filter(|one| one.person_id == *person).collect();
        let balance = till.balances(person).await?.remove(0);
        assert_eq!(nanos(&balance.paid), theirs.iter().map(|one| nanos(&one.amount)).sum::<i128>());
        let parts = theirs.iter().flat_map(|one| &one.allocations);
        let credit = parts.filter(|part| part.kind() == AllocationKind::Credit).map(|part| nanos(&part.amount));
        assert_eq!(nanos(&balance.credit), credit.sum::<i128>());
        assert_eq!(nanos(&balance.owed), nanos(&debt.remaining));
    }
    Ok(())
}

async fn transactions_are_filtered_and_sorted(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Sorted").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let (ada, bob) = (make.person("Ada").await?, make.person("Bob").await?);
    let amounts = [kes(2, 0), kes(1, 500_000_000), kes(1, 250_000_000), kes(1, 500_000_000), kes(3, 0)];
    for (n, amount) in amounts.into_iter().enumerate() {
        let person_id = if n % 2 == 0 { &ada } else { &bob }.clone();
        let provider = if n == 4 { "bank" } else { "mpesa" }.to_owned();
        till.book(Transaction { person_id, provider, ..payment(&n.to_string(), amount) }).await?;
    }
    let ids = |all: Vec<Transaction>| all.into_iter().map(|one| one.external_id).collect::<Vec<_>>();
    let filter = || TransactionFilter { currency_code: "KES".into(), ..Default::default() };
    let list = |filter, order_by: &str| ListTransactionsRequest {
        page_size: 2,
        filter: Some(filter),
        order_by: order_by.into(),
        ..Default::default()
    };
    for (order, expected) in [
        ("", ["0", "1", "2", "3", "4"]),
        ("create_time desc", ["4", "3", "2", "1", "0"]),
        ("amount", ["2", "1", "3", "0", "4"]),
        ("amount desc", ["4", "0", "3", "1", "2"]),
    ] {
        assert_eq!(ids(till.list(list(filter(), order)).await?), expected, "{order}");
    }
    let of_bob = TransactionFilter { person_id: bob, ..Default::default() };
    assert_eq!(ids(till.list(list(of_bob, "")).await?), ["1", "3"]);
    let bank = TransactionFilter { provider: "bank".into(), ..Default::default() };
    assert_eq!(ids(till.list(list(bank, "")).await?), ["4"]);
    let between = TransactionFilter {
        min_amount: Some(kes(1, 500_000_000)),
        max_amount: Some(kes(2, 0)),
        kind: TransactionKind::Payment.into(),
        ..filter()
    };
    assert_eq!(ids(till.list(list(between, "")).await?), ["0", "1", "3"]);
    let all = till.list(list(filter(), "")).await?;
    let times = TransactionFilter {
        create_time_from: all[1].create_time,
        create_time_before: all[3].create_time,
        ..Default::default()
    };
    assert_eq!(ids(till.list(list(times, "")).await?), ["1", "2"]);

    let mut refused = async |request| fields(till.transactions.list_transactions(owner.request(request)).await);
    assert_eq!(refused(list(TransactionFilter::default(), "amount")).await, ["filter.currency_code"]);
    assert_eq!(refused(list(filter(), "sender")).await, ["order_by"]);
    let first = till.transactions.list_transactions(owner.request(list(filter(), "amount"))).await?.into_inner();
    let mut refused = async |request| fields(till.transactions.list_transactions(owner.request(request)).await);
    let other = ListTransactionsRequest { page_token: first.next_page_token, ..list(filter(), "amount desc") };
    assert_eq!(refused(other).await, ["page_token"]);
    Ok(())
}
