//! The architecture, as data: who may know whom, what stands where, and what the contract has to say.
//!
//! Each rule is a row of a table in one of these files. What breaks a rule is mended, or stands in that rule's list of
//! exemptions with its reason; a list can only shrink, since an exemption that nothing needs fails too.

mod contract;
mod crates;
mod running;
mod sources;

use std::path::{Path, PathBuf};

/// Something that breaks a rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    /// A crate, a file, an RPC, a reason: what an exemption names.
    place: String,
    problem: String,
}

impl Breach {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { place: place.into(), problem: problem.into() }
    }
}

/// Fails on every breach that is not exempt, all at once, and on every exemption that is not needed.
fn hold(rule: &str, mut breaches: Vec<Breach>, exemptions: &[&str]) {
    breaches.sort();
    let unused = exemptions.iter().filter(|exempt| !breaches.iter().any(|breach| breach.place == **exempt));
    let unused = unused.map(|exempt| format!("{exempt}: nothing needs this exemption any more; remove it"));
    let broken = breaches.iter().filter(|breach| !exemptions.contains(&breach.place.as_str()));
    let broken = broken.map(|breach| format!("{}: {}", breach.place, breach.problem));
    let all: Vec<_> = broken.chain(unused).collect();
    assert!(all.is_empty(), "{rule}\n{}", all.join("\n"));
}

/// The workspace's root.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text between the capitals: `FailedPrecondition` is `FAILED_PRECONDITION`.
pub(crate) fn screaming(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

#[test]
#[should_panic(expected = "a: nothing needs this exemption any more")]
fn an_exemption_that_nothing_needs_fails() {
    hold("a rule", vec![Breach::new("b", "broken")], &["a", "b"]);
}
