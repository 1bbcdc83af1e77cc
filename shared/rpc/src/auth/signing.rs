//! A private key that signs tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::Serialize;

use super::{ACCESS_TOKEN, AccessClaims, JwkMembers, ring_provider};

/// A key or a token that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// No key came out of the random generator.
    #[error("no signing key could be generated")]
    Generate,
    /// The bytes are no PKCS#8 key for ES256.
    #[error("not a PKCS#8 key for ES256")]
    Key,
    /// A token could not be signed.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// An ES256 private key under its key id.
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
    public: JwkMembers,
}

impl SigningKey {
    /// A new private key, as PKCS#8 in DER.
    pub fn generate() -> Result<Vec<u8>, SigningError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| SigningError::Generate)
    }

    /// A key from its PKCS#8 DER.
    pub fn from_pkcs8(kid: impl Into<String>, pkcs8: &[u8]) -> Result<Self, SigningError> {
        ring_provider::install();
        let kid = kid.into();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
            .map_err(|_| SigningError::Key)?;
        // SEC 1, section 2.3.3: 0x04, then x and y of 32 bytes each.
        let point = pair.public_key().as_ref();
        let coordinate = |at: std::ops::Range<usize>| {
            point.get(at).map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).ok_or(SigningError::Key)
        };
        let public = JwkMembers::es256(kid.clone(), coordinate(1..33)?, coordinate(33..65)?);
        Ok(Self { kid, key: EncodingKey::from_ec_der(pkcs8), public })
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as a JWK.
    pub fn public(&self) -> &JwkMembers {
        &self.public
    }

    /// An access token with these claims.
    pub fn sign_access(&self, claims: &AccessClaims) -> Result<String, SigningError> {
        self.sign(ACCESS_TOKEN, claims)
    }

    pub(super) fn sign<T: Serialize>(&self, typ: &str, claims: &T) -> Result<String, SigningError> {
        let header = Header { typ: Some(typ.to_owned()), kid: Some(self.kid.clone()), ..Header::new(Algorithm::ES256) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SigningError::Sign)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
