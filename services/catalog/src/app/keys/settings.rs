use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::KeyTimes;

/// How signing keys take turns.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Signing keys")]
pub struct KeySettings {
    /// How long a key signs before the next one does, in seconds; 0 leaves that to operators. An imported key is
    /// replaced by the next imported one, and never by the schedule.
    #[arg(long, env = "CATALOG_KEY_ROTATION_PERIOD_S", default_value_t = 2_592_000, value_parser = clap::value_parser!(u32).range(0..=315_360_000))]
    pub key_rotation_period_s: u32,

    /// How long a key is published before it signs, and at least how long it stays published afterwards, in seconds:
    /// longer than anybody keeps the key set (CATALOG_JWKS_MAX_AGE_S).
    #[arg(long, env = "CATALOG_KEY_OVERLAP_S", default_value_t = 86_400, value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub key_overlap_s: u32,

    /// How often this process looks what other replicas have done with the keys, and what is due, in milliseconds.
    #[arg(long, env = "CATALOG_KEY_POLL_MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub key_poll_ms: u64,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self { key_rotation_period_s: 2_592_000, key_overlap_s: 86_400, key_poll_ms: 1_000 }
    }
}

impl KeySettings {
    /// Whether the times go together, before a socket opens.
    pub(crate) fn validate(&self, jwks_max_age_s: u32) -> Result<(), String> {
        if self.key_overlap_s < jwks_max_age_s {
            return Err("key-overlap-s must be at least jwks-max-age-s: a key that signs has to be known".to_owned());
        }
        if self.key_rotation_period_s != 0 && self.key_rotation_period_s <= self.key_overlap_s {
            return Err("key-rotation-period-s must be more than key-overlap-s, or 0".to_owned());
        }
        Ok(())
    }

    /// `tokens_live` is how long after its signing a token may still be taken.
    pub(crate) fn times(&self, tokens_live: Duration) -> KeyTimes {
        let overlap = TimeDelta::seconds(self.key_overlap_s.into());
        let tokens_live = TimeDelta::from_std(tokens_live).unwrap_or(TimeDelta::MAX);
        let period = (self.key_rotation_period_s != 0).then(|| TimeDelta::seconds(self.key_rotation_period_s.into()));
        KeyTimes { period, overlap, kept: overlap.max(tokens_live) }
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.key_poll_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_have_to_go_together() {
        let check = |period, overlap, max_age| {
            let settings = KeySettings { key_rotation_period_s: period, key_overlap_s: overlap, key_poll_ms: 1_000 };
            settings.validate(max_age).is_ok()
        };
        assert!(KeySettings::default().validate(300).is_ok());
        assert!(check(301, 300, 300) && check(0, 300, 300));
        assert!(!check(300, 300, 300) && !check(1_000, 299, 300));
        assert_eq!(KeySettings::default().times(Duration::from_secs(900)).kept, TimeDelta::days(1));
        assert_eq!(KeySettings::default().times(Duration::from_hours(48)).kept, TimeDelta::days(2));
    }
}
