use tenantry_api::crm::v1::debt_service_server::DebtService;
use tenantry_api::crm::v1::{
    CreateDebtRequest, Debt as Wire, DeleteDebtRequest, GetDebtRequest, ListDebtsRequest, ListDebtsResponse,
    UpdateDebtRequest,
};
use tenantry_ids::PersonId;
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::standard::{
    self, ListPage, date, money, no_money, optional, parse_date, parse_money, set_fields, standard_service, text,
    timestamp,
};
use crate::app::standard as app;
use crate::domain::{Debt, Fields, Mask, Money, Stored};
use crate::store::debts::{DebtFilter, Debts};

standard_service! {
    DebtGrpc: DebtService of Debts as debt {
        create_debt(CreateDebtRequest),
        get_debt(GetDebtRequest),
        update_debt(UpdateDebtRequest),
        delete_debt(DeleteDebtRequest),
        list_debts(ListDebtsRequest) -> ListDebtsResponse.debts,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; reason, due_date)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Debt> {
    // Where there is none, that is noted; and of a change it is not read.
    let person_id = fields.id("person_id", &wire.person_id).unwrap_or(PersonId(Uuid::nil()));
    let principal = wire.principal.as_ref().and_then(|wire| parse_money(fields, "principal", wire));
    let positive = principal.as_ref().is_some_and(|money| money.amount.is_positive());
    fields.check(positive || principal.is_none() && wire.principal.is_some(), "principal", "must be positive");
    let principal = principal.unwrap_or_else(no_money);
    let due_date = wire.due_date.as_ref().and_then(parse_date);
    let is_date = wire.due_date.is_none() || due_date.is_some();
    fields.check(is_date, "due_date", "must be a date of the years 1 to 9999");
    Some(Debt {
        person_id,
        device_id: fields.optional_id("device_id", &wire.device_id),
        remaining: principal.amount,
        principal,
        settled_at: None,
        reason: fields.optional_text("reason", &wire.reason, 255),
        due_date,
    })
}

fn parse_list(body: &ListDebtsRequest) -> Result<(DebtFilter, ListPage), Error> {
    let mut violations = Violations::new();
    let filters: [&dyn std::fmt::Debug; 3] = [&body.person_id, &body.device_id, &body.unsettled];
    let list = ListPage::parse(&mut violations, "debts", &filters, body.page_size, &body.page_token);
    let filter = DebtFilter {
        person_id: optional(&mut violations, "person_id", &body.person_id),
        device_id: optional(&mut violations, "device_id", &body.device_id),
        unsettled: body.unsettled,
    };
    violations.finish(Some((filter, list)))
}

fn convert(stored: Stored<Debt>) -> Wire {
    let debt = stored.content;
    let remaining = Money { currency: debt.principal.currency.clone(), amount: debt.remaining };
    Wire {
        id: stored.id.to_string(),
        person_id: debt.person_id.to_string(),
        device_id: text(debt.device_id),
        principal: Some(money(debt.principal)),
        remaining: Some(money(remaining)),
        reason: debt.reason.unwrap_or_default(),
        due_date: debt.due_date.map(date),
        settle_time: debt.settled_at.map(timestamp),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
