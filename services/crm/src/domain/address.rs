use tenantry_ids::{PersonId, PlaceId};

use super::content::{Content, Thing, writable};

writable! {
    /// Where a person is reached.
    Address [person_id: PersonId] {
        email: Option<String>,
        /// E.164.
        phone: Option<String>,
        street: Option<String>,
        place_id: Option<PlaceId>,
        primary: bool,
    }
}

impl Content for Address {
    type Id = tenantry_ids::AddressId;
    const THING: Thing = Thing::Address;
}

impl Address {
    /// Whether it says anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.email.is_none() && self.phone.is_none() && self.street.is_none() && self.place_id.is_none()
    }
}

/// An e-mail address, loosely: whether it exists only a mail can tell (RFC 5321 has the lengths).
pub(crate) fn email(text: &str) -> Result<String, &'static str> {
    let whole = || {
        let (local, domain) = text.rsplit_once('@')?;
        let labels = domain.split('.').all(|label| !label.is_empty());
        let plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '@';
        let fits = (1..=64).contains(&local.len()) && !domain.is_empty() && text.len() <= 254;
        (fits && labels && text.chars().filter(|letter| !plain(*letter)).count() == 1).then(|| text.to_owned())
    };
    whole().ok_or("must be an e-mail address of at most 254 characters")
}

/// A telephone number as E.164 writes it, and nothing else: two ways to write one would be two numbers.
pub(crate) fn phone(text: &str) -> Result<String, &'static str> {
    let digits = text.strip_prefix('+').unwrap_or_default();
    let fits = (7..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0');
    if fits { Ok(text.to_owned()) } else { Err("must be + and 7 to 15 digits without blanks, such as +4915112345678") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_e_164_at_its_edges() {
        assert!(["+1234567", "+123456789012345", "+4915112345678"].iter().all(|text| phone(text).is_ok()));
        let wrong = ["", "+", "+123456", "+1234567890123456", "004915112345678", "+049151123456", "+49 151 1234567"];
        assert!(wrong.iter().chain(&["+49١٢٣٤٥٦٧", "++4915112345", "+4915112345a"]).all(|text| phone(text).is_err()));
    }

    #[test]
    fn addresses_have_one_at_and_a_domain() {
        assert!(["a@b", "ä.ö@例え.jp", "o'brien+x@example.com"].iter().all(|text| email(text).is_ok()));
        let wrong = ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b..c", "a@.b", "a@b.", "a\0@b"];
        assert!(wrong.iter().all(|text| email(text).is_err()));
        let long = |local: usize, domain: usize| format!("{}@{}", "a".repeat(local), "b".repeat(domain));
        assert!(email(&long(64, 189)).is_ok());
        assert!(email(&long(64, 190)).is_err() && email(&long(65, 10)).is_err());
    }
}
