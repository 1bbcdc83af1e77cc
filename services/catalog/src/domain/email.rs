use tenantry_rpc::Violations;
use unicode_normalization::UnicodeNormalization;

/// The longest address (RFC 5321, section 4.5.3.1.3, less the angle brackets), in bytes.
const MAX_BYTES: usize = 254;
/// The longest key, in characters: compatibility forms can grow (U+FDFA by 18).
const MAX_KEY_CHARS: usize = 320;
/// The longest local part (RFC 5321, section 4.5.3.1.1), in bytes.
const MAX_LOCAL_BYTES: usize = 64;

/// An e-mail address as it was written, and the key under which it is one person's.
///
/// Accepts the dot-atom form with Unicode letters (RFC 5321, RFC 6531), no quoted
/// local parts and no address literals. Two addresses are one person's when they
/// are equal in compatibility-composed form and lower case: a provider may tell
/// case apart in the local part (RFC 5321, section 2.4), and none in practice does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    address: String,
    key: String,
}

impl Email {
    pub(crate) fn parse(violations: &mut Violations, field: &str, text: &str) -> Self {
        let address: String = text.trim().nfc().collect();
        let key: String = address.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        violations.check(
            is_address(&address) && key.chars().count() <= MAX_KEY_CHARS,
            field,
            "must be an e-mail address like ada@example.com, of at most 254 bytes",
        );
        Self { address, key }
    }

    /// As it was written.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// What makes it one person's.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

fn is_address(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else { return false };
    address.len() <= MAX_BYTES
        && local.len() <= MAX_LOCAL_BYTES
        && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

/// `atext` (RFC 5322, section 3.2.3), with every letter and digit of Unicode (RFC 6531).
fn is_atom_char(letter: char) -> bool {
    letter.is_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(letter)
        || (!letter.is_ascii() && !letter.is_control() && !letter.is_whitespace())
}

/// A label of a domain name (RFC 1035, section 2.3.1), in Unicode (RFC 5890).
fn is_label(label: &str) -> bool {
    let inner = |letter: char| {
        letter.is_alphanumeric() || letter == '-' || unicode_normalization::char::is_combining_mark(letter)
    };
    !label.is_empty()
        && label.len() <= 63
        && label.chars().all(inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Email> {
        let mut violations = Violations::new();
        let email = Email::parse(&mut violations, "email", text);
        violations.into_result().ok().map(|()| email)
    }

    #[test]
    fn addresses_of_one_person_have_one_key() {
        let key = |text: &str| parse(text).map(|email| email.key().to_owned());
        assert_eq!(key("Ada@Example.COM"), key("ada@example.com"));
        assert_eq!(key("é@example.com"), key("e\u{301}@example.com"));
        assert_eq!(key("ｂｏｂ@example.com"), key("bob@example.com"));
        assert_ne!(key("ada+crm@example.com"), key("ada@example.com"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for good in ["a@b.co", "用户@例子.广告", "o'brien@example.com", "a.b+c@x-y.example"] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "a",
            "@b.co",
            "a@",
            "a@b",
            "a b@c.de",
            "a@b..de",
            ".a@b.de",
            "a.@b.de",
            "a@-b.de",
            "a@b.de\0",
            "a@@b.de",
            "\"a\"@b.de",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
        assert!(parse(&format!("{}@example.com", "a".repeat(64))).is_some());
        assert!(parse(&format!("{}@example.com", "a".repeat(65))).is_none());
    }
}
