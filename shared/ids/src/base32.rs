//! Crockford's base32, lower case: safe in every engine's identifiers.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 26;

/// 128 bits as 26 characters, most significant first.
pub(crate) fn encode(bits: u128) -> String {
    (0..LENGTH).rev().map(|place| char::from(ALPHABET[(bits >> (5 * place)) as usize & 31])).collect()
}
