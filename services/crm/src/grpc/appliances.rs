use tenantry_api::crm::v1::appliance_service_server::ApplianceService;
use tenantry_api::crm::v1::{
    Appliance as Wire, CancelSaleRequest, CreateApplianceRequest, DeleteApplianceRequest, GetApplianceRequest,
    GetSaleRequest, Instalment as WireInstalment, InstalmentInterval, InstalmentState, ListAppliancesRequest,
    ListAppliancesResponse, ListSalesRequest, ListSalesResponse, Sale as WireSale, SellApplianceRequest,
    UpdateApplianceRequest,
};
use tenantry_ids::SaleId;
use tenantry_rpc::{Call, Context, Error, Violations, parse_field};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{
    self, ListPage, date, money, no_money, optional, parse_date, parse_money, replay, respond, set_fields,
    standard_service, text, timestamp, top_money,
};
use crate::app::sales::{self, Offer};
use crate::app::{Replay, standard as app};
use crate::domain::sale::{Interval, MOST_INSTALMENTS};
use crate::domain::{Amount, Appliance, Fields, Instalment, Mask, Money, Sale, Stored};
use crate::store::appliances::{ApplianceFilter, Appliances};
use crate::store::sales::SaleFilter;

standard_service! {
    ApplianceGrpc: ApplianceService of Appliances as appliance {
        create_appliance(CreateApplianceRequest),
        get_appliance(GetApplianceRequest),
        update_appliance(UpdateApplianceRequest),
        delete_appliance(DeleteApplianceRequest),
        list_appliances(ListAppliancesRequest) -> ListAppliancesResponse.appliances,
    }

    async fn sell_appliance(&self, request: Request<SellApplianceRequest>) -> Result<Response<WireSale>, Status> {
        let call = Call::open(request)?;
        let (offer, replay) = parse_offer(&call.context, &call.body)?;
        let db = call.tenant_db()?;
        respond(sales::sell(&self.0, &db, &call.context, &offer, &replay).await.map(sale))
    }

    async fn get_sale(&self, request: Request<GetSaleRequest>) -> Result<Response<WireSale>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("id", &call.body.id)?;
        respond(sales::get(&call.tenant_db()?, id).await.map(sale))
    }

    async fn list_sales(&self, request: Request<ListSalesRequest>) -> Result<Response<ListSalesResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, list) = parse_sales(&call.body)?;
        respond(sales::list(&call.tenant_db()?, filter, &list.page).await.map(|rows| {
            let (sales, next_page_token) = list.cut(rows, sale);
            ListSalesResponse { sales, next_page_token }
        }))
    }

    async fn cancel_sale(&self, request: Request<CancelSaleRequest>) -> Result<Response<WireSale>, Status> {
        let call = Call::open(request)?;
        let of = standard::removal::<SaleId>(&call.body.id, &call.body.etag)?;
        let db = call.tenant_db()?;
        respond(sales::cancel(&self.0, &db, &call.context, of, call.body.credit_paid).await.map(sale))
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; name, category, price)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Appliance> {
    let price = wire.price.as_ref().and_then(|wire| parse_money(fields, "price", wire));
    let positive = price.as_ref().is_some_and(|money| money.amount.is_positive());
    fields.check(positive || price.is_none() && wire.price.is_some(), "price", "must be positive");
    Some(Appliance {
        name: fields.text("name", &wire.name, 100),
        category: fields.optional_text("category", &wire.category, 40),
        price: price.unwrap_or_else(no_money),
    })
}

fn parse_list(body: &ListAppliancesRequest) -> Result<(ApplianceFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let list = ListPage::parse(&mut violations, "appliances", &[&body.category], body.page_size, &body.page_token);
    let category = Some(violations.optional_text("category", &body.category, 40)).filter(|text| !text.is_empty());
    violations.finish(Some((ApplianceFilter { category }, list)))
}

fn convert(stored: Stored<Appliance>) -> Wire {
    let Appliance { name, category, price } = stored.content;
    Wire {
        id: stored.id.to_string(),
        name,
        category: category.unwrap_or_default(),
        price: Some(money(price)),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}

fn parse_offer(context: &Context, body: &SellApplianceRequest) -> Result<(Offer, Replay), Error> {
    let mut violations = Violations::new();
    let replay = replay(&mut violations, context, &body.request_id, body);
    let appliance = violations.parse("appliance_id", &body.appliance_id);
    let person = violations.parse("person_id", &body.person_id);
    let device_id = optional(&mut violations, "device_id", &body.device_id);
    let price = body.price.as_ref().and_then(|wire| top_money(&mut violations, "price", wire));
    let fits = price.as_ref().is_none_or(|price| price.amount.is_positive());
    violations.check(fits, "price", "must be positive");
    let down_payment = body.down_payment.as_ref().and_then(|wire| top_money(&mut violations, "down_payment", wire));
    let fits = down_payment.as_ref().is_none_or(|down| !down.amount.is_negative());
    violations.check(fits, "down_payment", "must not be negative");
    let instalments = u32::try_from(body.instalments).ok().filter(|count| *count <= MOST_INSTALMENTS);
    violations.check(instalments.is_some(), "instalments", "must be 0 to 120");
    let first_due = body.first_due_date.as_ref().and_then(parse_date);
    let is_date = first_due.is_some() || body.first_due_date.is_none() && body.instalments == 0;
    violations.check(is_date, "first_due_date", "must be a date of the years 1 to 9999");
    let interval = match InstalmentInterval::try_from(body.interval) {
        Ok(InstalmentInterval::Unspecified | InstalmentInterval::Month) => Some(Interval::Month),
        Ok(InstalmentInterval::Week) => Some(Interval::Week),
        Ok(InstalmentInterval::Day) => Some(Interval::Day),
        Err(_) => None,
    };
    violations.check(interval.is_some(), "interval", "must be DAY, WEEK or MONTH");
    violations.finish(appliance.zip(person).map(|(appliance_id, person_id)| {
        let (instalments, first_due) = (instalments.unwrap_or_default(), first_due.unwrap_or_default());
        let interval = interval.unwrap_or(Interval::Month);
        (Offer { appliance_id, person_id, device_id, price, down_payment, instalments, first_due, interval }, replay)
    }))
}

fn parse_sales(body: &ListSalesRequest) -> Result<(SaleFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 3] = [&body.person_id, &body.appliance_id, &body.device_id];
    let list = ListPage::parse(&mut violations, "sales", &filters, body.page_size, &body.page_token);
    let filter = SaleFilter {
        person_id: optional(&mut violations, "person_id", &body.person_id),
        appliance_id: optional(&mut violations, "appliance_id", &body.appliance_id),
        device_id: optional(&mut violations, "device_id", &body.device_id),
    };
    violations.finish(Some((filter, list)))
}

fn sale(stored: Stored<Sale>) -> WireSale {
    let sale = stored.content;
    let of = |amount| Some(money(Money { currency: sale.price.currency.clone(), amount }));
    let instalments = sale.instalments.iter().map(|part| WireInstalment {
        number: part.number,
        debt_id: text(part.debt_id),
        amount: of(part.amount),
        remaining: of(part.remaining),
        written_off: of(part.written_off),
        due_date: part.due_date.map(date),
        state: state(part).into(),
    });
    WireSale {
        id: stored.id.to_string(),
        appliance_id: sale.appliance_id.to_string(),
        person_id: sale.person_id.to_string(),
        device_id: text(sale.device_id),
        instalments: instalments.collect(),
        down_payment: of(sale.down_payment),
        cancel_time: sale.cancelled_at.map(timestamp),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
        price: Some(money(sale.price)),
    }
}

fn state(part: &Instalment) -> InstalmentState {
    if part.written_off != Amount::ZERO {
        InstalmentState::WrittenOff
    } else if part.remaining == Amount::ZERO {
        InstalmentState::Paid
    } else if part.remaining == part.amount {
        InstalmentState::Due
    } else {
        InstalmentState::PartlyPaid
    }
}
