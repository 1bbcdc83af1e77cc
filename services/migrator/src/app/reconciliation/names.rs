//! What the name of a database or a role says of it.

use crate::ident::Prefix;

/// Characters of an id in base32.
const ID_CHARS: usize = 26;
/// What follows the prefix in the names of roles that all tenants share.
const SHARED: [&str; 2] = ["owner", "tenants"];
/// What follows it in the names of databases that are made for a piece of work.
const SCRATCH: [&str; 2] = ["scratch_", "rehearsal_"];
const TEMPLATE: &str = "template_";

/// A name, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name<'n> {
    /// It does not begin as ours do.
    Foreign,
    /// A database made for a company, or made ahead; or its first login role.
    First,
    /// A second login role, with as much of the first one's name as it has room for.
    Second(&'n str),
    /// A role that all tenants share.
    Shared,
    Template,
    /// Made to compare with or to rehearse in.
    Scratch,
    /// It begins as ours do, and is none of them.
    Unknown,
}

impl<'n> Name<'n> {
    pub(super) fn read(prefix: &Prefix, name: &'n str) -> Self {
        let Some(rest) = name.strip_prefix(prefix.as_str()) else { return Self::Foreign };
        if SHARED.contains(&rest) {
            Self::Shared
        } else if rest.starts_with(TEMPLATE) {
            Self::Template
        } else if SCRATCH.iter().any(|family| rest.starts_with(family)) {
            Self::Scratch
        } else if rest.len() == ID_CHARS && is_base32(rest) {
            Self::First
        } else {
            match rest.strip_suffix("_b") {
                Some(kept) if (1..=ID_CHARS).contains(&kept.len()) && is_base32(kept) => Self::Second(kept),
                _ => Self::Unknown,
            }
        }
    }
}

/// Crockford's alphabet, in lower case.
fn is_base32(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase() && !b"ilou".contains(&byte))
}

#[cfg(test)]
mod tests {
    use tenantry_ids::{DatabaseId, RunId};

    use super::*;

    #[test]
    fn every_name_that_the_migrator_makes_is_read() {
        let id = DatabaseId(uuid::Uuid::from_u128(u128::MAX / 3));
        for prefix in ["tnt_", "sixchr", "x"] {
            let prefix: Prefix = prefix.parse().expect("a prefix");
            let read = |rest: &str| Name::read(&prefix, &format!("{}{rest}", prefix.as_str())) == Name::Unknown;
            let first = prefix.database(id).expect("a name");
            assert_eq!(Name::read(&prefix, first.as_str()), Name::First);
            let logins = prefix.logins(first.clone()).expect("names");
            let [_, second] = logins.both();
            let Name::Second(kept) = Name::read(&prefix, second.as_str()) else { panic!("{second:?}") };
            assert!(first.as_str().ends_with(kept));
            assert_eq!(Name::read(&prefix, prefix.scratch(RunId(id.0)).expect("a name").as_str()), Name::Scratch);
            assert_eq!(Name::read(&prefix, prefix.with("owner").expect("a name").as_str()), Name::Shared);
            assert_eq!(Name::read(&prefix, prefix.with("template_0f").expect("a name").as_str()), Name::Template);
            assert!(read("central") && read("migrator") && read("_b") && read(&"i".repeat(26)) && read(""));
            assert_eq!(Name::read(&prefix, "postgres"), Name::Foreign);
        }
    }
}
