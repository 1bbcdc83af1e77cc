//! Going down in two steps: first no new work, then no work at all.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The two signals of a shutdown, shared by everything in a process.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes no new work from now on; what is under way may finish.
    pub fn begin(&self) {
        self.soft.cancel();
    }

    /// Stops everything now.
    pub fn force(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Resolves when new work is refused.
    pub async fn begun(&self) {
        self.soft.cancelled().await;
    }

    /// Resolves when everything has to stop.
    pub async fn forced(&self) {
        self.hard.cancelled().await;
    }

    /// Whether new work is refused.
    pub fn has_begun(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Waits for SIGTERM or Ctrl-C, begins the shutdown, and forces it after
    /// `grace`, or at once at a second signal.
    pub async fn on_signals(self, grace: Duration) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = self.begun() => {}
        }
        self.begin();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = tokio::time::sleep(grace) => {}
            () = self.forced() => {}
        }
        self.force();
        Ok(())
    }
}
