//! Sales in instalments: their parts are the price, payments pay them in their order, and the books add up.

use tenantry_api::crm::v1::appliance_service_client::ApplianceServiceClient;
use tenantry_api::crm::v1::{
    AllocationKind, Appliance, CancelSaleRequest, CreateApplianceRequest, CreateTransactionRequest, Date,
    DeleteApplianceRequest, DeleteDebtRequest, DeletePersonRequest, GetApplianceRequest, GetDeviceRequest,
    GetSaleRequest, InstalmentInterval, InstalmentState, ListAppliancesRequest, ListAuditEntriesRequest,
    ListSalesRequest, ListTransactionsRequest, Money, RefundTransactionRequest, Sale, SellApplianceRequest,
    Transaction, TransactionKind, UpdateApplianceRequest,
};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tonic::Status;

use super::devices::Maker;
use super::payments::{Dice, Till, kes, nanos, payment};
use super::plugins::{uninstall, with_plugin};
use crate::support::{fields, per_engine, reason};

per_engine!(
    who_has_not_installed_it_is_told_so,
    appliances_are_added_changed_and_removed,
    payments_pay_the_next_instalments_and_a_refund_takes_them_back,
    a_sale_that_ends_owes_nothing_more,
    a_sale_is_made_once_and_a_wrong_one_never,
    the_books_of_sales_add_up_whatever_happens_at_once,
);

const APPLIANCES: &str = "appliances";

pub(crate) struct Shop<'a> {
    owner: &'a Owner,
    appliances: ApplianceServiceClient<ServiceChannel>,
}

impl<'a> Shop<'a> {
    pub(crate) async fn open(sandbox: &Sandbox, owner: &'a Owner) -> anyhow::Result<Self> {
        with_plugin(sandbox, owner, APPLIANCES).await?;
        let appliances = sandbox.clients().appliances()?;
        // The crm hears of it a moment later.
        crate::processes::eventually("the plugin", async || {
            let list = owner.request(ListAppliancesRequest::default());
            match appliances.clone().list_appliances(list).await {
                Err(status) if reason_of(&status) == Some(Reason::PluginNotInstalled) => Ok(None),
                served => Ok(Some(served?)),
            }
        })
        .await?;
        Ok(Self { owner, appliances })
    }

    async fn stock(&mut self, name: &str, price: Money) -> Result<Appliance, Status> {
        let appliance = Appliance { name: name.into(), price: Some(price), ..Default::default() };
        let request = CreateApplianceRequest { appliance: Some(appliance), ..Default::default() };
        Ok(self.appliances.create_appliance(self.owner.request(request)).await?.into_inner())
    }

    async fn sell(&mut self, request: SellApplianceRequest) -> Result<Sale, Status> {
        Ok(self.appliances.sell_appliance(self.owner.request(request)).await?.into_inner())
    }

    async fn sale(&mut self, id: &str) -> Result<Sale, Status> {
        Ok(self.appliances.get_sale(self.owner.request(GetSaleRequest { id: id.into() })).await?.into_inner())
    }

    async fn cancel(&mut self, id: &str, etag: &str, credit_paid: bool) -> Result<Sale, Status> {
        let request = CancelSaleRequest { id: id.into(), etag: etag.into(), credit_paid };
        Ok(self.appliances.cancel_sale(self.owner.request(request)).await?.into_inner())
    }

    /// A price of 100.00 with 10 down and three instalments.
    pub(crate) async fn sold(&mut self, person: &str) -> anyhow::Result<Sale> {
        let stove = self.stock(&format!("Stove for {person}"), kes(100, 0)).await?;
        Ok(self.sell(offer(&stove, person)).await?)
    }
}

fn offer(appliance: &Appliance, person: &str) -> SellApplianceRequest {
    SellApplianceRequest {
        appliance_id: appliance.id.clone(),
        person_id: person.into(),
        down_payment: Some(kes(10, 0)),
        instalments: 3,
        first_due_date: Some(Date { year: 2027, month: 1, day: 31 }),
        interval: InstalmentInterval::Month.into(),
        ..Default::default()
    }
}

fn states(sale: &Sale) -> Vec<InstalmentState> {
    sale.instalments.iter().map(|part| part.state()).collect()
}

/// What is left of each part, in hundredths.
fn left(sale: &Sale) -> Vec<i128> {
    sale.instalments.iter().map(|part| nanos(&part.remaining) / 10_000_000).collect()
}

async fn who_has_not_installed_it_is_told_so(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Without").await?;
    let mut appliances = sandbox.clients().appliances()?;
    let list = || owner.request(ListAppliancesRequest::default());
    assert_eq!(reason(appliances.list_appliances(list()).await), Some(Reason::PluginNotInstalled));
    let get = GetSaleRequest { id: "nonsense".into() };
    let before_its_fields = appliances.get_sale(owner.request(get)).await;
    assert_eq!(reason(before_its_fields), Some(Reason::PluginNotInstalled));
    let mut till = Till::new(sandbox, &owner)?;
    let sale_id = uuid::Uuid::now_v7().to_string();
    let paid = till.book(Transaction { sale_id: sale_id.clone(), ..payment("1", kes(1, 0)) }).await;
    assert_eq!(reason(paid), Some(Reason::PluginNotInstalled));

    let mut shop = Shop::open(sandbox, &owner).await?;
    assert!(shop.appliances.list_appliances(list()).await?.into_inner().appliances.is_empty());
    let paid = till.book(Transaction { sale_id, ..payment("1", kes(1, 0)) }).await;
    assert_eq!(reason(paid), Some(Reason::SaleNotFound));
    let ada = Maker::new(sandbox, &owner).person("Ada").await?;
    let sale = shop.sold(&ada).await?;

    uninstall(sandbox, &owner, APPLIANCES).await?;
    crate::processes::eventually("the end of the plugin", async || {
        let refused = sandbox.clients().appliances()?.list_appliances(list()).await;
        Ok(refused.err().filter(|status| reason_of(status) == Some(Reason::PluginNotInstalled)).map(drop))
    })
    .await?;
    // What is owed stays, and an instalment of which nothing was paid is a debt like any other.
    let debt_id = sale.instalments[3].debt_id.clone();
    let delete = DeleteDebtRequest { id: debt_id, etag: String::new() };
    sandbox.clients().debts()?.delete_debt(owner.request(delete)).await?;
    with_plugin(sandbox, &owner, APPLIANCES).await?;
    let found = crate::processes::eventually("the sale", async || Ok(shop_of(sandbox, &owner, &sale.id).await)).await?;
    assert_eq!(states(&found)[3], InstalmentState::WrittenOff);
    assert_eq!(left(&found), [1_000, 3_000, 3_000, 0]);
    Ok(())
}

async fn shop_of(sandbox: &Sandbox, owner: &Owner, id: &str) -> Option<Sale> {
    let mut appliances = sandbox.clients().appliances().ok()?;
    appliances.get_sale(owner.request(GetSaleRequest { id: id.into() })).await.ok().map(tonic::Response::into_inner)
}

async fn appliances_are_added_changed_and_removed(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Shop").await?;
    let mut shop = Shop::open(sandbox, &owner).await?;
    let appliance = Appliance {
        name: "Kettle \"電\" O'Brien".into(),
        category: "kitchen".into(),
        price: Some(kes(45, 500_000_000)),
        ..Default::default()
    };
    let request_id = uuid::Uuid::now_v7().to_string();
    let create = CreateApplianceRequest { appliance: Some(appliance.clone()), request_id };
    let made = shop.appliances.create_appliance(owner.request(create.clone())).await?.into_inner();
    assert_eq!(shop.appliances.create_appliance(owner.request(create)).await?.into_inner(), made, "a repetition");
    assert_eq!((&made.name, &made.category, &made.price), (&appliance.name, &appliance.category, &appliance.price));
    let get = GetApplianceRequest { id: made.id.clone() };
    assert_eq!(shop.appliances.get_appliance(owner.request(get)).await?.into_inner(), made);
    assert_eq!(reason(shop.stock(&appliance.name, kes(1, 0)).await), Some(Reason::NameTaken));
    for price in [kes(0, 0), kes(-1, 0)] {
        assert_eq!(fields(shop.stock("Free", price).await), ["appliance.price"]);
    }

    let update = |price, etag: &str| {
        let changed = Appliance { id: made.id.clone(), price: Some(price), etag: etag.into(), ..Default::default() };
        owner.request(UpdateApplianceRequest { appliance: Some(changed), update_mask: None })
    };
    let changed = shop.appliances.update_appliance(update(kes(50, 0), &made.etag)).await?.into_inner();
    assert_eq!((&changed.price, &changed.name), (&Some(kes(50, 0)), &made.name));
    let late = shop.appliances.update_appliance(update(kes(51, 0), &made.etag)).await;
    assert_eq!(reason(late), Some(Reason::EtagMismatch));

    shop.stock("Lamp", kes(5, 0)).await?;
    let names = |category: &str| {
        let request = ListAppliancesRequest { category: category.into(), ..Default::default() };
        let (mut appliances, request) = (shop.appliances.clone(), owner.request(request));
        async move {
            let listed = appliances.list_appliances(request).await?.into_inner().appliances;
            anyhow::Ok(listed.into_iter().map(|appliance| appliance.name).collect::<Vec<_>>())
        }
    };
    assert_eq!(names("").await?, [made.name.as_str(), "Lamp"]);
    assert_eq!(names("kitchen").await?, [made.name.as_str()]);

    let ada = Maker::new(sandbox, &owner).person("Ada").await?;
    let sale = shop.sell(offer(&changed, &ada)).await?;
    let delete = || owner.request(DeleteApplianceRequest { id: made.id.clone(), etag: String::new() });
    assert_eq!(reason(shop.appliances.delete_appliance(delete()).await), Some(Reason::InUse));
    shop.appliances.update_appliance(update(kes(1, 0), "")).await?;
    assert_eq!(shop.sale(&sale.id).await?.price, Some(kes(50, 0)), "what was sold keeps its price");
    let listed = ListSalesRequest { person_id: ada.clone(), appliance_id: made.id.clone(), ..Default::default() };
    let listed = shop.appliances.list_sales(owner.request(listed)).await?.into_inner().sales;
    assert_eq!(listed, [Sale { instalments: Vec::new(), ..sale.clone() }]);
    let other = ListSalesRequest { person_id: uuid::Uuid::now_v7().to_string(), ..Default::default() };
    assert!(shop.appliances.list_sales(owner.request(other)).await?.into_inner().sales.is_empty());

    // Nothing is left of it: then the person can go, and takes the sale along; then the appliance can.
    shop.cancel(&sale.id, "", false).await?;
    sandbox.people()?.delete_person(owner.request(DeletePersonRequest { id: ada, etag: String::new() })).await?;
    assert_eq!(reason(shop.sale(&sale.id).await), Some(Reason::SaleNotFound));
    shop.appliances.delete_appliance(delete()).await?;
    assert_eq!(reason(shop.appliances.delete_appliance(delete()).await), Some(Reason::ApplianceNotFound));
    Ok(())
}

async fn payments_pay_the_next_instalments_and_a_refund_takes_them_back(sandbox: &Sandbox) -> anyhow::Result<()> {
    use InstalmentState::{Due, Paid, PartlyPaid};
    let owner = Owner::of_new_company(sandbox, "Instalments").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let mut shop = Shop::open(sandbox, &owner).await?;
    let ada = make.person("Ada").await?;
    let meter = make.meter(&make.manufacturer("Acme").await?, "S1", "").await?;
    let stove = shop.stock("Stove", kes(110, 0)).await?;
    let sale = shop.sell(SellApplianceRequest { device_id: meter.id.clone(), ..offer(&stove, &ada) }).await?;
    assert_eq!(left(&sale), [1_000, 3_333, 3_333, 3_334], "they add up to the price");
    assert_eq!(states(&sale), [Due; 4]);
    let dates: Vec<_> = sale.instalments[1..].iter().filter_map(|part| part.due_date).map(|date| date.day).collect();
    assert_eq!(dates, [31, 28, 31]);
    let owned = GetDeviceRequest { id: meter.id };
    let owned = sandbox.clients().devices()?.get_device(owner.request(owned)).await?.into_inner();
    assert_eq!(owned.person_id, ada, "nobody's device is the buyer's now");

    let pay = |external_id: &str, amount| Transaction { sale_id: sale.id.clone(), ..payment(external_id, amount) };
    let first = till.book(pay("1", kes(43, 340_000_000))).await?;
    let parts: Vec<_> = first.allocations.iter().map(|part| (part.kind(), nanos(&part.amount) / 10_000_000)).collect();
    assert_eq!(
        parts,
        [(AllocationKind::Debt, 1_000), (AllocationKind::Debt, 3_333), (AllocationKind::Debt, 1)],
        "in their order"
    );
    assert_eq!((&first.person_id, &first.device_id), (&ada, &owned.id));
    let paid = shop.sale(&sale.id).await?;
    assert_eq!((states(&paid), left(&paid)), (vec![Paid, Paid, PartlyPaid, Due], vec![0, 0, 3_332, 3_334]));
    assert_eq!(till.book(pay("1", kes(43, 340_000_000))).await?, first, "a replay");
    let other = till.book(pay("1", kes(43, 0))).await;
    assert_eq!(reason(other), Some(Reason::ExternalIdReused));
    assert_eq!(left(&shop.sale(&sale.id).await?), [0, 0, 3_332, 3_334]);

    // One instalment by itself, out of its order; and more than is left.
    let debt_id = sale.instalments[3].debt_id.clone();
    till.book(Transaction { debt_id: debt_id.clone(), ..payment("2", kes(33, 340_000_000)) }).await?;
    let rest = till.book(pay("3", kes(40, 0))).await?;
    assert_eq!(rest.allocations.last().map(|part| part.kind()), Some(AllocationKind::Credit));
    assert_eq!(states(&shop.sale(&sale.id).await?), [Paid; 4]);
    let balance = till.balances(&ada).await?.remove(0);
    assert_eq!((nanos(&balance.owed), nanos(&balance.credit)), (0, 6_680_000_000));

    till.refund(&first.id, "back").await?;
    assert_eq!(left(&shop.sale(&sale.id).await?), [1_000, 3_333, 1, 0], "owed again");
    assert_eq!(nanos(&till.balances(&ada).await?[0].owed), 43_340_000_000);

    let usd = Money { currency_code: "USD".into(), units: 1, nanos: 0 };
    assert_eq!(reason(till.book(pay("4", usd)).await), Some(Reason::CurrencyMismatch));
    let delete = DeleteDebtRequest { id: sale.instalments[2].debt_id.clone(), etag: String::new() };
    let kept = sandbox.clients().debts()?.delete_debt(owner.request(delete)).await;
    assert_eq!(reason(kept), Some(Reason::InUse));
    let two = Transaction { debt_id, ..pay("5", kes(1, 0)) };
    assert_eq!(fields(till.book(two).await), ["transaction.person_id"]);
    let adjustment = Transaction { kind: TransactionKind::Adjustment.into(), ..pay("5", kes(1, 0)) };
    assert_eq!(fields(till.book(adjustment).await), ["transaction.person_id"]);
    let own = Transaction { provider: "tenantry".into(), ..pay("5", kes(1, 0)) };
    assert_eq!(fields(till.book(own).await), ["transaction.provider"]);
    Ok(())
}

async fn a_sale_that_ends_owes_nothing_more(sandbox: &Sandbox) -> anyhow::Result<()> {
    use InstalmentState::{Paid, WrittenOff};
    let owner = Owner::of_new_company(sandbox, "Returns").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let mut shop = Shop::open(sandbox, &owner).await?;
    for credit_paid in [false, true] {
        let ada = make.person("Ada").await?;
        let sale = shop.sold(&ada).await?;
        let pay = Transaction { sale_id: sale.id.clone(), ..payment(&format!("{ada} 1"), kes(25, 0)) };
        let paid = till.book(pay.clone()).await?;
        assert_eq!(reason(shop.cancel(&sale.id, "99", credit_paid).await), Some(Reason::EtagMismatch));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let request = CancelSaleRequest { id: sale.id.clone(), etag: sale.etag.clone(), credit_paid };
            let (mut appliances, request) = (shop.appliances.clone(), owner.request(request));
            calls.spawn(async move { appliances.cancel_sale(request).await });
        }
        let mut ended = Vec::new();
        while let Some(call) = calls.join_next().await {
            ended.push(call??.into_inner());
        }
        assert!(ended.iter().all(|one| *one == ended[0]) && ended[0].cancel_time.is_some(), "{ended:?}");
        assert_eq!(states(&ended[0]), [Paid, WrittenOff, WrittenOff, WrittenOff]);
        let off: i128 = ended[0].instalments.iter().map(|part| nanos(&part.written_off)).sum();
        assert_eq!((off, left(&ended[0])), (75_000_000_000, vec![0; 4]));

        let balance = till.balances(&ada).await?.remove(0);
        let credit = if credit_paid { kes(25, 0) } else { kes(0, 0) };
        assert_eq!((balance.owed, balance.credit, balance.paid), (Some(kes(0, 0)), Some(credit), Some(kes(25, 0))));
        let filter = tenantry_api::crm::v1::TransactionFilter { person_id: ada.clone(), ..Default::default() };
        let booked = till.list(ListTransactionsRequest { filter: Some(filter), ..Default::default() }).await?;
        assert_eq!(booked.len(), 2, "one adjustment: {booked:?}");
        assert_eq!((booked[1].kind(), booked[1].provider.as_str()), (TransactionKind::Adjustment, "tenantry"));

        assert_eq!(till.book(pay.clone()).await?, paid, "a replay answers still");
        let late = Transaction { external_id: format!("{ada} 2"), ..pay };
        assert_eq!(reason(till.book(late).await), Some(Reason::SaleCancelled));
        assert_eq!(reason(till.refund(&paid.id, &format!("{ada} 3")).await), Some(Reason::NotRefundable));
    }
    let request = ListAuditEntriesRequest { page_size: 1_000, ..Default::default() };
    let entries = sandbox.clients().audit()?.list_audit_entries(owner.request(request)).await?.into_inner().entries;
    let actions = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
    assert_eq!((actions("sale.created"), actions("sale.updated"), actions("appliance.created")), (2, 2, 2));
    Ok(())
}

async fn a_sale_is_made_once_and_a_wrong_one_never(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Once").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let mut shop = Shop::open(sandbox, &owner).await?;
    let (ada, bob) = (make.person("Ada").await?, make.person("Bob").await?);
    let stove = shop.stock("Stove", kes(100, 0)).await?;
    let asked = SellApplianceRequest { request_id: uuid::Uuid::now_v7().to_string(), ..offer(&stove, &ada) };
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (mut appliances, request) = (shop.appliances.clone(), owner.request(asked.clone()));
        calls.spawn(async move { appliances.sell_appliance(request).await });
    }
    let mut made = Vec::new();
    while let Some(call) = calls.join_next().await {
        made.push(call??.into_inner());
    }
    assert!(made.iter().all(|one| *one == made[0]), "{made:?}");
    assert_eq!(nanos(&till.balances(&ada).await?[0].owed), 100_000_000_000);
    let reused = shop.sell(SellApplianceRequest { instalments: 2, ..asked.clone() }).await;
    assert_eq!(reason(reused), Some(Reason::RequestIdReused));

    let good = || offer(&stove, &bob);
    let meter = make.meter(&make.manufacturer("Acme").await?, "S1", &ada).await?.id;
    let usd = Some(Money { currency_code: "USD".into(), units: 1, nanos: 0 });
    let wrong = [
        (SellApplianceRequest { instalments: 121, ..good() }, "instalments"),
        (SellApplianceRequest { instalments: -1, ..good() }, "instalments"),
        (SellApplianceRequest { instalments: 0, ..good() }, "instalments"),
        (SellApplianceRequest { price: Some(kes(10, 20_000_000)), ..good() }, "instalments"),
        (SellApplianceRequest { down_payment: Some(kes(100, 1)), ..good() }, "down_payment"),
        (SellApplianceRequest { down_payment: Some(kes(-1, 0)), ..good() }, "down_payment"),
        (SellApplianceRequest { price: Some(kes(0, 0)), ..good() }, "price"),
        (SellApplianceRequest { price: Some(kes(1, -1)), ..good() }, "price.nanos"),
        (SellApplianceRequest { first_due_date: None, ..good() }, "first_due_date"),
        (
            SellApplianceRequest { first_due_date: Some(Date { year: 9999, month: 12, day: 1 }), ..good() },
            "first_due_date",
        ),
        (SellApplianceRequest { interval: 9, ..good() }, "interval"),
        (SellApplianceRequest { device_id: meter, ..good() }, "device_id"),
        (SellApplianceRequest { appliance_id: String::new(), ..good() }, "appliance_id"),
    ];
    for (request, field) in wrong {
        assert_eq!(fields(shop.sell(request).await), [field]);
    }
    let nowhere = uuid::Uuid::now_v7().to_string();
    let missing = [
        (SellApplianceRequest { appliance_id: nowhere.clone(), ..good() }, Reason::ApplianceNotFound),
        (SellApplianceRequest { person_id: nowhere.clone(), ..good() }, Reason::PersonNotFound),
        (SellApplianceRequest { device_id: nowhere, ..good() }, Reason::DeviceNotFound),
        (SellApplianceRequest { down_payment: usd, ..good() }, Reason::CurrencyMismatch),
    ];
    for (request, expected) in missing {
        assert_eq!(reason(shop.sell(request).await), Some(expected));
    }
    assert!(till.balances(&bob).await?.is_empty(), "nothing of these was sold");
    let most = SellApplianceRequest { price: Some(kes(i64::MAX, 0)), ..good() };
    shop.sell(most).await?;
    assert_eq!(reason(shop.sell(good()).await), Some(Reason::AmountOverflow));
    // At the edges: at once, and in as many parts as there can be.
    let cash = SellApplianceRequest { down_payment: Some(kes(100, 0)), instalments: 0, ..offer(&stove, &ada) };
    assert_eq!(left(&shop.sell(SellApplianceRequest { first_due_date: None, ..cash }).await?), [10_000]);
    let long = shop.sell(SellApplianceRequest { instalments: 120, ..offer(&stove, &ada) }).await?;
    assert_eq!(left(&long).iter().sum::<i128>(), 10_000);
    assert_eq!(long.instalments.len(), 121);
    Ok(())
}

async fn the_books_of_sales_add_up_whatever_happens_at_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Books").await?;
    let (make, mut till) = (Maker::new(sandbox, &owner), Till::new(sandbox, &owner)?);
    let mut shop = Shop::open(sandbox, &owner).await?;
    let (mut people, mut sales) = (Vec::new(), Vec::new());
    for n in 0..2 {
        let person = make.person(&format!("P{n}")).await?;
        sales.push(shop.sold(&person).await?);
        let lamp = shop.stock(&format!("Lamp {n}"), kes(77, 10_000_000)).await?;
        sales.push(shop.sell(offer(&lamp, &person)).await?);
        people.push(person);
    }
    let mut workers = tokio::task::JoinSet::new();
    for seed in 1..=4_u64 {
        let token = Bearer(owner.token().unwrap_or_default().to_owned());
        let (mut transactions, mut appliances) = (till.transactions.clone(), shop.appliances.clone());
        let sales = sales.clone();
        workers.spawn(async move {
            let (mut dice, mut mine) = (Dice(seed * 7_919), Vec::new());
            for step in 0..12 {
                let sale = &sales[dice.roll(sales.len())];
                let amount = kes(i64::try_from(dice.roll(30))?, i32::try_from(1 + dice.roll(999_999_999))?);
                let asked = payment(&format!("{seed}-{step}"), amount);
                let asked = match dice.roll(8) {
                    0 | 1 if !mine.is_empty() => {
                        let id: String = mine.swap_remove(dice.roll(mine.len()));
                        let external_id = format!("back {id}");
                        let refund = RefundTransactionRequest { id, external_id, message: String::new() };
                        match transactions.refund_transaction(token.request(refund)).await {
                            Ok(_) => {}
                            refused => assert_eq!(reason(refused), Some(Reason::NotRefundable)),
                        }
                        continue;
                    }
                    2 if step > 6 => {
                        let credit_paid = dice.roll(2) == 0;
                        let cancel = CancelSaleRequest { id: sale.id.clone(), etag: String::new(), credit_paid };
                        appliances.cancel_sale(token.request(cancel)).await?;
                        continue;
                    }
                    3 => {
                        let debt_id = sale.instalments[dice.roll(4)].debt_id.clone();
                        Transaction { debt_id, ..asked }
                    }
                    _ => Transaction { sale_id: sale.id.clone(), ..asked },
                };
                let request = CreateTransactionRequest { transaction: Some(asked) };
                match transactions.create_transaction(token.request(request)).await {
                    Ok(booked) => mine.push(booked.into_inner().id),
                    refused => assert_eq!(reason(refused), Some(Reason::SaleCancelled)),
                }
            }
            anyhow::Ok(())
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }

    let all = till.list(ListTransactionsRequest { page_size: 7, ..Default::default() }).await?;
    for transaction in &all {
        let parts: i128 = transaction.allocations.iter().map(|part| nanos(&part.amount)).sum();
        assert_eq!(parts, nanos(&transaction.amount), "{transaction:?}");
    }
    for person in &people {
        let theirs: Vec<_> = all.iter().filter(|one| one.person_id == *person).collect();
        let mut owed = 0;
        for sale in sales.iter().filter(|sale| sale.person_id == *person) {
            let sale = shop.sale(&sale.id).await?;
            let amounts: i128 = sale.instalments.iter().map(|part| nanos(&part.amount)).sum();
            assert_eq!(amounts, nanos(&sale.price));
            for part in &sale.instalments {
                let booked = theirs.iter().flat_map(|one| &one.allocations).filter(|one| one.debt_id == part.debt_id);
                let booked: i128 = booked.map(|one| nanos(&one.amount)).sum();
                assert_eq!(nanos(&part.amount) - booked, nanos(&part.remaining), "{part:?}");
                assert!(nanos(&part.written_off) >= 0 && nanos(&part.remaining) >= 0, "{part:?}");
                assert!(sale.cancel_time.is_none() || nanos(&part.remaining) == 0, "{part:?}");
                owed += nanos(&part.remaining);
            }
        }
        let balance = till.balances(person).await?.remove(0);
        assert_eq!(nanos(&balance.owed), owed);
        let money = theirs.iter().filter(|one| one.kind() != TransactionKind::Adjustment);
        assert_eq!(nanos(&balance.paid), money.map(|one| nanos(&one.amount)).sum::<i128>());
        let credit = theirs.iter().flat_map(|one| &one.allocations);
        let credit = credit.filter(|part| part.kind() == AllocationKind::Credit).map(|part| nanos(&part.amount));
        assert_eq!(nanos(&balance.credit), credit.sum::<i128>());
    }
    Ok(())
}
