//! The forms that the files of `demo_data` have: `key: value`, or rows of cells. Lines that begin with # are comments.

use std::collections::HashMap;

/// A file of the program's own that says something else than it should.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("demo_data/{file}: {problem}")]
pub(crate) struct DataError {
    file: &'static str,
    problem: String,
}

/// One or more.
#[derive(Debug)]
pub(super) struct Several<T> {
    first: T,
    more: Vec<T>,
}

impl<T> Several<T> {
    pub(super) fn len(&self) -> usize {
        1 + self.more.len()
    }

    /// From the beginning again after the last.
    pub(super) fn nth(&self, index: usize) -> &T {
        (index % self.len()).checked_sub(1).and_then(|index| self.more.get(index)).unwrap_or(&self.first)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

/// Values by their keys.
pub(super) type Fields = HashMap<&'static str, Vec<&'static str>>;

pub(super) struct File {
    name: &'static str,
    text: &'static str,
}

impl File {
    pub(super) fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }

    pub(super) fn wrong(&self, what: &str, text: &str) -> DataError {
        DataError { file: self.name, problem: format!("{text:?} is no {what}") }
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &'static str> {
        self.text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// Everything by its key; a key may come more than once.
    pub(super) fn fields(&self) -> Result<Fields, DataError> {
        let mut fields = HashMap::<_, Vec<_>>::new();
        for line in self.lines() {
            let (key, value) = line.split_once(": ").ok_or_else(|| self.wrong("field", line))?;
            fields.entry(key).or_default().push(value);
        }
        Ok(fields)
    }

    pub(super) fn all<'f>(&self, fields: &'f Fields, key: &str) -> &'f [&'static str] {
        fields.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn one(&self, fields: &Fields, key: &str) -> Result<&'static str, DataError> {
        match self.all(fields, key) {
            [one] => Ok(one),
            others => Err(DataError { file: self.name, problem: format!("{} {key:?} instead of one", others.len()) }),
        }
    }

    /// A field's values, with commas between them.
    pub(super) fn list(&self, fields: &Fields, key: &str) -> Result<Several<String>, DataError> {
        self.several(key, self.one(fields, key)?.split(", ").map(str::to_owned).collect())
    }

    /// The rows, whose cells have | between them.
    pub(super) fn rows<T>(
        &self,
        row: impl Fn(&Self, &[&str]) -> Result<T, DataError>,
    ) -> Result<Several<T>, DataError> {
        let rows = self.lines().map(|line| row(self, &line.split(" | ").collect::<Vec<_>>()));
        self.several("rows", rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn several<T>(&self, what: &str, all: Vec<T>) -> Result<Several<T>, DataError> {
        let mut all = all.into_iter();
        let none = || DataError { file: self.name, problem: format!("there is no {what}") };
        Ok(Several { first: all.next().ok_or_else(none)?, more: all.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_go_round() {
        let all = File::new("x", "").several("x", vec!['a', 'b', 'c']).expect("three");
        assert_eq!((0..7).map(|index| *all.nth(index)).collect::<String>(), "abcabca");
        assert_eq!((all.len(), all.iter().collect::<String>()), (3, "abc".to_owned()));
    }

    #[test]
    fn what_is_missing_or_too_much_is_said() {
        let file = File::new("x.txt", "# a comment\na: 1\nb: 2\nb: 3\n");
        let fields = file.fields().expect("fields");
        assert_eq!(file.one(&fields, "a"), Ok("1"));
        let said = |key| file.one(&fields, key).expect_err(key).to_string();
        assert_eq!(said("b"), "demo_data/x.txt: 2 \"b\" instead of one");
        assert_eq!(said("c"), "demo_data/x.txt: 0 \"c\" instead of one");
        assert!(File::new("x.txt", "no field").fields().is_err());
        assert!(file.several::<u8>("x", Vec::new()).is_err());
    }
}
