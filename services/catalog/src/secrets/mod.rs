//! Secrets: sealed at rest, hashed where they only have to be recognised.

mod credential;
mod hashing;
mod password;
mod refresh_token;
mod sealing;
mod tenant_password;

pub(crate) use credential::Credential;
pub use password::PasswordConfig;
pub(crate) use password::{PasswordError, Passwords};
pub(crate) use refresh_token::RefreshToken;
pub use sealing::SealingConfig;
pub(crate) use sealing::{SealError, Sealer};
pub(crate) use tenant_password::TenantPassword;

use ring::rand::{SecureRandom, SystemRandom};

/// The random generator gave nothing.
#[derive(Debug, thiserror::Error)]
#[error("the system's random generator failed")]
pub struct RandomError;

/// Random bytes from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| RandomError)?;
    Ok(bytes)
}
