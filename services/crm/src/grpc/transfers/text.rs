//! People as text, from and into messages: what a row holds is parsed and checked as the message of a call is.

use chrono::NaiveDate;
use tenantry_api::crm::v1::{Address as WireAddress, Person as WirePerson, PersonKind as WireKind};
use tenantry_rpc::{FieldViolation, Violations};
use uuid::Uuid;

use crate::app::people::Newcomer;
use crate::app::transfers::WithAddresses;
use crate::domain::transfer::{AddressText, PersonText};
use crate::domain::{Address, Fields, PersonKind, Stored};
use crate::grpc::{addresses, people};

/// What a row may have.
const MOST_ADDRESSES: usize = 50;

/// Reads somebody who will be added, by the rules of CreatePerson and CreateAddress.
pub(super) fn parse(text: PersonText, mut violations: Violations) -> Result<Newcomer, Vec<FieldViolation>> {
    let wire = person(&text);
    let profile = people::parse(&mut Fields::all(&mut violations, "person"), &wire);
    let primary = text.addresses.iter().filter(|address| address.primary).count();
    violations.check(primary <= 1, "addresses", "must have one primary address at most");
    violations.check(text.addresses.len() <= MOST_ADDRESSES, "addresses", "must be at most 50");
    let mut own = Vec::new();
    for (at, address) in text.addresses.into_iter().take(MOST_ADDRESSES).enumerate() {
        let (parsed, wrong) = parse_address(address);
        for violation in wrong {
            let field = violation.field.strip_prefix("address").unwrap_or_default().to_owned();
            violations.add(format!("addresses[{at}]{field}"), violation.description);
        }
        own.extend(parsed.map(|address| Address { primary: address.primary || (primary == 0 && at == 0), ..address }));
    }
    match (profile, violations.into_vec()) {
        (Some(profile), none) if none.is_empty() => Ok(Newcomer { profile, addresses: own }),
        (_, violations) => Err(violations),
    }
}

fn parse_address(text: AddressText) -> (Option<Address>, Vec<FieldViolation>) {
    let mut violations = Violations::new();
    let AddressText { email, phone, street, place_id, primary } = text;
    // Whose it is is known once the person has an id.
    let person_id = Uuid::nil().to_string();
    let empty = [&email, &phone, &street, &place_id].iter().all(|part| part.trim().is_empty());
    violations.check(!empty, "address", "must have an email, a phone, a street or a place_id");
    let wire = WireAddress { person_id, email, phone, street, place_id, primary, ..WireAddress::default() };
    let parsed = addresses::parse(&mut Fields::all(&mut violations, "address"), &wire);
    (parsed, violations.into_vec())
}

fn person(text: &PersonText) -> WirePerson {
    let kind = match text.kind.as_str() {
        "" => Some(WireKind::Unspecified),
        kind => WireKind::from_str_name(&format!("PERSON_KIND_{}", kind.to_ascii_uppercase()))
            .filter(|kind| *kind != WireKind::Unspecified),
    };
    let date = |text: &str| NaiveDate::parse_from_str(text, "%Y-%m-%d").map(super::super::standard::date);
    // What is no date is no date as a message either.
    let birth_date = (!text.birth_date.is_empty()).then(|| date(&text.birth_date).unwrap_or_default());
    WirePerson {
        kind: kind.map_or(-1, Into::into),
        title: text.title.clone(),
        name: text.name.clone(),
        surname: text.surname.clone(),
        birth_date,
        gender: text.gender.clone(),
        education: text.education.clone(),
        nationality: text.nationality.clone(),
        labels: text.labels.clone().into_iter().collect(),
        ..WirePerson::default()
    }
}

/// Somebody, to be written.
pub(super) fn write((person, addresses): WithAddresses) -> PersonText {
    let profile = person.content;
    let kind = match profile.kind {
        PersonKind::Customer => "CUSTOMER",
        PersonKind::Agent => "AGENT",
        PersonKind::Staff => "STAFF",
    };
    PersonText {
        id: person.id.to_string(),
        kind: kind.to_owned(),
        title: profile.title,
        name: profile.name,
        surname: profile.surname,
        birth_date: profile.birth_date.map(|date| date.format("%Y-%m-%d").to_string()).unwrap_or_default(),
        gender: profile.gender,
        education: profile.education,
        nationality: profile.nationality,
        labels: profile.labels,
        addresses: addresses.into_iter().map(write_address).collect(),
        create_time: person.created_at.to_rfc3339(),
        update_time: person.updated_at.to_rfc3339(),
        etag: person.revision.to_string(),
    }
}

fn write_address(stored: Stored<Address>) -> AddressText {
    let address = stored.content;
    AddressText {
        email: address.email.unwrap_or_default(),
        phone: address.phone.unwrap_or_default(),
        street: address.street.unwrap_or_default(),
        place_id: address.place_id.map(|id| id.to_string()).unwrap_or_default(),
        primary: address.primary,
    }
}
