use std::sync::Arc;
use std::time::Instant;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::password_figures::Figures;

/// How people's passwords are hashed.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Passwords")]
pub struct PasswordConfig {
    /// Argon2id memory, in KiB (OWASP's minimum is 19456).
    #[arg(long, env = "CATALOG_ARGON2_MEMORY_KIB", default_value_t = 19_456)]
    pub argon2_memory_kib: u32,

    /// Argon2id passes over the memory (OWASP's minimum is 2).
    #[arg(long, env = "CATALOG_ARGON2_PASSES", default_value_t = 2)]
    pub argon2_passes: u32,

    /// Passwords hashed at once; each takes a core and its memory.
    #[arg(long, env = "CATALOG_ARGON2_AT_ONCE", default_value_t = 2)]
    pub argon2_at_once: usize,

    /// Passwords that may wait to be hashed; more are refused.
    #[arg(long, env = "CATALOG_ARGON2_QUEUE", default_value_t = 64)]
    pub argon2_queue: usize,
}

impl Default for PasswordConfig {
    fn default() -> Self {
        Self { argon2_memory_kib: 19_456, argon2_passes: 2, argon2_at_once: 2, argon2_queue: 64 }
    }
}

/// A password that could not be hashed or compared.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    /// The queue is full.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The parameters, or a stored hash, cannot be used.
    #[error("a password cannot be hashed: {0}")]
    Hash(String),
    /// The process is going down.
    #[error("password hashing has ended")]
    Stopped,
}

/// Argon2id, off the async threads, bounded in number.
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    at_once: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    figures: Figures,
    /// Compared with when there is no user, so that it takes as long.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, PasswordError> {
        let params = Params::new(config.argon2_memory_kib, config.argon2_passes, 1, None);
        let params = params.map_err(|error| PasswordError::Hash(error.to_string()))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let nobody = hash(&argon2, "nobody's password")?;
        let at_once = config.argon2_at_once.max(1);
        let most = at_once + config.argon2_queue;
        let (at_once, queue) = (Arc::new(Semaphore::new(at_once)), Arc::new(Semaphore::new(most)));
        let figures = Figures::of(&at_once, &queue);
        Ok(Self { argon2, at_once, queue, figures, nobody })
    }

    /// A hash to keep, in PHC form.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (argon2, password) = (self.argon2.clone(), Zeroizing::new(password.to_owned()));
        self.run(move || hash(&argon2, &password)).await?
    }

    /// Whether the password is the one of this hash. `None` compares with
    /// nobody's, takes as long, and is false.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        let (argon2, password) = (self.argon2.clone(), Zeroizing::new(password.to_owned()));
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let equal = self.run(move || verify(&argon2, &password, &hash)).await??;
        Ok(equal && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let Ok(queued) = self.queue.clone().try_acquire_owned() else {
            self.figures.refused();
            return Err(PasswordError::Overloaded);
        };
        let since = Instant::now();
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| PasswordError::Stopped)?;
        self.figures.waited(since.elapsed());
        let hashing = self.figures.hashing();
        // Both go with the work: it goes on when the caller has gone away.
        let work = move || {
            let _places = (queued, turn);
            let since = Instant::now();
            let done = work();
            hashing.record(since.elapsed().as_secs_f64(), &[]);
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Stopped)
    }
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, PasswordError> {
    argon2
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

fn verify(argon2: &Argon2<'_>, password: &str, hash: &str) -> Result<bool, PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(argon2.verify_password(password.as_bytes(), &parsed).is_ok())
}
