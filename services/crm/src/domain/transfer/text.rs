//! A person with their addresses, as the fields of a line or the cells of a row.

use serde::{Deserialize, Serialize};

use super::super::Labels;

/// The columns of a row, in the order in which they are written.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "kind",
    "title",
    "name",
    "surname",
    "birth_date",
    "gender",
    "education",
    "nationality",
    "labels",
    "email",
    "phone",
    "street",
    "place_id",
    "more_addresses",
    "create_time",
    "update_time",
    "etag",
];

/// A person as text. Nothing in it has been checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PersonText {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) title: String,
    pub(crate) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) surname: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) birth_date: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) gender: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) education: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) nationality: String,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub(crate) labels: Labels,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<AddressText>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) create_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) update_time: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) etag: String,
}

/// An address as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddressText {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) email: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) phone: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) street: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) place_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) primary: bool,
}

impl PersonText {
    /// The cells of [`COLUMNS`]. The first address is the primary one.
    pub(crate) fn cells(&self) -> Vec<String> {
        let json = |value: serde_json::Result<String>| value.unwrap_or_default();
        let (first, more) = self.addresses.split_first().map_or((None, &[][..]), |(first, more)| (Some(first), more));
        let first = first.cloned().unwrap_or_default();
        let labels = if self.labels.is_empty() { String::new() } else { json(serde_json::to_string(&self.labels)) };
        let more = if more.is_empty() { String::new() } else { json(serde_json::to_string(more)) };
        let texts = [&self.id, &self.kind, &self.title, &self.name, &self.surname, &self.birth_date, &self.gender];
        let mut cells: Vec<String> = texts.into_iter().chain([&self.education, &self.nationality]).cloned().collect();
        cells.extend([labels, first.email, first.phone, first.street, first.place_id, more]);
        cells.extend([self.create_time.clone(), self.update_time.clone(), self.etag.clone()]);
        cells
    }

    /// Reads the cell of a column. Gives what it must be instead.
    pub(crate) fn set(&mut self, column: &str, cell: String) -> Result<(), &'static str> {
        match column {
            "id" => self.id = cell,
            "kind" => self.kind = cell,
            "title" => self.title = cell,
            "name" => self.name = cell,
            "surname" => self.surname = cell,
            "birth_date" => self.birth_date = cell,
            "gender" => self.gender = cell,
            "education" => self.education = cell,
            "nationality" => self.nationality = cell,
            "create_time" => self.create_time = cell,
            "update_time" => self.update_time = cell,
            "etag" => self.etag = cell,
            _ if cell.is_empty() => {}
            "email" => self.primary().email = cell,
            "phone" => self.primary().phone = cell,
            "street" => self.primary().street = cell,
            "place_id" => self.primary().place_id = cell,
            "labels" => {
                self.labels = serde_json::from_str(&cell).map_err(|_| "must be a JSON object of texts, or empty")?;
            }
            "more_addresses" => {
                let more = serde_json::from_str(&cell)
                    .ok()
                    .filter(|more: &Vec<AddressText>| !more.iter().any(|it| it.primary));
                let form = "must be a JSON array of objects with email, phone, street and place_id, or empty";
                self.addresses.extend(more.ok_or(form)?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The address of a row's own cells: the first one, and the only one that is primary.
    fn primary(&mut self) -> &mut AddressText {
        if !self.addresses.first().is_some_and(|first| first.primary) {
            self.addresses.insert(0, AddressText { primary: true, ..AddressText::default() });
        }
        &mut self.addresses[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_person_is_the_person_again() {
        let address = |email: &str, primary| AddressText { email: email.into(), primary, ..AddressText::default() };
        let person = PersonText {
            name: "A \"B\"".into(),
            labels: [("k,".to_owned(), "\"v\"".to_owned())].into(),
            addresses: vec![address("a@b", true), address("c@d", false)],
            etag: "1".into(),
            ..PersonText::default()
        };
        let mut again = PersonText::default();
        for (column, cell) in COLUMNS.iter().zip(person.cells()) {
            assert_eq!(again.set(column, cell), Ok(()));
        }
        assert_eq!(again, person);
        assert_eq!(person.cells().len(), COLUMNS.len());
    }
}
