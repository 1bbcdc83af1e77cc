use std::time::Duration;

/// How the pipeline works.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Provisioning")]
pub struct WorkerSettings {
    /// Companies that this process provisions at once.
    #[arg(long, env = "CATALOG_PROVISION_AT_ONCE", default_value_t = 8)]
    pub provision_at_once: usize,

    /// How long a step may take, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_STEP_TIMEOUT_MS", default_value_t = 60_000)]
    pub provision_step_timeout_ms: u64,

    /// How long another process waits before it takes over what this one was doing
    /// when it ended, in milliseconds. Renewed while a step is under way.
    #[arg(long, env = "CATALOG_PROVISION_LEASE_MS", default_value_t = 15_000, value_parser = clap::value_parser!(u64).range(1_000..))]
    pub provision_lease_ms: u64,

    /// How long to wait after a first failure, in milliseconds; doubles each time.
    #[arg(long, env = "CATALOG_PROVISION_BACKOFF_MS", default_value_t = 500)]
    pub provision_backoff_ms: u64,

    /// The longest wait between two attempts, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_MAX_BACKOFF_MS", default_value_t = 30_000)]
    pub provision_max_backoff_ms: u64,

    /// How often work that other processes left is looked for, in milliseconds.
    #[arg(long, env = "CATALOG_PROVISION_POLL_MS", default_value_t = 1_000)]
    pub provision_poll_ms: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            provision_at_once: 8,
            provision_step_timeout_ms: 60_000,
            provision_lease_ms: 15_000,
            provision_backoff_ms: 500,
            provision_max_backoff_ms: 30_000,
            provision_poll_ms: 1_000,
        }
    }
}

impl WorkerSettings {
    pub(crate) fn step_timeout(&self) -> Duration {
        Duration::from_millis(self.provision_step_timeout_ms)
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.provision_lease_ms)
    }

    /// The wait before attempt `attempts + 1`: doubling, bounded, and spread by
    /// up to a quarter so that companies that failed together do not return so.
    pub(crate) fn backoff(&self, attempts: i32, spread: u32) -> Duration {
        let doublings = u32::try_from(attempts.clamp(0, 16)).unwrap_or(0);
        let wait = self.provision_backoff_ms.saturating_mul(1 << doublings).min(self.provision_max_backoff_ms);
        Duration::from_millis(wait - wait / 4 * u64::from(spread % 256) / 256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_is_spread_by_a_quarter() {
        let settings = WorkerSettings::default();
        assert_eq!(settings.backoff(0, 0), Duration::from_millis(500));
        assert_eq!(settings.backoff(3, 0), Duration::from_millis(4_000));
        assert_eq!(settings.backoff(1_000, 0), Duration::from_millis(30_000));
        for spread in 0..=255 {
            let wait = settings.backoff(0, spread);
            assert!((Duration::from_millis(375)..=Duration::from_millis(500)).contains(&wait), "{wait:?}");
        }
    }
}
