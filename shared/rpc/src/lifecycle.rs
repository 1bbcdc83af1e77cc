//! Going down in two steps: first no new work, then no work at all.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
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
}

/// The stop signals of this process: SIGTERM and Ctrl-C.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Catches them from now on; one that comes before [`StopSignals::stop`] is
    /// not lost. So catch them before anybody is told that the process is up.
    pub fn catch() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Begins the shutdown at the first signal, and forces it after `grace`, or at
    /// once at a second one.
    pub async fn stop(mut self, shutdown: Shutdown, grace: Duration) {
        tokio::select! {
            () = self.next() => {}
            () = shutdown.begun() => {}
        }
        shutdown.begin();
        tokio::select! {
            () = self.next() => {}
            () = tokio::time::sleep(grace) => {}
            () = shutdown.forced() => {}
        }
        shutdown.force();
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
