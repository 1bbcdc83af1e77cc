//! How long whoever guesses passwords has to wait. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// What is known of failures of one sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Failures {
    pub(crate) count: i32,
    pub(crate) last_at: Option<DateTime<Utc>>,
    pub(crate) blocked_until: Option<DateTime<Utc>>,
}

/// What is allowed of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    /// Failures that cost nothing.
    pub(crate) free: i32,
    /// The longest wait; the first is a second, and each is twice the one before.
    pub(crate) longest: TimeDelta,
    /// After so long without a failure, all are forgotten.
    pub(crate) forgotten_after: TimeDelta,
}

impl Failures {
    /// How long to wait before the next try.
    pub(crate) fn wait(&self, now: DateTime<Utc>) -> Option<TimeDelta> {
        self.blocked_until.map(|until| until - now).filter(|wait| *wait > TimeDelta::zero())
    }

    /// With one more.
    pub(crate) fn and_one(self, now: DateTime<Utc>, limit: &Limit) -> Self {
        let is_forgotten = self.last_at.is_none_or(|last| now - last >= limit.forgotten_after);
        let count = if is_forgotten { 1 } else { self.count.saturating_add(1) };
        let beyond = count - limit.free;
        let doubled = |times: i32| TimeDelta::seconds(1_i64 << times.clamp(0, 30));
        let blocked_until = (beyond > 0).then(|| now + doubled(beyond - 1).min(limit.longest));
        Self { count, last_at: Some(now), blocked_until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Limit = Limit { free: 3, longest: TimeDelta::seconds(60), forgotten_after: TimeDelta::seconds(3_600) };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    #[test]
    fn some_are_free_then_waits_double_up_to_the_longest() {
        let mut failures = Failures::default();
        let waits: Vec<_> = (0..12)
            .map(|_| {
                failures = failures.and_one(at(0), &LIMIT);
                failures.wait(at(0)).map_or(0, |wait| wait.num_seconds())
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(failures.wait(at(59)), Some(TimeDelta::seconds(1)));
        assert_eq!(failures.wait(at(60)), None);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let many = Failures { count: i32::MAX, last_at: Some(at(0)), blocked_until: Some(at(60)) };
        assert_eq!(many.and_one(at(3_599), &LIMIT).count, i32::MAX);
        assert_eq!(many.and_one(at(3_600), &LIMIT).count, 1);
        assert_eq!(many.and_one(at(3_600), &LIMIT).blocked_until, None);
    }
}
