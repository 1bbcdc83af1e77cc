//! Tokens of other issuers. Nothing opens by them: what they say, once proven, is exchanged for a token of ours.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{KeyAlgorithm, KeySource};
use crate::{Error, Reason};

/// A longer token is refused before any of it is read, in bytes. Twice ours: others list groups.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What is demanded of an issuer's tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalRules {
    /// One of these must be among a token's audiences.
    pub audiences: Vec<String>,
    /// What its keys may sign with.
    pub algorithms: Vec<KeyAlgorithm>,
    /// How long ago a token may have been issued.
    pub max_age: Duration,
    /// How far the issuer's clock and ours may be apart.
    pub leeway: Duration,
}

/// An issuer's token, taken apart, and nothing of it believed.
#[derive(Debug)]
pub struct ExternalToken<'t> {
    algorithm: KeyAlgorithm,
    kid: Option<String>,
    claims: Map<String, Value>,
    /// The header and the payload as they were signed.
    signed: &'t str,
    signature: &'t str,
}

/// What an issuer says, proven.
#[derive(Debug)]
pub struct ExternalClaims(Map<String, Value>);

/// The members of a header that matter (RFC 7515, section 4.1); others have to be ignored.
#[derive(Deserialize)]
struct Header {
    alg: Option<String>,
    kid: Option<String>,
    jwk: Option<Value>,
    jku: Option<Value>,
    x5c: Option<Value>,
    x5u: Option<Value>,
    crit: Option<Value>,
    /// Whether the payload is compressed (RFC 7516): of no signed token.
    zip: Option<Value>,
}

impl<'t> ExternalToken<'t> {
    /// Takes a token apart. One that brings its own key, or is not signed with a key pair, goes no further.
    pub fn read(token: &'t str) -> Result<Self, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid());
        }
        let (signed, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
        let (header, payload) = signed.split_once('.').ok_or_else(invalid)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| invalid());
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| invalid())?;
        if [&header.jwk, &header.jku, &header.x5c, &header.x5u].into_iter().any(Option::is_some) {
            let message = "the token brings its own key; only keys that its issuer publishes are taken";
            return Err(Error::new(Reason::ExternalTokenEmbeddedKey, message));
        }
        if header.crit.is_some() || header.zip.is_some() {
            let message = "the token's header demands what is not understood here";
            return Err(Error::new(Reason::ExternalTokenCritical, message));
        }
        let algorithm = header.alg.and_then(|alg| alg.parse().ok()).ok_or_else(algorithm)?;
        let claims = serde_json::from_slice(&decode(payload)?).map_err(|_| invalid())?;
        Ok(Self { algorithm, kid: header.kid, claims, signed, signature })
    }

    /// Who says to have issued it: whose rules to look for, and not to be believed.
    pub fn issuer(&self) -> Result<&str, Error> {
        self.claims.get("iss").and_then(Value::as_str).ok_or_else(invalid)
    }

    /// Proves that the issuer has issued it, for us, and that it is good now. What costs nothing comes before the key,
    /// and the signature last.
    pub async fn prove(self, rules: &ExternalRules, keys: &dyn KeySource, now: i64) -> Result<ExternalClaims, Error> {
        if !rules.algorithms.contains(&self.algorithm) {
            return Err(algorithm());
        }
        if !audiences(&self.claims).any(|audience| rules.audiences.iter().any(|known| known == audience)) {
            let message = "the token is not for this installation; ask its issuer for one with a registered audience";
            return Err(Error::new(Reason::ExternalTokenAudience, message));
        }
        let claims = ExternalClaims(self.claims);
        claims.check_times(rules, now)?;
        let Some(kid) = self.kid else { return Err(key_unknown()) };
        let key = keys.key(&kid).await.map_err(|error| {
            Error::new(Reason::IssuerKeysUnavailable, "the issuer's keys cannot be fetched at the moment; try again")
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        })?;
        let key = key.ok_or_else(key_unknown)?;
        // The algorithm is the key's: a header that says otherwise is an attack or a mistake.
        if key.algorithm() != self.algorithm {
            return Err(algorithm());
        }
        if !key.verifies(self.signed, self.signature) {
            return Err(invalid());
        }
        Ok(claims)
    }
}

impl ExternalClaims {
    /// A claim that is a text, and not an empty one.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Whether a claim is true: the word itself, since some issuers send "true" of what a user has typed.
    pub fn holds(&self, claim: &str) -> bool {
        self.0.get(claim) == Some(&Value::Bool(true))
    }

    /// When the token ends, in seconds since 1970.
    pub fn expires_at(&self) -> Option<i64> {
        self.time("exp")
    }

    fn check_times(&self, rules: &ExternalRules, now: i64) -> Result<(), Error> {
        let (Some(issued_at), Some(expires_at)) = (self.time("iat"), self.expires_at()) else { return Err(invalid()) };
        let not_before = match self.0.get("nbf") {
            None => issued_at,
            Some(_) => self.time("nbf").ok_or_else(invalid)?.max(issued_at),
        };
        let [leeway, max_age] = [rules.leeway, rules.max_age].map(|time| time.as_secs().cast_signed());
        if not_before > now.saturating_add(leeway) {
            let message = "the token is not good yet; compare the clocks";
            return Err(Error::new(Reason::ExternalTokenNotYetValid, message));
        }
        if expires_at <= now.saturating_sub(leeway) {
            return Err(Error::new(Reason::ExternalTokenExpired, "the token has expired; ask its issuer for another"));
        }
        if now.saturating_sub(issued_at) > max_age.saturating_add(leeway) {
            let message = "the token was issued too long ago; ask its issuer for another";
            return Err(Error::new(Reason::ExternalTokenTooOld, message));
        }
        Ok(())
    }

    /// A NumericDate (RFC 7519, section 2), which may have a fraction.
    fn time(&self, claim: &str) -> Option<i64> {
        let number = self.0.get(claim)?;
        let whole = || number.as_f64().filter(|time| time.abs() < LARGEST_WHOLE).map(|time| time.floor() as i64);
        number.as_i64().or_else(whole)
    }
}

/// What a float counts up to without gaps, and far more seconds than there are.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// One text, or a list of them.
fn audiences(claims: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (one, many) = match claims.get("aud") {
        Some(Value::String(one)) => (Some(one.as_str()), None),
        Some(Value::Array(many)) => (None, Some(many)),
        Some(_) | None => (None, None),
    };
    one.into_iter().chain(many.into_iter().flatten().filter_map(Value::as_str))
}

fn invalid() -> Error {
    Error::new(Reason::ExternalTokenInvalid, "this is no token that its issuer has signed")
}

fn algorithm() -> Error {
    let message = "the token is signed in a way that is not taken from its issuer";
    Error::new(Reason::ExternalTokenAlgorithm, message)
}

fn key_unknown() -> Error {
    Error::new(Reason::ExternalTokenKeyUnknown, "the token's issuer publishes no key of its kid")
}

#[cfg(test)]
#[path = "external_tests.rs"]
mod tests;
