//! Public keys. What a key is good for is said by the key, and never by a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Serialize};

/// What keys sign with (RFC 7518, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256: of every key that is made here.
    Es256,
    /// RSASSA-PKCS1-v1_5 of 2048 bits or more: of keys that were imported, for meshes that want it.
    Rs256,
    /// Ed25519 (RFC 8037): of other issuers' keys. None of ours signs with it.
    EdDsa,
}

impl KeyAlgorithm {
    /// As `alg` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            KeyAlgorithm::Es256 => "ES256",
            KeyAlgorithm::Rs256 => "RS256",
            KeyAlgorithm::EdDsa => "EdDSA",
        }
    }

    pub(super) fn jwt(self) -> jsonwebtoken::Algorithm {
        match self {
            KeyAlgorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            KeyAlgorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            KeyAlgorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "ES256" => Ok(KeyAlgorithm::Es256),
            "RS256" => Ok(KeyAlgorithm::Rs256),
            // RFC 9864 names the curve; with Ed25519 alone both say the same.
            "EdDSA" | "Ed25519" => Ok(KeyAlgorithm::EdDsa),
            _ => Err("must be ES256, RS256 or EdDSA"),
        }
    }
}

/// A public key as the members of a JWK (RFC 7517, RFC 7518, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkMembers {
    /// Key id.
    pub kid: String,
    /// Key type; `EC`, `RSA` or `OKP`.
    pub kty: String,
    /// The one algorithm that the key is good for.
    pub alg: String,
    /// Its use; `sig`.
    #[serde(rename = "use")]
    pub use_: String,
    /// Curve of an `EC` key, `P-256`; of an `OKP` key, `Ed25519`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// Coordinate of an `EC` key or the whole of an `OKP` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Coordinate of an `EC` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// Modulus of an `RSA` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// Exponent of an `RSA` key, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

impl JwkMembers {
    pub(super) fn es256(kid: String, x: &[u8], y: &[u8]) -> Self {
        let [x, y] = [x, y].map(|coordinate| Some(URL_SAFE_NO_PAD.encode(coordinate)));
        Self { crv: Some("P-256".into()), x, y, ..Self::bare(kid, "EC", KeyAlgorithm::Es256) }
    }

    pub(super) fn rs256(kid: String, modulus: &[u8], exponent: &[u8]) -> Self {
        let [n, e] = [modulus, exponent].map(|number| Some(URL_SAFE_NO_PAD.encode(number)));
        Self { n, e, ..Self::bare(kid, "RSA", KeyAlgorithm::Rs256) }
    }

    fn bare(kid: String, kty: &str, alg: KeyAlgorithm) -> Self {
        let (crv, x, y, n, e) = (None, None, None, None, None);
        Self { kid, kty: kty.into(), alg: alg.as_str().into(), use_: "sig".into(), crv, x, y, n, e }
    }
}

/// A public key that verifies signatures of its one algorithm.
pub struct VerifyingKey {
    algorithm: KeyAlgorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    /// From a JWK; `None` unless it is an ES256 key on P-256 of full length, an RS256 key of 2048 to 4096 bits, or an
    /// EdDSA key on Ed25519 of full length.
    pub fn from_jwk(jwk: &JwkMembers) -> Option<Self> {
        if jwk.use_ != "sig" {
            return None;
        }
        let algorithm = jwk.alg.parse().ok()?;
        let (key, fits) = match (algorithm, jwk.kty.as_str()) {
            (KeyAlgorithm::Es256, "EC") => {
                let (x, y) = (jwk.x.as_deref()?, jwk.y.as_deref()?);
                let full = x.len() == COORDINATE_CHARS && y.len() == COORDINATE_CHARS;
                (DecodingKey::from_ec_components(x, y).ok()?, full && jwk.crv.as_deref() == Some("P-256"))
            }
            (KeyAlgorithm::Rs256, "RSA") => {
                let (n, e) = (jwk.n.as_deref()?, jwk.e.as_deref()?);
                let fits = MODULUS_CHARS.contains(&n.len()) && (1..=EXPONENT_CHARS).contains(&e.len());
                (DecodingKey::from_rsa_components(n, e).ok()?, fits)
            }
            (KeyAlgorithm::EdDsa, "OKP") => {
                let x = jwk.x.as_deref()?;
                let full = x.len() == COORDINATE_CHARS;
                (DecodingKey::from_ed_components(x).ok()?, full && jwk.crv.as_deref() == Some("Ed25519"))
            }
            (KeyAlgorithm::Es256 | KeyAlgorithm::Rs256 | KeyAlgorithm::EdDsa, _) => return None,
        };
        fits.then_some(Self { algorithm, key })
    }

    /// The one algorithm that it is good for.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// Whether the signature (base64url) is this key's, over the two parts of a token before it.
    pub(super) fn verifies(&self, signed: &str, signature: &str) -> bool {
        jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &self.key, self.algorithm.jwt()).unwrap_or(false)
    }
}

/// 32 bytes in base64url without padding.
const COORDINATE_CHARS: usize = 43;
/// 256 to 512 bytes in base64url without padding.
const MODULUS_CHARS: std::ops::RangeInclusive<usize> = 342..=683;
/// 33 bits, the most that an exponent may have, in base64url without padding.
const EXPONENT_CHARS: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_keys_of_their_own_algorithm_are_keys() {
        super::super::ring_provider::install();
        let good = JwkMembers::es256("k".into(), &[1; 32], &[2; 32]);
        let rsa = JwkMembers::rs256("r".into(), &[0xff; 256], &[1, 0, 1]);
        assert!(VerifyingKey::from_jwk(&good).is_some_and(|key| key.algorithm() == KeyAlgorithm::Es256));
        assert!(VerifyingKey::from_jwk(&rsa).is_some_and(|key| key.algorithm() == KeyAlgorithm::Rs256));
        let ed =
            JwkMembers { kty: "OKP".into(), alg: "EdDSA".into(), crv: Some("Ed25519".into()), y: None, ..good.clone() };
        assert!(VerifyingKey::from_jwk(&ed).is_some_and(|key| key.algorithm() == KeyAlgorithm::EdDsa));
        let bad = [
            JwkMembers { alg: "RS256".into(), ..good.clone() },
            JwkMembers { alg: "ES256".into(), ..rsa.clone() },
            JwkMembers { alg: "HS256".into(), ..good.clone() },
            JwkMembers { alg: "none".into(), ..good.clone() },
            JwkMembers { use_: "enc".into(), ..good.clone() },
            JwkMembers { crv: Some("P-384".into()), ..good.clone() },
            JwkMembers { x: None, ..good.clone() },
            JwkMembers::es256("k".into(), &[1; 31], &[2; 32]),
            JwkMembers::rs256("r".into(), &[0xff; 255], &[1, 0, 1]),
            JwkMembers::rs256("r".into(), &[0xff; 513], &[1, 0, 1]),
            JwkMembers::rs256("r".into(), &[0xff; 256], &[]),
            JwkMembers { n: Some("not base64!".repeat(40)), ..rsa },
            JwkMembers { crv: Some("X25519".into()), ..ed.clone() },
            JwkMembers { x: Some("AA".into()), ..ed.clone() },
            JwkMembers { kty: "EC".into(), ..ed.clone() },
            JwkMembers { alg: "ES256".into(), ..ed },
        ];
        for jwk in bad {
            assert!(VerifyingKey::from_jwk(&jwk).is_none(), "{jwk:?}");
        }
    }
}
