use tenantry_ids::CompanyId;
use tenantry_rpc::Violations;
use unicode_normalization::UnicodeNormalization;

const MAX_NAME_CHARS: usize = 200;
const MIN_SLUG_CHARS: usize = 3;
const MAX_SLUG_CHARS: usize = 63;
/// Characters of the id that make a derived slug unique.
const SUFFIX_CHARS: usize = 8;

/// A company's name in Unicode's composed form: any script, 1 to 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CompanyName(String);

impl CompanyName {
    pub(crate) fn parse(violations: &mut Violations, field: &str, text: &str) -> Self {
        let composed: String = text.nfc().collect();
        Self(violations.text(field, &composed, MAX_NAME_CHARS))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A company's short name: 3 to 63 of a-z, 0-9 and hyphen, a DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slug(String);

impl Slug {
    pub(crate) fn parse(violations: &mut Violations, field: &str, text: &str) -> Self {
        let fits = (MIN_SLUG_CHARS..=MAX_SLUG_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !text.starts_with('-')
            && !text.ends_with('-');
        violations.check(
            fits,
            field,
            "must have 3 to 63 characters of a-z, 0-9 and hyphen, with no hyphen at either end",
        );
        Self(text.to_owned())
    }

    /// What stands in a purged company's row, so that its slug is free: no slug has a dot.
    pub(crate) fn of_purged(id: CompanyId) -> String {
        format!("purged.{}", id.to_base32())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The slug that was asked for, or one made from the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SlugChoice {
    Asked(Slug),
    FromName(Slug),
}

impl SlugChoice {
    pub(crate) fn parse(violations: &mut Violations, field: &str, text: &str, name: &CompanyName) -> Self {
        if text.is_empty() {
            return Self::FromName(derive(name));
        }
        Self::Asked(Slug::parse(violations, field, text))
    }

    /// The slug to try first.
    pub(crate) fn first(&self) -> &Slug {
        match self {
            Self::Asked(slug) | Self::FromName(slug) => slug,
        }
    }

    /// The slug to take when the first is taken: none where one was asked for.
    pub(crate) fn fallback(&self, id: CompanyId) -> Option<Slug> {
        match self {
            Self::Asked(_) => None,
            Self::FromName(slug) => {
                let id = id.to_base32();
                let suffix = &id[id.len() - SUFFIX_CHARS..];
                let stem: String = slug.0.chars().take(MAX_SLUG_CHARS - SUFFIX_CHARS - 1).collect();
                Some(Slug(format!("{}-{suffix}", stem.trim_end_matches('-'))))
            }
        }
    }
}

/// A name's letters and digits that have an ASCII form, joined by hyphens.
fn derive(name: &CompanyName) -> Slug {
    let mut slug = String::new();
    for letter in name.0.nfkd().flat_map(char::to_lowercase) {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter);
        } else if !slug.is_empty() && !slug.ends_with('-') && !is_combining(letter) {
            slug.push('-');
        }
    }
    let slug: String = slug.chars().take(MAX_SLUG_CHARS).collect();
    let slug = slug.trim_end_matches('-');
    if slug.len() < MIN_SLUG_CHARS { Slug("company".to_owned()) } else { Slug(slug.to_owned()) }
}

fn is_combining(letter: char) -> bool {
    unicode_normalization::char::is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slug(name: &str) -> String {
        let mut violations = Violations::new();
        let name = CompanyName::parse(&mut violations, "name", name);
        SlugChoice::parse(&mut violations, "slug", "", &name).first().as_str().to_owned()
    }

    #[test]
    fn slugs_come_from_names_in_any_script() {
        assert_eq!(slug("Sunrise Energy Ltd."), "sunrise-energy-ltd");
        assert_eq!(slug("Énergie Été & Fils"), "energie-ete-fils");
        assert_eq!(slug("Robert'); DROP TABLE companies;--"), "robert-drop-table-companies");
        assert_eq!(slug("電力会社"), "company");
        assert_eq!(slug(&"x".repeat(200)), "x".repeat(63));
    }

    #[test]
    fn a_slug_that_was_asked_for_is_a_dns_label() {
        let accepted = |text: &str| {
            let mut violations = Violations::new();
            let name = CompanyName::parse(&mut violations, "name", "n");
            let _ = SlugChoice::parse(&mut violations, "slug", text, &name);
            violations.into_result().is_ok()
        };
        assert!(accepted("abc") && accepted(&"a".repeat(63)) && accepted("a-1"));
        for bad in ["ab", "Abc", "a_b", "-ab", "ab-", "a b", "äbc"].into_iter().chain([&*"a".repeat(64)]) {
            assert!(!accepted(bad), "{bad}");
        }
    }

    #[test]
    fn a_taken_slug_gets_a_suffix_within_the_limit() {
        let mut violations = Violations::new();
        let name = CompanyName::parse(&mut violations, "name", &"x".repeat(200));
        let id = CompanyId(Default::default());
        let fallback = SlugChoice::parse(&mut violations, "slug", "", &name).fallback(id).expect("a fallback");
        assert_eq!(fallback.as_str().len(), MAX_SLUG_CHARS);
        assert_eq!(SlugChoice::parse(&mut violations, "slug", "abc", &name).fallback(id), None);
    }
}
