//! Tokens: signing, and verifying without asking anybody.
//!
//! Two sorts are accepted, told apart by their `typ` header, each under its own
//! keys: access tokens (`at+jwt`, RFC 9068) that the catalog issues to users and
//! operators, and service tokens that a service signs with its own key. Tokens of
//! other issuers ([`ExternalToken`]) open nothing: the catalog exchanges them.

mod claims;
mod external;
mod figures;
mod jwk;
mod key_cache;
mod remembered;
mod ring_provider;
mod service_identity;
mod signing;
mod verifier;

pub use claims::{AccessClaims, Actor, Revocable, Subject};
pub use external::{ExternalClaims, ExternalRules, ExternalToken};
pub use jwk::{JwkMembers, KeyAlgorithm, VerifyingKey};
pub use key_cache::{KeyCache, KeyCacheConfig, KeyError, KeyFetch, KeySource};
pub use service_identity::{IdentityError, ServiceIdentity, ServiceKeyFiles, TrustedServices, create_service_key};
pub use signing::{SigningError, SigningKey};
pub use verifier::{Verifier, VerifierSettings};

/// `typ` of access tokens (RFC 9068, section 2.1).
const ACCESS_TOKEN: &str = "at+jwt";
/// `typ` of the tokens that services sign for themselves.
const SERVICE_TOKEN: &str = "tenantry-service+jwt";
