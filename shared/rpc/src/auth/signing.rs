//! A private key that signs tokens.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, Header};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RsaKeyPair};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{ACCESS_TOKEN, AccessClaims, JwkMembers, KeyAlgorithm, ring_provider};

/// A key or a token that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// No key came out of the random generator.
    #[error("no signing key could be generated")]
    Generate,
    /// The bytes are no PKCS#8 key for the algorithm.
    #[error("not a PKCS#8 key for {}", .0.as_str())]
    Key(KeyAlgorithm),
    /// None of our keys signs so.
    #[error("keys for {} only verify here; sign with ES256 or RS256", .0.as_str())]
    VerifiesOnly(KeyAlgorithm),
    /// A token could not be signed.
    #[error("the token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// A private key under its key id.
pub struct SigningKey {
    kid: String,
    algorithm: KeyAlgorithm,
    key: EncodingKey,
    public: JwkMembers,
}

impl SigningKey {
    /// A new private key for ES256, as PKCS#8 in DER.
    pub fn generate() -> Result<Vec<u8>, SigningError> {
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map(|document| document.as_ref().to_vec())
            .map_err(|_| SigningError::Generate)
    }

    /// An ES256 key from its PKCS#8 DER.
    pub fn from_pkcs8(kid: impl Into<String>, pkcs8: &[u8]) -> Result<Self, SigningError> {
        Self::of(KeyAlgorithm::Es256, kid, pkcs8)
    }

    /// A key of this algorithm from its PKCS#8 DER.
    pub fn of(algorithm: KeyAlgorithm, kid: impl Into<String>, pkcs8: &[u8]) -> Result<Self, SigningError> {
        ring_provider::install();
        let (kid, bad) = (kid.into(), || SigningError::Key(algorithm));
        let (key, public) = match algorithm {
            KeyAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new())
                    .map_err(|_| bad())?;
                // SEC 1, section 2.3.3: 0x04, then x and y of 32 bytes each.
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..33).zip(point.get(33..65)).ok_or_else(bad)?;
                (EncodingKey::from_ec_der(pkcs8), JwkMembers::es256(kid.clone(), x, y))
            }
            KeyAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| bad())?;
                let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                (EncodingKey::from_rsa_der(pkcs8), JwkMembers::rs256(kid.clone(), &public.n, &public.e))
            }
            KeyAlgorithm::EdDsa => return Err(SigningError::VerifiesOnly(algorithm)),
        };
        Ok(Self { kid, algorithm, key, public })
    }

    /// The DER in a PEM file of a private key in PKCS#8, if it is one.
    pub fn der_of_pem(pem: &str) -> Option<Zeroizing<Vec<u8>>> {
        let body = pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?.strip_suffix("-----END PRIVATE KEY-----")?;
        let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
        STANDARD.decode(body.as_bytes()).ok().map(Zeroizing::new)
    }

    /// The key's id.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// What it signs with.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
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
        let (typ, kid) = (Some(typ.to_owned()), Some(self.kid.clone()));
        let header = Header { typ, kid, ..Header::new(self.algorithm.jwt()) };
        jsonwebtoken::encode(&header, claims, &self.key).map_err(SigningError::Sign)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
