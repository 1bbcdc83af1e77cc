use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use tenantry_ids::SessionId;
use uuid::Uuid;

use super::{Credential, RandomError, random};

/// Tells people and secret scanners what it is.
const PREFIX: &str = "tnrt_";
const ID_BYTES: usize = 16;
const RANDOM_BYTES: usize = 32;
const TAG_BYTES: usize = 32;

/// What continues a session, once.
///
/// Form: the session's id, 32 random bytes, and an HMAC over both. Only a hash of the newest is kept. The HMAC tells one
/// that was given out before, which ends the session when it comes again, from one that nobody has given out, which
/// must not: whoever knows a session's id could end it. What comes after one follows from it, so that all who use it at
/// once, or once more because the answer was lost, go on with the same.
pub(crate) struct RefreshToken {
    session: SessionId,
    text: String,
}

impl RefreshToken {
    /// The first of a session.
    pub(crate) fn new(key: &hmac::Key, session: SessionId) -> Result<Self, RandomError> {
        Ok(Self::of(key, session, &random::<RANDOM_BYTES>()?))
    }

    /// The one that comes after this one. Nobody without the key can tell.
    pub(crate) fn next(&self, key: &hmac::Key) -> Self {
        // Longer than any body, so that this is no token's tag.
        let seed = hmac::sign(key, format!("after {}", self.text).as_bytes());
        Self::of(key, self.session, seed.as_ref())
    }

    fn of(key: &hmac::Key, session: SessionId, unguessable: &[u8]) -> Self {
        let body = [&session.0.as_bytes()[..], unguessable].concat();
        let whole = [&body[..], hmac::sign(key, &body).as_ref()].concat();
        Self { session, text: format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(whole)) }
    }

    /// One that was given out at some time.
    pub(crate) fn parse(key: &hmac::Key, text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        let bytes: [u8; ID_BYTES + RANDOM_BYTES + TAG_BYTES] = URL_SAFE_NO_PAD.decode(encoded).ok()?.try_into().ok()?;
        let (body, tag) = bytes.split_at_checked(ID_BYTES + RANDOM_BYTES)?;
        hmac::verify(key, body, tag).ok()?;
        let session = SessionId(Uuid::from_slice(body.get(..ID_BYTES)?).ok()?);
        Some(Self { session, text: text.to_owned() })
    }

    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// What is shown once.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }

    /// What is kept.
    pub(crate) fn hash(&self) -> String {
        Credential::hash_of(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use tenantry_ids::SystemIds;

    use super::*;

    #[test]
    fn the_next_one_follows_from_the_one_before_and_from_the_key() {
        let (key, other) = (hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]), hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]));
        let first = RefreshToken::new(&key, SessionId::new(&SystemIds)).expect("a token");
        let next = first.next(&key);
        assert_eq!((next.session(), next.hash()), (first.session(), first.next(&key).hash()));
        assert!(RefreshToken::parse(&key, next.expose()).is_some());
        let all = [first.hash(), next.hash(), next.next(&key).hash(), first.next(&other).hash()];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn only_what_was_given_out_is_read_back() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let session = SessionId::new(&SystemIds);
        let token = RefreshToken::new(&key, session).expect("a token");
        let text = token.expose();
        let read = RefreshToken::parse(&key, text).expect("itself");
        assert_eq!((read.session(), read.hash()), (session, token.hash()));
        assert_ne!(RefreshToken::new(&key, session).expect("a token").hash(), token.hash());
        let other = hmac::Key::new(hmac::HMAC_SHA256, &[8; 32]);
        assert!(RefreshToken::parse(&other, text).is_none());
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(RefreshToken::parse(&key, &changed).is_none(), "{changed}");
            assert!(RefreshToken::parse(&key, &text[..at]).is_none());
        }
        for odd in ["", "tnrt_", "ey.ey.x", &format!("{text}A"), &format!(" {text}"), &"x".repeat(100_000)] {
            assert!(RefreshToken::parse(&key, odd).is_none());
        }
    }
}
