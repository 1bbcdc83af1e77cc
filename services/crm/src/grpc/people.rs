use tenantry_api::crm::v1::person_service_server::PersonService;
use tenantry_api::crm::v1::{
    CreatePersonRequest, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, ListPeopleResponse, Person as Wire,
    PersonKind as WireKind, UpdatePersonRequest,
};
use tenantry_rpc::{Call, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};

use super::standard::{self, ListPage, date, parse_date, set_fields, standard_service, timestamp};
use crate::app::standard as app;
use crate::domain::{Fields, Mask, PersonKind, Profile};
use crate::store::people::{People, Person};

standard_service! {
    PersonGrpc: PersonService of People as person {
        create_person(CreatePersonRequest),
        get_person(GetPersonRequest),
        update_person(UpdatePersonRequest),
        delete_person(DeletePersonRequest),
        list_people(ListPeopleRequest) -> ListPeopleResponse.people,
    }
}

fn set(wire: &Wire) -> Mask {
    set_fields!(wire; kind, title, name, surname, birth_date, gender, education, nationality, labels)
}

fn parse(fields: &mut Fields<'_>, wire: &Wire) -> Option<Profile> {
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

fn parse_list(body: &ListPeopleRequest) -> Result<(sea_orm::Condition, ListPage), Error> {
    let mut violations = Violations::new();
    let list = ListPage::parse(&mut violations, "people", &[], body.page_size, &body.page_token);
    violations.finish(Some((sea_orm::Condition::all(), list)))
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
