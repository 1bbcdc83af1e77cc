//! Argon2 in memory that is used again.
//!
//! The C library's allocator gives the 19 MiB of a hash back to nobody: small allocations between two of them split the
//! freed block, and a catalog that thirty people signed in to kept 600 MiB.

use std::cell::RefCell;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{self, CustomizedPasswordHasher, PasswordHasher};
use argon2::{Algorithm, Argon2, Block, Params, Version};

thread_local! {
    /// Ends with the thread.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// Argon2id with these parameters, in the calling thread's memory. Compares by the parameters of the hash.
#[derive(Clone)]
pub(super) struct Hasher {
    algorithm: Algorithm,
    version: Version,
    params: Params,
}

impl Hasher {
    pub(super) fn new(params: Params) -> Self {
        Self { algorithm: Algorithm::Argon2id, version: Version::V0x13, params }
    }
}

impl PasswordHasher<PasswordHash> for Hasher {
    fn hash_password_with_salt(&self, password: &[u8], salt: &[u8]) -> password_hash::Result<PasswordHash> {
        let salt = Salt::new(salt)?;
        let length = self.params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let mut output = [0; Output::MAX_LENGTH];
        let output = output.get_mut(..length).ok_or(password_hash::Error::OutputSize)?;
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        MEMORY.with_borrow_mut(|memory| {
            // Nothing is read before it was written, so what an earlier hash left does not matter.
            memory.resize(self.params.block_count().max(memory.len()), Block::new());
            argon2.hash_password_into_with_memory(password, &salt, output, memory)
        })?;
        Ok(PasswordHash {
            algorithm: self.algorithm.ident(),
            version: Some(self.version.into()),
            params: ParamsString::try_from(&self.params)?,
            salt: Some(salt),
            hash: Some(Output::new(output)?),
        })
    }
}

/// What compares a password with a hash is built on this.
impl CustomizedPasswordHasher<PasswordHash> for Hasher {
    type Params = Params;

    fn hash_password_customized(
        &self,
        password: &[u8],
        salt: &[u8],
        algorithm: Option<&str>,
        version: Option<password_hash::Version>,
        params: Params,
    ) -> password_hash::Result<PasswordHash> {
        let algorithm = algorithm.map(Algorithm::try_from).transpose()?.unwrap_or(self.algorithm);
        let version = version.map(Version::try_from).transpose()?.unwrap_or(self.version);
        Self { algorithm, version, params }.hash_password_with_salt(password, salt)
    }
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;

    use super::*;

    fn params(kib: u32) -> Params {
        Params::new(kib, 2, 1, None).unwrap()
    }

    #[test]
    fn a_hash_is_the_librarys_own_whatever_the_memory_held() {
        for (kib, password) in [(64, "one"), (8, "zwei"), (128, "три"), (64, "")] {
            let own = Hasher::new(params(kib)).hash_password(password.as_bytes()).unwrap();
            let library = Argon2::from(params(kib));
            let salt = own.salt.unwrap();
            assert_eq!(own, library.hash_password_with_salt(password.as_bytes(), &salt).unwrap());
            library.verify_password(password.as_bytes(), &own).unwrap();
        }
    }

    #[test]
    fn a_hash_is_compared_by_its_own_parameters() {
        let hasher = Hasher::new(params(8));
        for length in [None, Some(16), Some(64)] {
            let kept = Argon2::from(Params::new(256, 1, 1, length).unwrap()).hash_password(b"correct").unwrap();
            hasher.verify_password(b"correct", &kept).unwrap();
            hasher.verify_password(b"incorrect", &kept).unwrap_err();
        }
    }
}
