//! Between messages and the domain.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use prost_types::Timestamp;
use tenantry_api::crm::v1::{Date, Person as Wire, PersonKind as WireKind};
use tenantry_rpc::Violations;

use crate::domain::{PersonField, PersonKind, Profile};
use crate::store::people::Person;

fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos().cast_signed() }
}

pub(crate) fn person(person: Person) -> Wire {
    let Profile { kind, title, name, surname, birth_date, gender, education, nationality, labels } = person.profile;
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

fn date(date: NaiveDate) -> Date {
    let small = |part: u32| i32::try_from(part).unwrap_or_default();
    Date { year: date.year(), month: small(date.month()), day: small(date.day()) }
}

/// What a caller wrote, checked only for what cannot be expressed.
pub(crate) fn profile(violations: &mut Violations, wire: Wire) -> Profile {
    let kind = match WireKind::try_from(wire.kind) {
        Ok(WireKind::Unspecified | WireKind::Customer) => PersonKind::Customer,
        Ok(WireKind::Agent) => PersonKind::Agent,
        Ok(WireKind::Staff) => PersonKind::Staff,
        Err(_) => {
            violations.add("person.kind", "must be CUSTOMER, AGENT or STAFF");
            PersonKind::Customer
        }
    };
    Profile {
        kind,
        title: wire.title,
        name: wire.name,
        surname: wire.surname,
        birth_date: wire.birth_date.and_then(|date| parse_date(violations, date)),
        gender: wire.gender,
        education: wire.education,
        nationality: wire.nationality,
        labels: wire.labels.into_iter().collect(),
    }
}

fn parse_date(violations: &mut Violations, date: Date) -> Option<NaiveDate> {
    let part = |part: i32| u32::try_from(part).ok();
    let parsed =
        part(date.month).zip(part(date.day)).and_then(|(month, day)| NaiveDate::from_ymd_opt(date.year, month, day));
    let fits = parsed.filter(|date| (1..=9999).contains(&date.year()));
    violations.check(fits.is_some(), "person.birth_date", "must be a date of the years 1 to 9999");
    fits
}

/// The fields that a mask names (AIP-134): an empty one names every field that is
/// set, `*` names all.
pub(crate) fn mask(violations: &mut Violations, paths: &[String], wire: &Wire) -> Vec<PersonField> {
    if paths.iter().any(|path| path == "*") {
        return PersonField::ALL.to_vec();
    }
    if paths.is_empty() {
        return PersonField::ALL.into_iter().filter(|field| is_set(*field, wire)).collect();
    }
    let mut fields = Vec::new();
    for path in paths {
        match PersonField::at(path) {
            Some(field) => fields.push(field),
            None => violations.add("update_mask", format!("{path:?} is no field that can be changed")),
        }
    }
    fields
}

fn is_set(field: PersonField, wire: &Wire) -> bool {
    match field {
        PersonField::Kind => wire.kind != 0,
        PersonField::Title => !wire.title.is_empty(),
        PersonField::Name => !wire.name.is_empty(),
        PersonField::Surname => !wire.surname.is_empty(),
        PersonField::BirthDate => wire.birth_date.is_some(),
        PersonField::Gender => !wire.gender.is_empty(),
        PersonField::Education => !wire.education.is_empty(),
        PersonField::Nationality => !wire.nationality.is_empty(),
        PersonField::Labels => !wire.labels.is_empty(),
    }
}
