//! Mutations that a seed repeats.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Numbers from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Other dice, which these decide.
    pub(crate) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap_or_default()
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

const WORDS: [&str; 20] = [
    "\"tenant\":\"0192f0c1-7e57-7000-8000-00000000dead\",",
    "\"sub\":\"operator:0192f0c1-7e57-7000-8000-000000000009\",",
    "\"aud\":[\"crm\"],",
    "\"act\":{\"sub\":\"operator:0192f0c1-7e57-7000-8000-000000000009\"},",
    "\"alg\":\"none\",",
    "\"access_epoch\":18446744073709551615,",
    "null",
    "\\u0000",
    "{}",
    "[]",
    "-1",
    "1e999",
    "9223372036854775807",
    "\"crit\":[\"exp\"],",
    "operator:",
    "api_key:",
    "user:",
    "\"",
    "}",
    ",",
];

/// Some bytes changed, taken away, put in, repeated, or taken from another.
pub(crate) fn bytes(dice: &mut Dice, from: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = from.to_vec();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len() + 1);
        match dice.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).unwrap_or_default(),
            2 => drop(bytes.drain(at..(at + dice.below(9)).min(bytes.len()))),
            3 => bytes.insert(at, u8::try_from(dice.below(128)).unwrap_or_default()),
            4 => drop(bytes.splice(at..at, dice.pick::<&str>(&WORDS).bytes())),
            5 => {
                let end = (at + dice.below(40)).min(bytes.len());
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            6 if !other.is_empty() => {
                let from = dice.below(other.len());
                let part = other[from..(from + 1 + dice.below(60)).min(other.len())].to_vec();
                let end = (at + part.len()).min(bytes.len());
                drop(bytes.splice(at..end, part));
            }
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A token that looks like one: of the right letters, in three parts more often than not.
pub(crate) fn token(dice: &mut Dice, from: &str, other: &str) -> String {
    let mut parts: Vec<String> = from.split('.').map(str::to_owned).collect();
    let others: Vec<&str> = other.split('.').collect();
    let at = dice.below(parts.len());
    match dice.below(10) {
        // Letters.
        0 | 1 => {
            let mut letters = parts[at].clone().into_bytes();
            if !letters.is_empty() {
                let place = if dice.below(3) == 0 { letters.len() - 1 } else { dice.below(letters.len()) };
                letters[place] = *dice.pick(ALPHABET);
            }
            parts[at] = String::from_utf8_lossy(&letters).into_owned();
        }
        // A part of another token.
        2 => parts[at] = others[dice.below(others.len())].to_owned(),
        3 => parts.swap(at, 0),
        4 => parts[at].push_str(dice.pick::<&str>(&["=", "==", "A", ".", " ", "\n", "%3D", "é", "\0"])),
        // What is in a part, encoded again.
        5 | 6 => {
            let decoded = URL_SAFE_NO_PAD.decode(&parts[at]).unwrap_or_default();
            parts[at] = URL_SAFE_NO_PAD.encode(bytes(dice, &decoded, other.as_bytes()));
        }
        7 => parts[at] = parts[at].replace('-', "+").replace('_', "/"),
        8 => parts[at] = parts[at].repeat(1 + dice.below(40)),
        _ => return String::from_utf8_lossy(&bytes(dice, from.as_bytes(), other.as_bytes())).into_owned(),
    }
    parts.join(".")
}
