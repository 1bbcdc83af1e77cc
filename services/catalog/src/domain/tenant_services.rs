//! The tenant-aware services that an installation has beside ours: what of them goes into tokens.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::roles::SIGNED_IN_HERE;
use super::{DELEGABLE, Role};

/// Ours, whose names nobody else can have.
const OURS: &[&str] = &["catalog", "crm", "migrator"];
/// The services of ours that take user tokens.
const AUDIENCES: &[&str] = &["catalog", "crm"];
/// The longest name of a service, in bytes.
const MAX_NAME_BYTES: usize = 63;
/// All scopes of all of them, in bytes: they are in each owner's token, and a token has at most 8 KiB.
const MAX_SCOPES_BYTES: usize = 2_048;

/// What there is besides our own services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct TenantServices(BTreeMap<String, Granted>);

/// Which scopes of a service each role has, besides those of the weaker ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Granted {
    viewer: Vec<String>,
    member: Vec<String>,
    admin: Vec<String>,
    owner: Vec<String>,
    /// Which of them an API key can have, and an operator who acts for a user.
    delegable: Vec<String>,
}

impl Granted {
    fn by_role(&self) -> [(Role, &[String]); 4] {
        [
            (Role::Viewer, &self.viewer),
            (Role::Member, &self.member),
            (Role::Admin, &self.admin),
            (Role::Owner, &self.owner),
        ]
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.by_role().into_iter().flat_map(|(_, scopes)| scopes)
    }
}

impl TenantServices {
    /// Reads what the configuration says, in JSON; what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let services: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (name, granted) in &services.0 {
            check(name, granted).map_err(|problem| format!("{name:?}: {problem}"))?;
        }
        let bytes: usize = services.0.values().flat_map(Granted::all).map(|scope| scope.len() + 1).sum();
        if bytes > MAX_SCOPES_BYTES {
            return Err(format!("all scopes together have more than {MAX_SCOPES_BYTES} bytes, too much for a token"));
        }
        Ok(services)
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// The services that take user tokens, with ours.
    pub(crate) fn audiences(&self) -> Vec<&str> {
        AUDIENCES.iter().copied().chain(self.0.keys().map(String::as_str)).collect()
    }

    /// The scopes of a role, with those of our own services.
    pub(crate) fn scopes(&self, role: Role) -> Vec<String> {
        let theirs = self.0.values().flat_map(Granted::by_role).filter(|(from, _)| *from <= role);
        let theirs = theirs.flat_map(|(_, scopes)| scopes.iter().cloned());
        role.scopes().into_iter().map(str::to_owned).chain(theirs).collect()
    }

    /// The scopes of somebody of the role whom another issuer vouches for.
    pub(crate) fn scopes_from_elsewhere(&self, role: Role) -> Vec<String> {
        self.scopes(role).into_iter().filter(|scope| !SIGNED_IN_HERE.contains(&scope.as_str())).collect()
    }

    /// What a person can have a machine do, and an operator do for a person, with ours.
    pub(crate) fn delegable(&self) -> Vec<&str> {
        let theirs = self.0.values().flat_map(|granted| &granted.delegable).map(String::as_str);
        DELEGABLE.iter().copied().chain(theirs).collect()
    }
}

fn check(name: &str, granted: &Granted) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = name.len() <= MAX_NAME_BYTES && name.starts_with(|first: char| first.is_ascii_lowercase());
    if !fits || !name.bytes().all(|byte| plain(byte) || byte == b'-') {
        return Err("a name is 1 to 63 of a-z, 0-9, '_' and '-', and begins with a letter".to_owned());
    }
    if OURS.contains(&name) {
        return Err("this is a service of Tenantry's own".to_owned());
    }
    let mut seen = BTreeSet::new();
    for scope in granted.all() {
        let own = scope.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
        if own.is_empty() || !own.bytes().all(|byte| plain(byte) || byte == b'.') {
            return Err(format!("the scope {scope:?} must be \"{name}.\" and a-z, 0-9, '_' and '.' after it"));
        }
        if !seen.insert(scope) {
            return Err(format!("the scope {scope:?} comes twice; stronger roles have what weaker ones have"));
        }
    }
    match granted.delegable.iter().find(|scope| !seen.contains(scope)) {
        Some(scope) => Err(format!("{scope:?} is delegable, and no role has it")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &str = r#"{"notes": {
        "viewer": ["notes.notes.read"], "member": ["notes.notes.write"], "delegable": ["notes.notes.read"]
    }}"#;

    #[test]
    fn what_is_configured_comes_with_what_is_ours() {
        let services = TenantServices::parse(NOTES).expect("services");
        assert_eq!(services.audiences(), ["catalog", "crm", "notes"]);
        let has = |role, scope: &str| services.scopes(role).iter().any(|held| held == scope);
        assert!(has(Role::Viewer, "notes.notes.read") && !has(Role::Viewer, "notes.notes.write"));
        assert!(has(Role::Owner, "notes.notes.read") && has(Role::Owner, "notes.notes.write"));
        assert!(has(Role::Owner, "crm.people.write"));
        assert!(services.delegable().contains(&"notes.notes.read"));
        assert!(!services.delegable().contains(&"notes.notes.write"));

        let none = TenantServices::default();
        assert_eq!((none.audiences(), none.names().len()), (vec!["catalog", "crm"], 0));
        assert_eq!(none.delegable(), DELEGABLE);
    }

    #[test]
    fn whoever_is_vouched_for_stays_in_the_company() {
        let services = TenantServices::parse(NOTES).expect("services");
        let (here, elsewhere) = (services.scopes(Role::Owner), services.scopes_from_elsewhere(Role::Owner));
        let has = |scopes: &[String], wanted: &str| scopes.iter().any(|scope| scope == wanted);
        assert!(SIGNED_IN_HERE.iter().all(|scope| has(&here, scope) && !has(&elsewhere, scope)));
        assert_eq!(elsewhere.len() + SIGNED_IN_HERE.len(), here.len());
        assert!(has(&elsewhere, "notes.notes.write"));
    }

    #[test]
    fn what_would_give_more_than_it_says_is_refused() {
        for (text, problem) in [
            ("[]", "invalid type"),
            (r#"{"notes": {"viewers": []}}"#, "unknown field"),
            (r#"{"crm": {}}"#, "Tenantry's own"),
            (r#"{"migrator": {}}"#, "Tenantry's own"),
            (r#"{"": {}}"#, "a name is"),
            (r#"{"Notes": {}}"#, "a name is"),
            (r#"{"a b": {}}"#, "a name is"),
            (r#"{"notes": {"viewer": ["crm.people.write"]}}"#, "must be"),
            (r#"{"notes": {"viewer": ["notes."]}}"#, "must be"),
            (r#"{"notes": {"viewer": ["notes"]}}"#, "must be"),
            (r#"{"notes": {"viewer": ["notesy.read"]}}"#, "must be"),
            (r#"{"notes": {"viewer": ["notes.a crm.people.write"]}}"#, "must be"),
            (r#"{"notes": {"viewer": ["notes.a"], "owner": ["notes.a"]}}"#, "comes twice"),
            (r#"{"notes": {"viewer": ["notes.a"], "delegable": ["notes.b"]}}"#, "no role has it"),
        ] {
            let refused = TenantServices::parse(text).expect_err(text);
            assert!(refused.contains(problem), "{text}: {refused}");
        }
        let name = "n".repeat(MAX_NAME_BYTES);
        assert!(TenantServices::parse(&format!(r#"{{"{name}": {{}}}}"#)).is_ok());
        assert!(TenantServices::parse(&format!(r#"{{"{name}n": {{}}}}"#)).is_err());
        let of = |bytes: usize| format!(r#"{{"n": {{"owner": ["n.{}"]}}}}"#, "x".repeat(bytes - 3));
        assert!(TenantServices::parse(&of(MAX_SCOPES_BYTES)).is_ok());
        assert!(TenantServices::parse(&of(MAX_SCOPES_BYTES + 1)).is_err());
    }
}
