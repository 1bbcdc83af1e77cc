use std::collections::BTreeMap;

use tenantry_rpc::Violations;

const MAX_LABELS: usize = 64;
const MAX_KEY_CHARS: usize = 63;
const MAX_VALUE_CHARS: usize = 255;
const MAX_SELECTORS: usize = 16;

/// A company's labels: at most 64; keys of `[a-z0-9._/-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labels(BTreeMap<String, String>);

impl Labels {
    pub(crate) fn parse(violations: &mut Violations, field: &str, labels: BTreeMap<String, String>) -> Self {
        violations.check(labels.len() <= MAX_LABELS, field, "must be at most 64");
        let keys = labels.keys().all(|key| is_key(key));
        violations.check(keys, field, "must have keys of 1 to 63 characters of a-z, 0-9, '.', '_', '/' and '-'");
        let values = labels.values().all(|value| is_value(value));
        violations.check(values, field, "must have values of at most 255 characters, no control characters among them");
        Self(labels)
    }

    /// The labels that a row holds.
    pub(crate) fn from_json(json: &serde_json::Value) -> Self {
        let pairs = json.as_object().into_iter().flatten();
        Self(pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect())
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        self.0.iter().map(|(key, value)| (key.clone(), serde_json::Value::from(value.as_str()))).collect()
    }

    pub(crate) fn into_map(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// A label that a company must have: `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    key: String,
    pub(crate) value: String,
}

impl Selector {
    pub(crate) fn parse_all(violations: &mut Violations, field: &str, texts: &[String]) -> Vec<Self> {
        violations.check(texts.len() <= MAX_SELECTORS, field, "must be at most 16");
        let selectors: Vec<_> = texts.iter().filter_map(|text| Self::parse(text)).collect();
        violations.check(selectors.len() == texts.len(), field, "must each be key=value, as labels have them");
        selectors
    }

    fn parse(text: &str) -> Option<Self> {
        let (key, value) = text.split_once('=')?;
        (is_key(key) && is_value(value)).then(|| Self { key: key.to_owned(), value: value.to_owned() })
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The key as a path into JSON, which MySQL, MariaDB and SQLite write alike. A key has no quote to break it.
    pub(crate) fn json_path(&self) -> String {
        format!("$.\"{}\"", self.key)
    }
}

fn is_key(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._/-".contains(&byte);
    (1..=MAX_KEY_CHARS).contains(&key.len()) && key.bytes().all(plain)
}

fn is_value(value: &str) -> bool {
    value.chars().count() <= MAX_VALUE_CHARS && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(labels: impl IntoIterator<Item = (String, String)>) -> bool {
        let mut violations = Violations::new();
        Labels::parse(&mut violations, "labels", labels.into_iter().collect());
        violations.into_result().is_ok()
    }

    #[test]
    fn labels_hold_their_limits_at_the_edges() {
        let one = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
        for key in ["a", "tier", "example.com/cost-centre_1", &"k".repeat(63)] {
            assert!(accepted(one(key, "")), "{key}");
        }
        for key in ["", "Tier", "a b", "a=b", "a\"b", "é", &"k".repeat(64)] {
            assert!(!accepted(one(key, "")), "{key}");
        }
        assert!(accepted(one("a", &"é".repeat(255))) && !accepted(one("a", &"é".repeat(256))));
        assert!(!accepted(one("a", "b\nc")));
        let many = |count: usize| (0..count).map(|n| (n.to_string(), String::new()));
        assert!(accepted(many(64)) && !accepted(many(65)));
    }

    #[test]
    fn a_selector_ends_its_key_at_the_first_equals_sign() {
        let mut violations = Violations::new();
        let found = Selector::parse_all(&mut violations, "labels", &["a/b=c=d".to_owned(), "x=".to_owned()]);
        assert!(violations.into_result().is_ok());
        assert_eq!((found[0].key(), found[0].value.as_str()), ("a/b", "c=d"));
        assert_eq!(found[0].json_path(), "$.\"a/b\"");
        for bad in ["a", "=b", "A=b"] {
            let mut violations = Violations::new();
            Selector::parse_all(&mut violations, "labels", &[bad.to_owned()]);
            assert!(violations.into_result().is_err(), "{bad}");
        }
    }
}
