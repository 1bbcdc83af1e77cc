use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// How long events are kept, and how many may follow them.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Events")]
pub struct EventSettings {
    /// For how long events are kept, in days; 0 is for ever.
    #[arg(long, env = "CATALOG_EVENTS_KEPT_DAYS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=36_500))]
    pub events_kept_days: u16,

    /// How often events that are older are looked for, in milliseconds.
    #[arg(long, env = "CATALOG_EVENTS_SWEEP_MS", default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(10..=86_400_000))]
    pub events_sweep_ms: u64,

    /// How many old events are removed in one transaction.
    #[arg(long, env = "CATALOG_EVENTS_REMOVED_AT_ONCE", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub events_removed_at_once: u64,

    /// Those who watch events at once; more are refused. How often they are told and how late an event may come is as
    /// for those who watch tenants.
    #[arg(long, env = "CATALOG_EVENTS_MAX_WATCHERS", default_value_t = 100)]
    pub events_max_watchers: usize,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { events_kept_days: 0, events_sweep_ms: 600_000, events_removed_at_once: 1_000, events_max_watchers: 100 }
    }
}

impl EventSettings {
    /// Events from before this time are not kept; `None`: all are.
    pub(super) fn kept_since(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        (self.events_kept_days > 0).then(|| now - TimeDelta::days(self.events_kept_days.into()))
    }

    pub(super) fn sweep_every(&self) -> Duration {
        Duration::from_millis(self.events_sweep_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_and_none_is_for_ever() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        let kept = |events_kept_days| EventSettings { events_kept_days, ..EventSettings::default() }.kept_since(now);
        assert_eq!(kept(0), None);
        assert_eq!(kept(1), DateTime::from_timestamp(1_800_000_000 - 86_400, 0));
        assert!(kept(36_500).is_some());
    }
}
