//! Tokens that nobody has signed, in every form that a seed gives them: the corpus beside this, mutated within bounds.
//!
//! What has to hold is in `world`. `TENANTRY_FUZZ_SECONDS=300` looks for more, from other seeds, for so long.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mutate;
mod world;
mod write;

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;
use tenantry_rpc::Reason;

use self::mutate::Dice;
use self::world::{MAX_TOKEN_BYTES, World, claims, corpus, mirrored};

/// The same on every run, unless there is time for others.
const SEED: u64 = 0x7e57;
const TOKENS: usize = 20_000;
const CLAIMS: usize = 4_000;
const JWKS: usize = 4_000;

/// One seed; with TENANTRY_FUZZ_SECONDS one after the other for so long, beginning anywhere. What fails says its input.
#[allow(clippy::disallowed_methods)]
fn seeds() -> impl Iterator<Item = u64> {
    let seconds = std::env::var("TENANTRY_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = if until.is_some() { RandomState::new().hash_one(SEED) } else { SEED };
    std::iter::successors(Some(first), move |seed| {
        until.filter(|until| Instant::now() < *until).map(|_| seed.wrapping_add(1))
    })
}

/// So many dice for each seed.
fn dice(count: usize) -> impl Iterator<Item = Dice> {
    seeds().flat_map(move |seed| {
        let mut dice = Dice(seed);
        (0..count).map(move |_| dice.split())
    })
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/tokens")
}

#[test]
#[allow(clippy::disallowed_methods)] // How it is written anew.
fn the_corpus_is_what_it_says() {
    if std::env::var_os("TENANTRY_WRITE_CORPUS").is_some() {
        write::all(&folder());
    }
    let world = World::new(&folder());
    for (name, bytes) in corpus(&folder(), "tokens") {
        let said = world.token(&String::from_utf8_lossy(&bytes));
        assert_eq!(said.is_ok(), name.starts_with("good-"), "{name}: {said:?}");
    }
    assert!(world.signed().count() >= 7);
    for (name, bytes) in corpus(&folder(), "claims") {
        let said = world.claims(&bytes);
        assert_eq!(said.is_err(), ["tenant-twice.json", "tenant-is-a-list.json"].contains(&name.as_str()), "{name}");
    }
    for (name, bytes) in corpus(&folder(), "jwks") {
        assert!(world.jwk(&bytes), "{name}");
    }
}

#[test]
fn nothing_is_accepted_but_what_was_signed() {
    let world = World::new(&folder());
    let corpus: Vec<_> = corpus(&folder(), "tokens")
        .into_iter()
        .map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let mut outcomes = BTreeMap::<String, usize>::new();
    let mut before = corpus[0].clone();
    for mut dice in dice(TOKENS) {
        let from = if dice.below(4) == 0 { before } else { dice.pick(&corpus).clone() };
        let other = dice.pick(&corpus).clone();
        let token = mutate::token(&mut dice, &from, &other);
        let said = world.token(&token);
        *outcomes.entry(said.map_or_else(|reason| format!("{reason:?}"), |_| "unchanged".into())).or_default() += 1;
        before = if token.len() > 4 * MAX_TOKEN_BYTES { other } else { token };
    }
    println!("{outcomes:?}");
    assert!(outcomes["TokenInvalid"] > TOKENS / 2);
}

#[test]
fn claims_say_no_more_than_was_signed() {
    let world = World::new(&folder());
    let corpus: Vec<_> = corpus(&folder(), "claims").into_iter().map(|(_, bytes)| bytes).collect();
    let mut believed = 0;
    let mut tried = 0;
    for mut dice in dice(CLAIMS) {
        tried += 1;
        let (from, other) = (dice.pick(&corpus).clone(), dice.pick(&corpus).clone());
        believed += usize::from(world.claims(&mutate::bytes(&mut dice, &from, &other)).is_ok());
    }
    println!("{believed} of {tried} were believed");
    assert!(believed > 0, "the mutations are too wild to tell anything");
}

#[test]
fn keys_verify_what_they_signed() {
    let world = World::new(&folder());
    let corpus: Vec<_> = corpus(&folder(), "jwks").into_iter().map(|(_, bytes)| bytes).collect();
    let mut keys = 0;
    let mut tried = 0;
    for mut dice in dice(JWKS) {
        tried += 1;
        let (from, other) = (dice.pick(&corpus).clone(), dice.pick(&corpus).clone());
        keys += usize::from(world.jwk(&mutate::bytes(&mut dice, &from, &other)));
    }
    println!("{keys} of {tried} were keys");
    assert!(keys > 0, "the mutations are too wild to tell anything");
}

/// Base64url of n bytes may have bits to spare in its last letter, and padding, and letters of plain base64. One spelling
/// is the token; each other one is none.
#[test]
fn a_token_has_one_spelling() {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n\t";
    let world = World::new(&folder());
    for token in world.signed() {
        let parts: Vec<&str> = token.split('.').collect();
        for (at, part) in parts.iter().enumerate() {
            let spelt = |part: String| {
                let mut parts: Vec<_> = parts.iter().map(|part| (*part).to_owned()).collect();
                parts[at] = part;
                parts.join(".")
            };
            let others = LETTERS.chars().map(|letter| format!("{}{letter}", &part[..part.len() - 1]));
            let longer = ["=", "==", "A", ".", "\n", " ", "\r\n", "\0"].iter().map(|more| format!("{part}{more}"));
            let before = ["=", " ", "\n", ".", "A"].iter().map(|less| format!("{less}{part}"));
            let plain = [part.replace('-', "+"), part.replace('_', "/"), part.to_ascii_lowercase()];
            for part in others.chain(longer).chain(before).chain(plain) {
                let other = spelt(part);
                assert_eq!(world.token(&other).is_ok(), other == token, "{other}");
            }
        }
    }
}

/// ECDSA takes two signatures for one, and whoever has a token can work out the other. It says the same, and it ends by
/// the same: nothing here goes by a token's bytes.
#[test]
fn the_mirror_of_a_signature_says_the_same_and_nothing_else() {
    let world = World::new(&folder());
    let mut mirrors = 0;
    for token in world.signed() {
        let Some(mirror) = mirrored(token) else { continue };
        assert_ne!(mirror, token);
        assert_eq!(mirrored(&mirror).as_deref(), Some(token));
        assert_eq!(world.token(&mirror), world.token(token));
        mirrors += 1;
    }
    assert_eq!(mirrors, 6, "all but the one of RSA");
}

/// Whoever sends much makes us read nothing of it.
#[test]
fn the_longest_token_is_read_and_a_longer_one_is_not() {
    let world = World::new(&folder());
    let filled = |filler| {
        let mut claims = claims();
        claims["jti"] = json!("x".repeat(filler));
        claims.to_string()
    };
    let of = |filler| world.keys.access(filled(filler).as_bytes());
    let lengths: Vec<_> = (5_600..5_800).map(|filler| (of(filler).len(), filler)).collect();
    let longest = lengths.iter().filter(|(length, _)| *length <= MAX_TOKEN_BYTES).max().expect("a length");
    let next = lengths.iter().filter(|(length, _)| *length > MAX_TOKEN_BYTES).min().expect("a length");
    assert!(MAX_TOKEN_BYTES - longest.0 < 2 && next.0 - MAX_TOKEN_BYTES <= 2, "{longest:?} {next:?}");
    assert!(world.claims(filled(longest.1).as_bytes()).is_ok());
    assert_eq!(world.claims(filled(next.1).as_bytes()), Err(Reason::TokenInvalid));
    // Not even the base64 of it is looked at, whatever it is.
    for long in [of(next.1), "A".repeat(MAX_TOKEN_BYTES + 1), "é".repeat(MAX_TOKEN_BYTES)] {
        assert_eq!(world.token(&long), Err(Reason::TokenInvalid));
    }
}
