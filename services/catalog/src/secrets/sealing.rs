use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{RandomError, random};

/// The first byte of everything sealed.
const FORMAT: u8 = 1;
/// Bytes that tell which key sealed it, for rotation.
const KEY_ID_BYTES: usize = 8;
const KEY_BYTES: usize = 32;

/// The key that seals secrets at rest.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Secrets at rest")]
pub struct SealingConfig {
    /// 32 random bytes in base64 that seal signing keys and tenant credentials
    /// ("openssl rand -base64 32"). By environment rather than by flag: a flag is
    /// seen by everybody on the machine.
    #[arg(long, env = "CATALOG_KEY_ENCRYPTION_KEY", hide_env_values = true)]
    pub key_encryption_key: Option<SecretString>,

    /// A file with that key.
    #[arg(long, env = "CATALOG_KEY_ENCRYPTION_KEY_FILE", conflicts_with = "key_encryption_key")]
    pub key_encryption_key_file: Option<PathBuf>,
}

/// What cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// No key is configured.
    #[error(
        "no key-encryption key: set CATALOG_KEY_ENCRYPTION_KEY or CATALOG_KEY_ENCRYPTION_KEY_FILE to 32 random bytes in base64"
    )]
    NoKey,
    /// The key is no key.
    #[error("the key-encryption key must be 32 bytes in base64, as \"openssl rand -base64 32\" makes them")]
    BadKey,
    /// Its file cannot be read.
    #[error("cannot read {path}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Sealed under another key, for another owner, or damaged.
    #[error("a sealed secret does not open: it was sealed under another key or for another owner, or is damaged")]
    Open,
    /// No nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Seals secrets with AES-256-GCM, the owner's id as associated data: a sealed
/// secret that was copied to another row does not open.
///
/// Form: format (1 byte), key id (8), nonce (12), ciphertext and tag.
pub(crate) struct Sealer {
    key: LessSafeKey,
    key_id: [u8; KEY_ID_BYTES],
    fingerprints: ring::hmac::Key,
    refresh_tokens: ring::hmac::Key,
}

impl SealingConfig {
    pub(crate) fn sealer(&self) -> Result<Sealer, SealError> {
        let text = match (&self.key_encryption_key, &self.key_encryption_key_file) {
            (Some(key), _) => Zeroizing::new(key.expose_secret().to_owned()),
            (None, Some(path)) => {
                let read = std::fs::read_to_string(path);
                Zeroizing::new(read.map_err(|source| SealError::KeyFile { path: path.clone(), source })?)
            }
            (None, None) => return Err(SealError::NoKey),
        };
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| SealError::BadKey)?);
        Sealer::new(bytes.as_slice().try_into().map_err(|_| SealError::BadKey)?)
    }
}

impl Sealer {
    pub(crate) fn new(key: &[u8; KEY_BYTES]) -> Result<Self, SealError> {
        let digest = ring::digest::digest(&ring::digest::SHA256, key);
        let key_id = digest.as_ref()[..KEY_ID_BYTES].try_into().map_err(|_| SealError::BadKey)?;
        let derive = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key);
        let derived =
            |purpose: &[u8]| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, ring::hmac::sign(&derive, purpose).as_ref());
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).map_err(|_| SealError::BadKey)?),
            key_id,
            fingerprints: derived(b"tenantry request fingerprints"),
            refresh_tokens: derived(b"tenantry refresh tokens"),
        })
    }

    /// A key for digests of requests with secrets in them.
    pub(crate) fn fingerprints(&self) -> &ring::hmac::Key {
        &self.fingerprints
    }

    /// A key for recognising the refresh tokens that were given out.
    pub(crate) fn refresh_tokens(&self) -> &ring::hmac::Key {
        &self.refresh_tokens
    }

    pub(crate) fn seal(&self, owner: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce = random::<NONCE_LEN>()?;
        let mut body = secret.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner), &mut body)
            .map_err(|_| SealError::Open)?;
        Ok([&[FORMAT], &self.key_id[..], &nonce[..], &body[..]].concat())
    }

    pub(crate) fn open(&self, owner: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (format, rest) = sealed.split_first().ok_or(SealError::Open)?;
        let (key_id, rest) = rest.split_at_checked(KEY_ID_BYTES).ok_or(SealError::Open)?;
        let (nonce, body) = rest.split_at_checked(NONCE_LEN).ok_or(SealError::Open)?;
        if *format != FORMAT || key_id != self.key_id {
            return Err(SealError::Open);
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Open)?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(owner), &mut body).map_err(|_| SealError::Open)?.len();
        body.truncate(length);
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_for_its_owner_under_its_key_only() {
        let sealer = Sealer::new(&[7; 32]).expect("a sealer");
        let sealed = sealer.seal("company:1", b"secret").expect("sealed");
        assert_eq!(sealer.open("company:1", &sealed).expect("opened").as_slice(), b"secret");
        assert!(sealer.open("company:2", &sealed).is_err());
        assert!(Sealer::new(&[8; 32]).expect("a sealer").open("company:1", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer.open("company:1", &damaged).is_err(), "byte {at}");
            assert!(sealer.open("company:1", &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
