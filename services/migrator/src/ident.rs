//! Names that may stand in DDL text.

use tenantry_ids::{DatabaseId, RunId};

/// The longest name that PostgreSQL keeps whole, in bytes.
const MAX_BYTES: usize = 63;
/// The longest user name of MySQL, in bytes.
const MAX_USER_BYTES: usize = 32;
/// Characters of an id in base32.
const ID_BYTES: usize = 26;

/// Of a scratch database's id, its time is left out: the rest is random, and MySQL's user names are short.
const ID_TIME_BYTES: usize = 8;

/// What the name of a second login role ends with.
const SECOND: &str = "_b";

/// A database or role name: 1 to 63 of `[a-z0-9_]`, starting with a letter. The
/// only way into DDL text; it needs no quoting on any engine and gets some anyway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ident(String);

/// A text that is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a database: 1 to 63 of a-z, 0-9 and _, starting with a letter")]
pub struct IdentError(String);

impl Ident {
    /// A name, if it is one.
    pub fn new(text: impl Into<String>) -> Result<Self, IdentError> {
        let text = text.into();
        let fits = (1..=MAX_BYTES).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if fits { Ok(Self(text)) } else { Err(IdentError(text)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Between the quotes of standard SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }

    /// Between the quotes of MySQL.
    pub(crate) fn backticked(&self) -> String {
        format!("`{}`", self.0)
    }
}

/// What every name that the migrator makes begins with; tells one installation's
/// databases on a server from another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Ident);

impl std::str::FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ident = Ident::new(text).map_err(|error| error.to_string())?;
        // A tenant's role has the database's name, and MySQL's user names are short.
        let longest = MAX_USER_BYTES - ID_BYTES;
        if text.len() > longest {
            return Err(format!("{text:?} is longer than {longest} characters, which MySQL's user names leave"));
        }
        Ok(Self(ident))
    }
}

/// Which of a database's two login roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    First,
    Second,
}

impl Slot {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// The two login roles of a tenant's database. They take turns: a new password goes to the one that nobody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logins {
    first: Ident,
    second: Ident,
}

impl Logins {
    pub(crate) fn at(&self, slot: Slot) -> &Ident {
        match slot {
            Slot::First => &self.first,
            Slot::Second => &self.second,
        }
    }

    pub(crate) fn both(&self) -> [&Ident; 2] {
        [&self.first, &self.second]
    }
}

impl Prefix {
    /// The name of a database, and of its first login role.
    pub(crate) fn database(&self, id: DatabaseId) -> Result<Ident, IdentError> {
        self.with(&id.to_base32())
    }

    /// The two login roles, of which the first is named by a database's id. Where MySQL's user names leave no room for
    /// the ending, the second goes without the first characters of the id: those of its time, which stay the same for
    /// decades.
    pub(crate) fn logins(&self, first: Ident) -> Result<Logins, IdentError> {
        let prefix = self.0.as_str();
        let id = first.as_str().strip_prefix(prefix).ok_or_else(|| IdentError(first.as_str().to_owned()))?;
        let room = MAX_USER_BYTES - prefix.len() - SECOND.len();
        let kept = id.get(id.len().saturating_sub(room)..).unwrap_or(id);
        let second = self.with(&format!("{kept}{SECOND}"))?;
        Ok(Logins { first, second })
    }

    /// The text that names begin with.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// What the names of all scratch databases begin with. No tenant's does: those have no `_` after the prefix.
    pub(crate) fn scratches(&self) -> Result<Ident, IdentError> {
        self.with("scratch_")
    }

    /// The name of the scratch database of a run, and of its login role.
    pub(crate) fn scratch(&self, run: RunId) -> Result<Ident, IdentError> {
        let id = run.to_base32();
        Ident::new(format!("{}{}", self.scratches()?.as_str(), &id[ID_TIME_BYTES..]))
    }

    /// A name of the migrator's own, such as a template.
    pub(crate) fn with(&self, rest: &str) -> Result<Ident, IdentError> {
        Ident::new(format!("{}{rest}", self.0.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_names() {
        for good in ["a", "tnt_0abc", &"a".repeat(63)] {
            assert!(Ident::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "1a", "_a", "a-b", "a b", "a\"b", "a`b", "a;drop", "ä", "a\0", &"a".repeat(64)] {
            assert!(Ident::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_prefix_leaves_room_for_mysqls_user_names() {
        let name =
            "tnt_".parse::<Prefix>().expect("a prefix").database(DatabaseId(Default::default())).expect("a name");
        assert!(name.as_str().len() <= 32);
        let scratch = "sixchr".parse::<Prefix>().expect("a prefix").scratch(RunId(uuid::Uuid::max())).expect("a name");
        assert_eq!(scratch.as_str(), "sixchrscratch_zzzzzzzzzzzzzzzzzz");
        let logins = |prefix: &str| {
            let prefix = prefix.parse::<Prefix>().expect("a prefix");
            let first = prefix.database(DatabaseId(uuid::Uuid::max())).expect("a name");
            prefix.logins(first).expect("names").at(Slot::Second).as_str().to_owned()
        };
        assert_eq!(logins("tnt_"), format!("tnt_7{}_b", "z".repeat(25)));
        assert_eq!(logins("sixchr"), format!("sixchr{}_b", "z".repeat(24)));
        assert!("sixchr".parse::<Prefix>().is_ok() && "sevench".parse::<Prefix>().is_err());
    }
}
