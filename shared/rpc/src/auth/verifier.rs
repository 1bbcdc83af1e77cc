//! Verifies tokens, cheapest checks first.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::ServiceClaims;
use super::remembered::{Remembered, Remembering};
use super::{
    ACCESS_TOKEN, AccessClaims, Actor, KeyAlgorithm, KeySource, SERVICE_TOKEN, Subject, TrustedServices, VerifyingKey,
    figures, ring_provider,
};
use crate::context::Principal;
use crate::{Caller, Clock, Error, OperatorClaims, Reason, UserClaims};

/// A longer token is refused before any of it is read, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How far the clocks of two machines may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 5;

/// What a verifier demands of tokens.
#[derive(Debug, Clone)]
pub struct VerifierSettings {
    /// The issuer of access tokens, from configuration and never from a token.
    pub issuer: String,
    /// The name of this service, which a token's audience must hold.
    pub audience: String,
    /// Verified tokens that are remembered; 0 verifies every one every time.
    pub remembered_tokens: u64,
}

/// Verifies access tokens and service tokens. What was verified is remembered until it expires or a key is gone, so
/// that most calls cost a look-up. Whether a company still takes the token is asked each time, elsewhere.
pub struct Verifier {
    settings: VerifierSettings,
    keys: Arc<dyn KeySource>,
    services: TrustedServices,
    clock: Arc<dyn Clock>,
    remembering: Arc<Remembering>,
}

/// The whole of a header of ours. Anything more (an embedded key, a key address,
/// `crit`) is not ours, and refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// A token taken apart, and nothing of it believed.
struct Unverified<'t> {
    header: TokenHeader,
    algorithm: KeyAlgorithm,
    payload: Vec<u8>,
    /// The header and the payload as they were signed.
    signed: &'t str,
    signature: &'t str,
}

impl Verifier {
    /// A verifier for one service.
    pub fn new(
        settings: VerifierSettings,
        keys: Arc<dyn KeySource>,
        services: TrustedServices,
        clock: Arc<dyn Clock>,
    ) -> Self {
        ring_provider::install();
        let remembering = Arc::new(Remembering::new(settings.remembered_tokens));
        figures::observe(&settings.audience, &remembering, &keys);
        Self { settings, keys, services, clock, remembering }
    }

    /// Who the bearer of this token is.
    pub async fn verify(&self, token: &str) -> Result<Caller, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(invalid());
        }
        // Before the keys are looked at: one that goes meanwhile makes what is remembered now count for nothing.
        let generation = self.keys.generation();
        if let Some(known) = self.remembering.get(token, generation) {
            self.check_end(known.until)?;
            return Ok(known.caller);
        }
        let (caller, until) = self.verify_anew(token).await?;
        let seconds = until.saturating_add(LEEWAY_SECONDS).saturating_sub(self.clock.now().timestamp());
        let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
        self.remembering.put(token, Remembered { caller: caller.clone(), until, lasts, generation });
        Ok(caller)
    }

    /// Everything that costs nothing comes before the key, and the signature last.
    async fn verify_anew(&self, token: &str) -> Result<(Caller, i64), Error> {
        let token = Unverified::read(token).ok_or_else(invalid)?;
        match token.header.typ.as_str() {
            ACCESS_TOKEN => self.verify_access(&token).await,
            SERVICE_TOKEN => self.verify_service(&token),
            _ => Err(invalid()),
        }
    }

    async fn verify_access(&self, token: &Unverified<'_>) -> Result<(Caller, i64), Error> {
        let claims: AccessClaims = serde_json::from_slice(&token.payload).map_err(|_| invalid())?;
        if claims.iss != self.settings.issuer || !claims.aud.contains(&self.settings.audience) {
            return Err(invalid());
        }
        self.check_times(claims.iat.max(claims.nbf.unwrap_or(claims.iat)), claims.exp)?;
        let until = claims.exp;
        let caller = caller_of(claims)?;
        let key = self.keys.key(&token.header.kid).await.map_err(|error| {
            Error::new(Reason::KeysUnavailable, "tokens cannot be verified at the moment; try again")
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        })?;
        token.check_signature(&*key.ok_or_else(invalid)?)?;
        Ok((caller, until))
    }

    fn verify_service(&self, token: &Unverified<'_>) -> Result<(Caller, i64), Error> {
        let key = self.services.key(&token.header.kid).ok_or_else(invalid)?;
        let claims: ServiceClaims = serde_json::from_slice(&token.payload).map_err(|_| invalid())?;
        let kid = &token.header.kid;
        if claims.iss != *kid || claims.sub != *kid || claims.aud != self.settings.audience {
            return Err(invalid());
        }
        self.check_times(claims.iat, claims.exp)?;
        token.check_signature(key)?;
        Ok((Caller::Service(claims.sub.into()), claims.exp))
    }

    fn check_times(&self, from: i64, until: i64) -> Result<(), Error> {
        if from > self.clock.now().timestamp().saturating_add(LEEWAY_SECONDS) {
            return Err(invalid());
        }
        self.check_end(until)
    }

    fn check_end(&self, until: i64) -> Result<(), Error> {
        if until <= self.clock.now().timestamp() - LEEWAY_SECONDS {
            return Err(Error::new(Reason::TokenExpired, "the token has expired; sign in again"));
        }
        Ok(())
    }
}

impl<'t> Unverified<'t> {
    fn read(token: &'t str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header: TokenHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
        let algorithm = header.alg.parse().ok()?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        Some(Self { header, algorithm, payload, signed, signature })
    }

    /// The algorithm is the key's: a header that says otherwise is an attack or a mistake.
    fn check_signature(&self, key: &VerifyingKey) -> Result<(), Error> {
        let holds = key.algorithm() == self.algorithm && key.verifies(self.signed, self.signature);
        holds.then_some(()).ok_or_else(invalid)
    }
}

fn caller_of(claims: AccessClaims) -> Result<Caller, Error> {
    let scopes = claims.scope.split_ascii_whitespace().map(str::to_owned).collect();
    let actor = match claims.act {
        None => None,
        Some(Actor { sub: Subject::Operator(operator) }) => Some(operator),
        Some(_) => return Err(invalid()),
    };
    let principal = match (claims.sub, actor) {
        (Subject::User(user), _) => Principal::User(user),
        (Subject::ApiKey(key), None) => Principal::ApiKey(key),
        (Subject::Operator(operator), None) if claims.tenant.is_none() && claims.access_epoch.is_none() => {
            return Ok(Caller::Operator(Arc::new(OperatorClaims { operator, scopes })));
        }
        (Subject::Operator(_) | Subject::ApiKey(_), _) => return Err(invalid()),
    };
    let (Some(tenant), Some(access_epoch)) = (claims.tenant, claims.access_epoch) else { return Err(invalid()) };
    let (session, issued_at, roles) = (claims.sid, claims.iat, claims.roles);
    let claims = UserClaims { principal, actor, session, tenant, access_epoch, issued_at, roles, scopes };
    Ok(Caller::User(Arc::new(claims)))
}

/// One answer for every way in which a token is wrong: a reason, never a hint.
fn invalid() -> Error {
    Error::new(Reason::TokenInvalid, "the token is not valid for this service; sign in again")
}

#[cfg(test)]
#[path = "verifier_tests.rs"]
mod tests;
