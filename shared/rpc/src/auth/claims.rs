//! What tokens say.

use serde::{Deserialize, Serialize};
use tenantry_ids::{ApiKeyId, CompanyId, OperatorId, SessionId, UserId};

/// Claims of an access token (RFC 9068, section 2.2), with ours: `tenant`,
/// `access_epoch`, `roles`.
///
/// ```json
/// {"iss":"https://catalog.example","aud":["crm"],"sub":"user:0192…","client_id":"tenantry",
///  "iat":1795392000,"exp":1795392900,"jti":"0192…","sid":"0192…","tenant":"0192…","access_epoch":1,
///  "scope":"crm.people.read crm.people.write","roles":["owner"]}
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AccessClaims {
    /// Who issued it, as configured with each verifier.
    pub iss: String,
    /// The services that it is for.
    pub aud: Vec<String>,
    /// Whom it is about.
    pub sub: Subject,
    /// The client it was issued to; RFC 9068 demands one, and we have one.
    pub client_id: String,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// Not to be accepted before this, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Its own id.
    pub jti: String,
    /// Who acts for the subject (RFC 8693, section 4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Actor>,
    /// The session that it belongs to, where there is one: ending that ends the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<SessionId>,
    /// The one tenant; there is none in an operator's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<CompanyId>,
    /// The tenant's access epoch when it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_epoch: Option<u64>,
    /// Scopes, separated by spaces (RFC 8693, section 4.2).
    pub scope: String,
    /// Roles in the company.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// An operator; nobody else acts for others.
    pub sub: Subject,
}

/// Whom a token is about: `user:<id>`, `operator:<id>` or `api_key:<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A person of a company.
    User(UserId),
    /// An operator.
    Operator(OperatorId),
    /// A machine of a company.
    ApiKey(ApiKeyId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::User(id) => write!(f, "user:{id}"),
            Subject::Operator(id) => write!(f, "operator:{id}"),
            Subject::ApiKey(id) => write!(f, "api_key:{id}"),
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once(':').unwrap_or_default();
        let subject = match kind {
            "user" => id.parse().ok().map(Subject::User),
            "operator" => id.parse().ok().map(Subject::Operator),
            "api_key" => id.parse().ok().map(Subject::ApiKey),
            _ => None,
        };
        subject.ok_or("a subject is user:<id>, operator:<id> or api_key:<id>")
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What access tokens can be revoked by: `user:<id>`, `session:<id>` or `api_key:<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Revocable {
    /// Everything that a user has for the company.
    User(UserId),
    /// What belongs to one sign-in.
    Session(SessionId),
    /// What a machine's key was exchanged for.
    ApiKey(ApiKeyId),
}

impl std::fmt::Display for Revocable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Revocable::User(id) => write!(f, "user:{id}"),
            Revocable::Session(id) => write!(f, "session:{id}"),
            Revocable::ApiKey(id) => write!(f, "api_key:{id}"),
        }
    }
}

impl std::str::FromStr for Revocable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once(':').unwrap_or_default();
        let revocable = match kind {
            "user" => id.parse().ok().map(Revocable::User),
            "session" => id.parse().ok().map(Revocable::Session),
            "api_key" => id.parse().ok().map(Revocable::ApiKey),
            _ => None,
        };
        revocable.ok_or("tokens are revoked by user:<id>, session:<id> or api_key:<id>")
    }
}

/// Claims of a service's own token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ServiceClaims {
    pub(super) iss: String,
    pub(super) sub: String,
    pub(super) aud: String,
    pub(super) iat: i64,
    pub(super) exp: i64,
}
