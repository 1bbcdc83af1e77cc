use prost_types::Timestamp;
use tenantry_api::crm::v1::person_service_server::PersonService;
use tenantry_api::crm::v1::{
    CreatePersonRequest, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, ListPeopleResponse, Person as Wire,
    PersonFilter as WireFilter, PersonKind as WireKind, SearchPeopleRequest, SearchPeopleResponse, UpdatePersonRequest,
};
use tenantry_rpc::paging::KeyedPage;
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::devices::parse_kind;
use super::standard::{
    self, bound, date, optional, optional_moment, order, parse_date, respond, set_fields, standard_service, timestamp,
};
use crate::app::{people, search, standard as app};
use crate::domain::search::{MOST_TERMS, terms};
use crate::domain::{Currency, Fields, Mask, PersonKind, Profile};
use crate::store::people::{People, Person};
use crate::store::people_list::{PersonFilter, PersonKey, PersonOrder};

standard_service! {
    PersonGrpc: PersonService of People as person {
        create_person(CreatePersonRequest),
        get_person(GetPersonRequest),
        update_person(UpdatePersonRequest),
        delete_person(DeletePersonRequest),
    }

    async fn list_people(&self, request: Request<ListPeopleRequest>) -> Result<Response<ListPeopleResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, order, page) = parse_list(&call.body)?;
        let found = people::list(&call.tenant_db()?, &call.context, &filter, order, &page).await;
        respond(found.map(|(rows, next_page_token)| ListPeopleResponse {
            people: rows.into_iter().map(convert).collect(),
            next_page_token,
        }))
    }

    async fn search_people(
        &self,
        request: Request<SearchPeopleRequest>,
    ) -> Result<Response<SearchPeopleResponse>, Status> {
        let call = Call::open(request)?;
        let (terms, page) = parse_search(&call.body)?;
        let found = search::search(&call.tenant_db()?, &call.context, &terms, &page).await;
        respond(found.map(|(rows, next_page_token)| SearchPeopleResponse {
            people: rows.into_iter().map(convert).collect(),
            next_page_token,
        }))
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; kind, title, name, surname, birth_date, gender, education, nationality, labels)
}

pub(super) fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Profile> {
    let kind = match WireKind::try_from(wire.kind) {
        Ok(WireKind::Unspecified | WireKind::Customer) => PersonKind::Customer,
        Ok(WireKind::Agent) => PersonKind::Agent,
        Ok(WireKind::Staff) => PersonKind::Staff,
        Err(_) => {
            fields.check(false, "kind", "must be CUSTOMER, AGENT or STAFF");
            PersonKind::Customer
        }
    };
    let birth_date = wire.birth_date.as_ref().and_then(parse_date);
    let is_date = wire.birth_date.is_none() || birth_date.is_some();
    fields.check(is_date, "birth_date", "must be a date of the years 1 to 9999");
    let profile = Profile {
        kind,
        title: wire.title.clone(),
        name: wire.name.clone(),
        surname: wire.surname.clone(),
        birth_date,
        gender: wire.gender.clone(),
        education: wire.education.clone(),
        nationality: wire.nationality.clone(),
        labels: wire.labels.clone(),
    };
    Some(profile.checked(fields))
}

type Listed = (PersonFilter, (PersonOrder, bool), KeyedPage<PersonKey>);

fn parse_list(body: &ListPeopleRequest) -> Result<Listed, Error> {
    let mut violations = Violations::new();
    let wire = body.filter.clone().unwrap_or_default();
    let list = format!("people{wire:?}{}", body.order_by);
    let page = KeyedPage::parse(&mut violations, list, body.page_size, &body.page_token);
    let fields = [
        ("create_time", PersonOrder::CreateTime),
        ("name", PersonOrder::Name),
        ("latest_payment_time", PersonOrder::LatestPayment),
        ("total_paid", PersonOrder::TotalPaid),
    ];
    let order = order(&mut violations, &body.order_by, &fields);
    let by_amount = order.0 == PersonOrder::TotalPaid;
    let description = "must be set, since amounts of different currencies have no order";
    violations.check(!by_amount || !wire.currency_code.is_empty(), "filter.currency_code", description);
    let filter = parse_filter(&mut violations, &wire);
    violations.finish(Some((filter, order, page)))
}

fn parse_filter(violations: &mut Violations, wire: &WireFilter) -> PersonFilter {
    let kind = match WireKind::try_from(wire.kind) {
        Ok(WireKind::Unspecified) => None,
        Ok(WireKind::Customer) => Some(PersonKind::Customer),
        Ok(WireKind::Agent) => Some(PersonKind::Agent),
        Ok(WireKind::Staff) => Some(PersonKind::Staff),
        Err(_) => {
            violations.add("filter.kind", "must be CUSTOMER, AGENT or STAFF, or unset");
            None
        }
    };
    let currency: Option<Currency> = optional(violations, "filter.currency_code", &wire.currency_code);
    let mut moment = |field, time: &Option<Timestamp>| optional_moment(violations, field, time.as_ref());
    let paid_from = moment("filter.latest_payment_time_from", &wire.latest_payment_time_from);
    let paid_before = moment("filter.latest_payment_time_before", &wire.latest_payment_time_before);
    let registered_from = moment("filter.create_time_from", &wire.create_time_from);
    let registered_before = moment("filter.create_time_before", &wire.create_time_before);
    PersonFilter {
        kind,
        place_id: optional(violations, "filter.place_id", &wire.place_id),
        device_kind: parse_kind(violations, "filter.device_kind", wire.device_kind),
        min_paid: bound(violations, "filter.min_total_paid", wire.min_total_paid.as_ref(), currency.as_ref()),
        max_paid: bound(violations, "filter.max_total_paid", wire.max_total_paid.as_ref(), currency.as_ref()),
        currency,
        paid_from,
        paid_before,
        registered_from,
        registered_before,
    }
}

/// By rank and name.
type SearchPage = KeyedPage<(i64, String)>;

fn parse_search(body: &SearchPeopleRequest) -> Result<(Vec<String>, SearchPage), Error> {
    let mut violations = Violations::new();
    let query = violations.text("query", &body.query, 200);
    let terms = terms(&query);
    let fits = (1..=MOST_TERMS).contains(&terms.len());
    violations.check(fits, "query", "must have 1 to 8 words of letters or digits");
    let page = KeyedPage::parse(&mut violations, format!("search{terms:?}"), body.page_size, &body.page_token);
    violations.finish(Some((terms, page)))
}

fn convert(person: Person) -> Wire {
    let Profile { kind, title, name, surname, birth_date, gender, education, nationality, labels } = person.content;
    let kind = match kind {
        PersonKind::Customer => WireKind::Customer,
        PersonKind::Agent => WireKind::Agent,
        PersonKind::Staff => WireKind::Staff,
    };
    Wire {
        id: person.id.to_string(),
        kind: kind.into(),
        title,
        name,
        surname,
        birth_date: birth_date.map(date),
        gender,
        education,
        nationality,
        labels: labels.into_iter().collect(),
        create_time: Some(timestamp(person.created_at)),
        update_time: Some(timestamp(person.updated_at)),
        etag: person.revision.to_string(),
    }
}
