use sea_orm::Condition;
use tenantry_api::crm::v1::tariff_service_server::TariffService;
use tenantry_api::crm::v1::{
    CreateTariffRequest, DeleteTariffRequest, GetTariffRequest, ListTariffsRequest, ListTariffsResponse,
    Tariff as Wire, UpdateTariffRequest,
};
use tenantry_rpc::{Call, Error};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{self, ListPage, money, parse_money, plain_list, set_fields, standard_service, timestamp};
use crate::app::standard as app;
use crate::domain::{Fields, Mask, Money, Stored, Tariff};
use crate::store::tariffs::Tariffs;

standard_service! {
    TariffGrpc: TariffService of Tariffs as tariff {
        create_tariff(CreateTariffRequest),
        get_tariff(GetTariffRequest),
        update_tariff(UpdateTariffRequest),
        delete_tariff(DeleteTariffRequest),
        list_tariffs(ListTariffsRequest) -> ListTariffsResponse.tariffs,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; name, price, access_fee)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Tariff> {
    let name = fields.text("name", &wire.name, 200);
    let price = amount(fields, "price", wire.price.as_ref());
    fields.check(wire.price.is_some(), "price", "must be set");
    let access_fee = amount(fields, "access_fee", wire.access_fee.as_ref());
    Some(Tariff { is_default: false, name, price, access_fee })
}

/// Not negative.
fn amount(fields: &mut Fields<'_>, field: &str, wire: Option<&tenantry_api::crm::v1::Money>) -> Option<Money> {
    let parsed = parse_money(fields, field, wire?)?;
    fields.check(!parsed.amount.is_negative(), field, "must not be negative");
    Some(parsed)
}

fn parse_list(body: &ListTariffsRequest) -> Result<(Condition, ListPage), Error> {
    plain_list("tariffs", body.page_size, &body.page_token)
}

fn convert(stored: Stored<Tariff>) -> Wire {
    let Tariff { name, price, access_fee, .. } = stored.content;
    Wire {
        id: stored.id.to_string(),
        name,
        price: price.map(money),
        access_fee: access_fee.map(money),
        create_time: Some(timestamp(stored.created_at)),
        update_time: Some(timestamp(stored.updated_at)),
        etag: stored.revision.to_string(),
    }
}
