use std::time::Duration;

/// How changes reach those who watch tenants.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Watching tenants")]
pub struct WatchSettings {
    /// How often changes that other processes made are looked for, in milliseconds. Those of this process are seen at
    /// once.
    #[arg(long, env = "CATALOG_CHANGES_POLL_MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub changes_poll_ms: u64,

    /// How long a transaction on the central database may take to show its change after later ones have shown theirs,
    /// in milliseconds.
    #[arg(long, env = "CATALOG_CHANGES_PATIENCE_MS", default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1_000..=3_600_000))]
    pub changes_patience_ms: u64,

    /// For how long a subscriber that was away can go on where it was, in seconds. Changes are kept for the life of a
    /// token in any case.
    #[arg(long, env = "CATALOG_CHANGES_KEPT_S", default_value_t = 3_600, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub changes_kept_s: u64,

    /// Changes that a subscriber may be behind; one that falls further behind is told to resync. A power of two, or
    /// the next one is taken.
    #[arg(long, env = "CATALOG_WATCH_QUEUE_CHANGES", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub watch_queue_changes: u32,

    /// How often a subscriber to whom nothing is to be told is told so, in milliseconds.
    #[arg(long, env = "CATALOG_WATCH_HEARTBEAT_MS", default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=600_000))]
    pub watch_heartbeat_ms: u64,

    /// Subscribers at once; more are refused.
    #[arg(long, env = "CATALOG_WATCH_MAX_SUBSCRIBERS", default_value_t = 1_000)]
    pub watch_max_subscribers: usize,
}

impl Default for WatchSettings {
    fn default() -> Self {
        Self {
            changes_poll_ms: 200,
            changes_patience_ms: 60_000,
            changes_kept_s: 3_600,
            watch_queue_changes: 16_384,
            watch_heartbeat_ms: 5_000,
            watch_max_subscribers: 1_000,
        }
    }
}

impl WatchSettings {
    pub(super) fn poll(&self) -> Duration {
        Duration::from_millis(self.changes_poll_ms)
    }

    pub(super) fn patience(&self) -> Duration {
        Duration::from_millis(self.changes_patience_ms)
    }

    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.watch_heartbeat_ms)
    }

    /// How long rows are kept: as long as any token that one of them revokes.
    pub(super) fn kept(&self, revocations: Duration) -> Duration {
        Duration::from_secs(self.changes_kept_s).max(revocations)
    }
}
