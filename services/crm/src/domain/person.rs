use std::collections::BTreeMap;

use chrono::NaiveDate;
use sea_orm::entity::prelude::*;
use tenantry_rpc::Violations;

const MAX_LABELS: usize = 64;
const MAX_LABEL_KEY_CHARS: usize = 63;
const MAX_LABEL_VALUE_CHARS: usize = 255;

/// What a person is to the company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))")]
pub(crate) enum PersonKind {
    #[default]
    #[sea_orm(string_value = "customer")]
    Customer,
    #[sea_orm(string_value = "agent")]
    Agent,
    #[sea_orm(string_value = "staff")]
    Staff,
}

/// What a caller may write of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Profile {
    pub(crate) kind: PersonKind,
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) surname: String,
    pub(crate) birth_date: Option<NaiveDate>,
    pub(crate) gender: String,
    pub(crate) education: String,
    pub(crate) nationality: String,
    pub(crate) labels: BTreeMap<String, String>,
}

/// A field of a profile, as an update mask names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PersonField {
    Kind,
    Title,
    Name,
    Surname,
    BirthDate,
    Gender,
    Education,
    Nationality,
    Labels,
}

impl PersonField {
    /// All of them.
    pub(crate) const ALL: [PersonField; 9] = [
        Self::Kind,
        Self::Title,
        Self::Name,
        Self::Surname,
        Self::BirthDate,
        Self::Gender,
        Self::Education,
        Self::Nationality,
        Self::Labels,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Title => "title",
            Self::Name => "name",
            Self::Surname => "surname",
            Self::BirthDate => "birth_date",
            Self::Gender => "gender",
            Self::Education => "education",
            Self::Nationality => "nationality",
            Self::Labels => "labels",
        }
    }

    /// The field of this path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.path() == path)
    }
}

impl Profile {
    /// Checks and trims; `today` is the last possible birthday.
    pub(crate) fn checked(self, violations: &mut Violations, today: NaiveDate) -> Self {
        let born = self.birth_date.is_none_or(|date| date <= today);
        violations.check(born, "person.birth_date", "must not be in the future");
        Self {
            name: violations.text("person.name", &self.name, 200),
            title: violations.optional_text("person.title", &self.title, 40),
            surname: violations.optional_text("person.surname", &self.surname, 200),
            gender: violations.optional_text("person.gender", &self.gender, 40),
            education: violations.optional_text("person.education", &self.education, 100),
            nationality: violations.optional_text("person.nationality", &self.nationality, 100),
            labels: checked_labels(violations, self.labels),
            ..self
        }
    }

    /// This profile with `fields` taken from `other`.
    pub(crate) fn with(mut self, other: Profile, fields: &[PersonField]) -> Self {
        for field in fields {
            match field {
                PersonField::Kind => self.kind = other.kind,
                PersonField::Title => self.title.clone_from(&other.title),
                PersonField::Name => self.name.clone_from(&other.name),
                PersonField::Surname => self.surname.clone_from(&other.surname),
                PersonField::BirthDate => self.birth_date = other.birth_date,
                PersonField::Gender => self.gender.clone_from(&other.gender),
                PersonField::Education => self.education.clone_from(&other.education),
                PersonField::Nationality => self.nationality.clone_from(&other.nationality),
                PersonField::Labels => self.labels.clone_from(&other.labels),
            }
        }
        self
    }
}

fn checked_labels(violations: &mut Violations, labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    violations.check(labels.len() <= MAX_LABELS, "person.labels", "must be at most 64");
    let fits = labels.iter().all(|(key, value)| {
        let plain = |text: &str| !text.chars().any(char::is_control);
        (1..=MAX_LABEL_KEY_CHARS).contains(&key.chars().count())
            && value.chars().count() <= MAX_LABEL_VALUE_CHARS
            && plain(key)
            && plain(value)
    });
    violations.check(fits, "person.labels", "must have keys of 1 to 63 and values of at most 255 characters");
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str) -> Profile {
        Profile { name: name.to_owned(), ..Profile::default() }
    }

    fn accepted(profile: Profile) -> bool {
        let mut violations = Violations::new();
        let _ = profile.checked(&mut violations, NaiveDate::from_ymd_opt(2026, 1, 1).expect("a date"));
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
        assert!(accepted(born(2026, 1, 1)) && !accepted(born(2026, 1, 2)));
        let labelled = |count: usize| Profile {
            labels: (0..count).map(|n| (n.to_string(), String::new())).collect(),
            ..profile("a")
        };
        assert!(accepted(labelled(64)) && !accepted(labelled(65)));
    }

    #[test]
    fn an_update_takes_the_named_fields_only() {
        let new = Profile { title: "Dr".into(), surname: "B".into(), ..profile("new") };
        let updated = profile("old").with(new, &[PersonField::Title]);
        assert_eq!((updated.title.as_str(), updated.name.as_str(), updated.surname.as_str()), ("Dr", "old", ""));
        for field in PersonField::ALL {
            assert_eq!(PersonField::at(field.path()), Some(field));
        }
    }
}
