//! Verifies tokens, cheapest checks first.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::claims::ServiceClaims;
use super::{
    ACCESS_TOKEN, AccessClaims, KeySource, SERVICE_TOKEN, Subject, TrustedServices, VerifyingKey, ring_provider,
};
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
}

/// Verifies access tokens and service tokens.
pub struct Verifier {
    settings: VerifierSettings,
    keys: Arc<dyn KeySource>,
    services: TrustedServices,
    clock: Arc<dyn Clock>,
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

impl Verifier {
    /// A verifier for one service.
    pub fn new(
        settings: VerifierSettings,
        keys: Arc<dyn KeySource>,
        services: TrustedServices,
        clock: Arc<dyn Clock>,
    ) -> Self {
        ring_provider::install();
        Self { settings, keys, services, clock }
    }

    /// Who the bearer of this token is.
    pub async fn verify(&self, token: &str) -> Result<Caller, Error> {
        let header = read_header(token).ok_or_else(invalid)?;
        match header.typ.as_str() {
            ACCESS_TOKEN => self.verify_access(token, &header.kid).await,
            SERVICE_TOKEN => self.verify_service(token, &header.kid),
            _ => Err(invalid()),
        }
    }

    async fn verify_access(&self, token: &str, kid: &str) -> Result<Caller, Error> {
        let key = self.keys.key(kid).await.map_err(|error| {
            Error::new(Reason::KeysUnavailable, "tokens cannot be verified at the moment; try again")
                .retry_after(Duration::from_secs(1))
                .caused_by(error)
        })?;
        let claims: AccessClaims = signed_claims(token, &*key.ok_or_else(invalid)?)?;
        if claims.iss != self.settings.issuer || !claims.aud.contains(&self.settings.audience) {
            return Err(invalid());
        }
        self.check_times(claims.iat.max(claims.nbf.unwrap_or(claims.iat)), claims.exp)?;
        caller_of(claims)
    }

    fn verify_service(&self, token: &str, kid: &str) -> Result<Caller, Error> {
        let key = self.services.key(kid).ok_or_else(invalid)?;
        let claims: ServiceClaims = signed_claims(token, key)?;
        if claims.iss != kid || claims.sub != kid || claims.aud != self.settings.audience {
            return Err(invalid());
        }
        self.check_times(claims.iat, claims.exp)?;
        Ok(Caller::Service(claims.sub.into()))
    }

    fn check_times(&self, from: i64, until: i64) -> Result<(), Error> {
        let now = self.clock.now().timestamp();
        if from > now + LEEWAY_SECONDS {
            return Err(invalid());
        }
        if until <= now - LEEWAY_SECONDS {
            return Err(Error::new(Reason::TokenExpired, "the token has expired; sign in again"));
        }
        Ok(())
    }
}

fn caller_of(claims: AccessClaims) -> Result<Caller, Error> {
    let scopes = claims.scope.split_ascii_whitespace().map(str::to_owned).collect();
    match (claims.sub, claims.tenant, claims.access_epoch) {
        (Subject::User(user), Some(tenant), Some(access_epoch)) => {
            let (issued_at, roles) = (claims.iat, claims.roles);
            Ok(Caller::User(Arc::new(UserClaims { user, tenant, access_epoch, issued_at, roles, scopes })))
        }
        (Subject::Operator(operator), None, None) => {
            Ok(Caller::Operator(Arc::new(OperatorClaims { operator, scopes })))
        }
        (Subject::User(_) | Subject::Operator(_), _, _) => Err(invalid()),
    }
}

fn read_header(token: &str) -> Option<TokenHeader> {
    if token.len() > MAX_TOKEN_BYTES || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
        return None;
    }
    let (header, _) = token.split_once('.')?;
    let header: TokenHeader = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    // The algorithm is the key's and all our keys are ES256: a header that says
    // otherwise is an attack or a mistake.
    (header.alg == "ES256").then_some(header)
}

/// The claims, once the signature holds. Times, issuer and audience are ours to
/// check, against our clock and configuration.
fn signed_claims<T: DeserializeOwned + Clone>(token: &str, key: &VerifyingKey) -> Result<T, Error> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, &key.0, &validation).map(|data| data.claims).map_err(|_| invalid())
}

/// One answer for every way in which a token is wrong: a reason, never a hint.
fn invalid() -> Error {
    Error::new(Reason::TokenInvalid, "the token is not valid for this service; sign in again")
}
