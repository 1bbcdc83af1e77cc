use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{RandomError, random};

/// A secret that a machine made and only has to be recognised: an operator's
/// credential, an invitation. 256 random bits need no slow hash.
pub(crate) struct Credential(String);

impl Credential {
    /// A new one; the prefix tells people and secret scanners what it is.
    pub(crate) fn new(prefix: &str) -> Result<Self, RandomError> {
        Ok(Self(format!("{prefix}_{}", URL_SAFE_NO_PAD.encode(random::<32>()?))))
    }

    /// What is shown once.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept.
    pub(crate) fn hash(&self) -> String {
        Self::hash_of(&self.0)
    }

    /// What is kept of a secret that somebody presents.
    pub(crate) fn hash_of(text: &str) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
