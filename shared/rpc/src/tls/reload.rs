//! Files that are looked at again while the process runs.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::TlsError;
use super::files::{Files, Loaded};

/// Makes something of what the files hold.
type Make<T> = Box<dyn Fn(Loaded) -> Result<T, TlsError> + Send + Sync>;

/// Something made of files, made anew when these hold something else. Files that it cannot be made of change nothing,
/// and are complained about once.
pub(super) struct Reloading<T> {
    what: &'static str,
    files: Files,
    make: Make<T>,
    current: watch::Sender<Arc<T>>,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What the current one was made of.
    digest: [u8; 32],
    trouble: Option<Trouble>,
}

struct Trouble {
    problem: String,
    is_told: bool,
}

impl<T> Reloading<T> {
    /// `what` is for the log. Files that it cannot be made of are an error now.
    pub(super) fn load(what: &'static str, files: Files, make: Make<T>) -> Result<Self, TlsError> {
        let contents = files.read()?;
        let made = make(files.load(&contents)?)?;
        let seen = Mutex::new(Seen { digest: contents.digest(), trouble: None });
        Ok(Self { what, files, make, current: watch::Sender::new(Arc::new(made)), seen })
    }

    pub(super) fn current(&self) -> Arc<T> {
        self.current.borrow().clone()
    }

    /// Changes each time when another takes the current one's place.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Looks at the files. Blocks on the disk.
    pub(super) fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match self.look_since(&seen.digest) {
            Ok(None) => seen.trouble = None,
            Ok(Some((digest, made))) => {
                *seen = Seen { digest, trouble: None };
                self.current.send_replace(Arc::new(made));
                tracing::info!("{} changed on disk, and counts from now on", self.what);
            }
            Err(error) => seen.complain(self.what, error.to_string()),
        }
    }

    fn look_since(&self, digest: &[u8; 32]) -> Result<Option<([u8; 32], T)>, TlsError> {
        let contents = self.files.read()?;
        let now = contents.digest();
        if now == *digest {
            return Ok(None);
        }
        let made = (self.make)(self.files.load(&contents)?)?;
        Ok(Some((now, made)))
    }
}

impl Seen {
    /// Not at the first look: files that are replaced one after the other do not go together for a moment.
    fn complain(&mut self, what: &str, problem: String) {
        match &mut self.trouble {
            Some(trouble) if trouble.problem == problem => {
                if !trouble.is_told {
                    trouble.is_told = true;
                    tracing::error!(problem, "{what} on disk cannot be used; what was read before goes on counting");
                }
            }
            trouble => *trouble = Some(Trouble { problem, is_told: false }),
        }
    }
}
