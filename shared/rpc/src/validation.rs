use tenantry_telemetry::propagation;

use crate::{Error, FieldViolation};

/// The field that names the company that a call is about.
const TENANT: &str = "company_id";

/// Parses the only field of a request that can be wrong.
pub fn parse_field<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let mut violations = Violations::new();
    let parsed = violations.parse(field, text);
    violations.finish(parsed)
}

/// Collects every broken field of a request, so that a caller mends them at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldViolation>);

impl Violations {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `field` must be something else.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(FieldViolation { field: field.into(), description: description.into() });
    }

    /// Notes it unless `holds`.
    pub fn check(&mut self, holds: bool, field: &str, description: &str) {
        if !holds {
            self.add(field, description);
        }
    }

    /// The parsed value, or a note in its place.
    pub fn parse<T: std::str::FromStr>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T::Err: std::fmt::Display,
    {
        let parsed = text.parse().map_err(|error: T::Err| self.add(field, error.to_string())).ok();
        if parsed.is_some() && field == TENANT {
            propagation::concerns(text);
        }
        parsed
    }

    /// A required, trimmed text of at most `most` characters.
    pub fn text(&mut self, field: &str, text: &str, most: usize) -> String {
        self.check(!text.trim().is_empty(), field, "must not be empty");
        self.optional_text(field, text, most)
    }

    /// A trimmed text of at most `most` characters, without control characters:
    /// no engine stores a NUL, and none of the others belongs in one line.
    pub fn optional_text(&mut self, field: &str, text: &str, most: usize) -> String {
        let text = text.trim();
        if text.chars().count() > most {
            self.add(field, format!("must have at most {most} characters"));
        }
        if text.chars().any(char::is_control) {
            self.add(field, "must have no control characters");
        }
        text.to_owned()
    }

    /// A trimmed text of at most `most` characters, in lines: of control characters only line ends and tabs.
    pub fn lines(&mut self, field: &str, text: &str, most: usize) -> String {
        let text = text.trim().replace("\r\n", "\n");
        if text.chars().count() > most {
            self.add(field, format!("must have at most {most} characters"));
        }
        if text.chars().any(|letter| letter.is_control() && letter != '\n' && letter != '\t') {
            self.add(field, "must have no control characters but line ends and tabs");
        }
        text
    }

    /// The revision that an etag stands for (AIP-154); an empty one stands for any.
    pub fn etag(&mut self, field: &str, etag: &str) -> Option<i64> {
        if etag.is_empty() {
            return None;
        }
        let revision = etag.parse().ok();
        self.check(revision.is_some(), field, "must be an etag that was read, or empty");
        revision
    }

    /// All of them, where they are told in an answer.
    pub fn into_vec(self) -> Vec<FieldViolation> {
        self.0
    }

    /// The parsed request, or an error with all of them. `None` goes with a note.
    pub fn finish<T>(self, parsed: Option<T>) -> Result<T, Error> {
        match parsed {
            Some(parsed) if self.0.is_empty() => Ok(parsed),
            _ => Err(Error::fields(self.0)),
        }
    }

    /// An error with all of them, if there are any.
    pub fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::fields(self.0)) }
    }
}
