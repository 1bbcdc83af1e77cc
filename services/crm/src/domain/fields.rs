//! The fields of a request, checked one by one.

use std::fmt::Display;
use std::str::FromStr;

use tenantry_rpc::Violations;

/// Notes what is wrong with a message's fields, under their names. A field that
/// is not to be written is not checked.
pub(crate) struct Fields<'v> {
    violations: &'v mut Violations,
    /// The field that the message is in, such as `person`.
    message: &'static str,
    /// `None`: all of them.
    written: Option<&'v [&'static str]>,
}

impl<'v> Fields<'v> {
    /// Of a new thing.
    pub(crate) fn all(violations: &'v mut Violations, message: &'static str) -> Self {
        Self { violations, message, written: None }
    }

    /// Of a change of these.
    pub(crate) fn of(violations: &'v mut Violations, message: &'static str, written: &'v [&'static str]) -> Self {
        Self { violations, message, written: Some(written) }
    }

    /// Whether the field is written, or the one that it is a part of.
    pub(crate) fn writes(&self, field: &str) -> bool {
        let field = field.split('.').next().unwrap_or_default();
        self.written.is_none_or(|written| written.contains(&field))
    }

    pub(crate) fn check(&mut self, holds: bool, field: &str, description: impl Into<String>) {
        if !holds && self.writes(field) {
            self.violations.add(self.path(field), description);
        }
    }

    /// The same for a part of a field that has another name in the message.
    pub(crate) fn check_part(&mut self, holds: bool, field: &str, part: &str, description: impl Into<String>) {
        if !holds && self.writes(field) {
            self.violations.add(self.path(part), description);
        }
    }

    /// A required text of at most `most` characters.
    pub(crate) fn text(&mut self, field: &str, text: &str, most: usize) -> String {
        if !self.writes(field) {
            return String::new();
        }
        let path = self.path(field);
        self.violations.text(&path, text, most)
    }

    /// A text of at most `most` characters; `None` where it is empty.
    pub(crate) fn optional_text(&mut self, field: &str, text: &str, most: usize) -> Option<String> {
        if !self.writes(field) {
            return None;
        }
        let path = self.path(field);
        Some(self.violations.optional_text(&path, text, most)).filter(|text| !text.is_empty())
    }

    /// A text of at most `most` characters, in lines; `None` where it is empty.
    pub(crate) fn lines(&mut self, field: &str, text: &str, most: usize) -> Option<String> {
        if !self.writes(field) {
            return None;
        }
        let path = self.path(field);
        Some(self.violations.lines(&path, text, most)).filter(|text| !text.is_empty())
    }

    /// A text of one form, such as an e-mail address; `None` where it is empty.
    pub(crate) fn form(
        &mut self,
        field: &str,
        text: &str,
        form: impl Fn(&str) -> Result<String, &'static str>,
    ) -> Option<String> {
        if text.is_empty() || !self.writes(field) {
            return None;
        }
        form(text).map_err(|description| self.check(false, field, description)).ok()
    }

    /// A required id.
    pub(crate) fn id<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        text.parse().map_err(|error: T::Err| self.check(false, field, error.to_string())).ok()
    }

    /// An id, or none.
    pub(crate) fn optional_id<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Option<T> {
        if text.is_empty() { None } else { self.id(field, text) }
    }

    fn path(&self, field: &str) -> String {
        format!("{}.{field}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_written_is_not_checked() {
        let mut violations = Violations::new();
        let mut fields = Fields::of(&mut violations, "place", &["name"]);
        assert_eq!(fields.optional_text("code", "far too long", 3), None);
        assert_eq!(fields.text("name", " x ", 1), "x");
        fields.check(false, "code", "must be right");
        assert!(violations.into_result().is_ok());

        let mut violations = Violations::new();
        Fields::all(&mut violations, "place").check(false, "code", "must be right");
        assert!(violations.into_result().is_err());
    }
}
