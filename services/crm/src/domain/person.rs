use std::collections::BTreeMap;

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use serde::Serialize;
use tenantry_ids::PersonId;

use super::Fields;
use super::content::{Content, Thing, writable};

const MAX_LABELS: usize = 64;
const MAX_LABEL_KEY_CHARS: usize = 63;
const MAX_LABEL_VALUE_CHARS: usize = 255;

/// Words of the company's own, by key.
pub(crate) type Labels = BTreeMap<String, String>;

/// What a person is to the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumIter, DeriveActiveEnum, Serialize)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
#[serde(rename_all = "snake_case")]
pub(crate) enum PersonKind {
    #[default]
    #[sea_orm(string_value = "customer")]
    Customer,
    #[sea_orm(string_value = "agent")]
    Agent,
    #[sea_orm(string_value = "staff")]
    Staff,
}

writable! {
    /// What a caller may write of a person.
    #[derive(Eq, Default)]
    Profile {
        kind: PersonKind,
        title: String,
        name: String,
        surname: String,
        birth_date: Option<NaiveDate>,
        gender: String,
        education: String,
        nationality: String,
        labels: Labels,
    }
}

impl Content for Profile {
    type Id = PersonId;
    const THING: Thing = Thing::Person;
}

impl Profile {
    /// Checks and trims.
    pub(crate) fn checked(self, fields: &mut Fields<'_>) -> Self {
        let mut optional = |field, text: &str, most| fields.optional_text(field, text, most).unwrap_or_default();
        Self {
            title: optional("title", &self.title, 40),
            surname: optional("surname", &self.surname, 200),
            gender: optional("gender", &self.gender, 40),
            education: optional("education", &self.education, 100),
            nationality: optional("nationality", &self.nationality, 100),
            name: fields.text("name", &self.name, 200),
            labels: labels(fields, self.labels),
            ..self
        }
    }

    /// Whether the person can have been born by `today`.
    pub(crate) fn is_born(&self, today: NaiveDate) -> bool {
        self.birth_date.is_none_or(|date| date <= today)
    }
}

/// Labels of a thing, in its field `labels`.
pub(crate) fn labels(fields: &mut Fields<'_>, labels: Labels) -> Labels {
    fields.check(labels.len() <= MAX_LABELS, "labels", "must be at most 64");
    let fits = labels.iter().all(|(key, value)| {
        let plain = |text: &str| !text.chars().any(char::is_control);
        (1..=MAX_LABEL_KEY_CHARS).contains(&key.chars().count())
            && value.chars().count() <= MAX_LABEL_VALUE_CHARS
            && plain(key)
            && plain(value)
    });
    fields.check(fits, "labels", "must have keys of 1 to 63 and values of at most 255 characters");
    labels
}

#[cfg(test)]
mod tests {
    use tenantry_rpc::Violations;

    use super::*;
    use crate::domain::Writable;

    fn profile(name: &str) -> Profile {
        Profile { name: name.to_owned(), ..Profile::default() }
    }

    fn accepted(profile: Profile) -> bool {
        let mut violations = Violations::new();
        let _ = profile.checked(&mut Fields::all(&mut violations, "person"));
        violations.into_result().is_ok()
    }

    #[test]
    fn names_of_any_script_are_fine_and_limits_hold_at_their_edges() {
        for name in ["Ada", "O'Brien \"the\" -- DROP", "電子太郎", "مريم", "🦀"] {
            assert!(accepted(profile(name)), "{name}");
        }
        assert!(accepted(profile(&"é".repeat(200))) && !accepted(profile(&"é".repeat(201))));
        assert!(!accepted(profile("  ")) && !accepted(profile("a\0b")));
        let born = |year, month, day| Profile { birth_date: NaiveDate::from_ymd_opt(year, month, day), ..profile("a") };
        let today = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date");
        assert!(born(2026, 1, 1).is_born(today) && !born(2026, 1, 2).is_born(today));
        let labelled = |count: usize| Profile {
            labels: (0..count).map(|n| (n.to_string(), String::new())).collect(),
            ..profile("a")
        };
        assert!(accepted(labelled(64)) && !accepted(labelled(65)));
    }

    #[test]
    fn an_update_takes_the_named_fields_only() {
        let new = Profile { title: "Dr".into(), surname: "B".into(), ..profile("new") };
        let updated = profile("old").with(&new, &["title"]);
        assert_eq!((updated.title.as_str(), updated.name.as_str(), updated.surname.as_str()), ("Dr", "old", ""));
        assert!(Profile::FIELDS.contains(&"birth_date"));
    }
}
