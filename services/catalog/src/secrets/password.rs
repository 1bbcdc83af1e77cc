use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Params, PasswordHasher, PasswordVerifier};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::hashing::Hasher;

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
    /// The system gives no more threads.
    #[error("password hashing cannot be started")]
    Start(#[source] std::io::Error),
}

/// Argon2id, off the async threads, bounded in number.
pub(crate) struct Passwords {
    hasher: Hasher,
    threads: Threads,
    at_once: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Compared with when there is no user, so that it takes as long.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new(config: &PasswordConfig) -> Result<Self, PasswordError> {
        let params = Params::new(config.argon2_memory_kib, config.argon2_passes, 1, None);
        let params = params.map_err(|error| PasswordError::Hash(error.to_string()))?;
        let hasher = Hasher::new(params);
        let nobody = hash(&hasher, "nobody's password")?;
        let at_once = config.argon2_at_once.max(1);
        Ok(Self {
            hasher,
            threads: Threads::new(at_once)?,
            at_once: Arc::new(Semaphore::new(at_once)),
            queue: Arc::new(Semaphore::new(at_once + config.argon2_queue)),
            nobody,
        })
    }

    /// A hash to keep, in PHC form.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let (hasher, password) = (self.hasher.clone(), Zeroizing::new(password.to_owned()));
        self.run(move || hash(&hasher, &password)).await?
    }

    /// Whether the password is the one of this hash. `None` compares with
    /// nobody's, takes as long, and is false.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        let (hasher, password) = (self.hasher.clone(), Zeroizing::new(password.to_owned()));
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let equal = self.run(move || verify(&hasher, &password, &hash)).await??;
        Ok(equal && known)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let queued = self.queue.clone().try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| PasswordError::Stopped)?;
        // Both go with the work: it goes on when the caller has gone away.
        let work = move || {
            let _places = (queued, turn);
            work()
        };
        self.threads.spawn(work).await
    }
}

/// As many threads as hash at once, and no others: each keeps its memory for the next hash, and tokio has up to 512 for
/// blocking work.
struct Threads(Option<Runtime>);

impl Threads {
    fn new(count: usize) -> Result<Self, PasswordError> {
        let runtime = Builder::new_current_thread().max_blocking_threads(count).thread_name("argon2").build();
        runtime.map(|runtime| Self(Some(runtime))).map_err(PasswordError::Start)
    }

    async fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let runtime = self.0.as_ref().ok_or(PasswordError::Stopped)?;
        runtime.spawn_blocking(work).await.map_err(|_| PasswordError::Stopped)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // It may be dropped by an async task, which must not wait for them.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

fn hash(hasher: &Hasher, password: &str) -> Result<String, PasswordError> {
    hasher
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError::Hash(error.to_string()))
}

fn verify(hasher: &Hasher, password: &str, hash: &str) -> Result<bool, PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|error| PasswordError::Hash(error.to_string()))?;
    Ok(hasher.verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_crowd_is_hashed_on_as_many_threads_as_may_hash_at_once() {
        let config = PasswordConfig { argon2_memory_kib: 8, argon2_passes: 1, argon2_at_once: 3, argon2_queue: 200 };
        let passwords = Arc::new(Passwords::new(&config).unwrap());
        let mut crowd = JoinSet::new();
        for _ in 0..200 {
            let passwords = Arc::clone(&passwords);
            crowd.spawn(async move { passwords.run(|| thread::current().id()).await.unwrap() });
        }
        let threads: HashSet<_> = crowd.join_all().await.into_iter().collect();
        assert!((1..=3).contains(&threads.len()), "{threads:?}");
    }

    #[tokio::test]
    async fn one_more_than_may_wait_is_refused() {
        let config = PasswordConfig { argon2_memory_kib: 8, argon2_passes: 1, argon2_at_once: 1, argon2_queue: 1 };
        let passwords = Passwords::new(&config).unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let last = async {
            let refused = passwords.run(|| ()).await;
            drop(go);
            refused
        };
        let crowd = tokio::join!(passwords.run(move || wait.recv().is_err()), passwords.run(|| ()), last);
        assert!(matches!(crowd, (Ok(true), Ok(()), Err(PasswordError::Overloaded))));
    }
}
