use std::num::NonZeroU32;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{digest, hmac, pbkdf2};
use tenantry_api::migrator::v1::PasswordVerifier;
use zeroize::Zeroizing;

use super::{RandomError, random};

/// One round of PBKDF2: the password has 256 random bits, so that guessing it is
/// hopeless at any speed, and a connect costs half the time of 4,096 rounds.
const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::MIN;

/// The password of a tenant's login role.
pub(crate) struct TenantPassword(Zeroizing<String>);

impl TenantPassword {
    pub(crate) fn generate() -> Result<Self, RandomError> {
        Ok(Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random::<32>()?))))
    }

    /// The password in bytes that were sealed, if they are one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(|text| Self(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// What database servers store of it.
    pub(crate) fn verifier(&self) -> Result<PasswordVerifier, RandomError> {
        Ok(PasswordVerifier {
            scram_sha_256: scram(&self.0, &random::<16>()?, SCRAM_ITERATIONS),
            mysql_native: mysql_native(&self.0),
        })
    }
}

/// RFC 5803's form with RFC 7677's hash, as PostgreSQL stores it.
fn scram(password: &str, salt: &[u8], iterations: NonZeroU32) -> String {
    let mut salted = Zeroizing::new([0; digest::SHA256_OUTPUT_LEN]);
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, password.as_bytes(), &mut *salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &*salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

/// What MySQL and MariaDB call a native password: '*' and hex of SHA1(SHA1(p)).
fn mysql_native(password: &str) -> String {
    let once = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
    let hex: String = twice.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    format!("*{hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of RFC 7677, section 3.
    #[test]
    fn the_scram_verifier_is_the_standards() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("salt");
        let verifier = scram("pencil", &salt, NonZeroU32::new(4096).expect("not zero"));
        assert_eq!(
            verifier,
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    /// As `SELECT PASSWORD('password')` answers.
    #[test]
    fn the_native_verifier_is_mariadbs() {
        assert_eq!(mysql_native("password"), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    }
}
