//! For how long an answer needs no question. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The configured times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// While nobody tells of changes.
    pub(super) ttl: Duration,
    /// While somebody does.
    pub(super) watched_ttl: Duration,
    /// While the directory is unavailable.
    pub(super) staleness: Duration,
    /// Over which all are asked for again.
    pub(super) spread: Duration,
}

/// What an answer stands on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// When the question was asked that the directory itself answered.
    pub(super) confirmed: Instant,
    pub(super) fresh_until: Instant,
    /// Whether it holds for as long as no change is told.
    pub(super) told: bool,
}

impl Standing {
    /// To be asked for again.
    pub(super) fn doubted(self, now: Instant) -> Self {
        Self { fresh_until: now, told: false, ..self }
    }
}

/// Whether changes are told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Followed {
    /// The time of which all changes are known; `None` where nobody has ever told any.
    now: Option<Span>,
    /// The one before the last gap.
    before: Option<Span>,
}

/// A time of which all changes are known.
#[derive(Debug, Clone, Copy)]
struct Span {
    since: Instant,
    /// `None` while it goes on.
    until: Option<Instant>,
}

impl Followed {
    pub(super) fn begun(self, gap: bool, now: Instant) -> Self {
        match self.now {
            Some(span) if !gap => Self { now: Some(Span { until: None, ..span }), ..self },
            span => {
                let before = span.map(|span| Span { until: span.until.or(Some(now)), ..span });
                Self { now: Some(Span { since: now, until: None }), before }
            }
        }
    }

    pub(super) fn ended(self, heard: Instant) -> Self {
        Self { now: self.now.map(|span| Span { until: span.until.or(Some(heard)), ..span }), ..self }
    }

    /// Whether an answer needs no question now. `own` is a number of the tenant's own.
    pub(super) fn is_fresh(self, standing: &Standing, times: &Times, own: u32, now: Instant) -> bool {
        let Some(span) = self.now else { return now < standing.fresh_until };
        if standing.confirmed >= span.since {
            return now < span.fresh_until(standing, times);
        }
        // From before a gap: to be asked for again, each tenant at its own moment, so that not all are at once.
        let own_moment = span.since + times.spread.mul_f64(f64::from(own) / f64::from(u32::MAX));
        let fresh_until = match self.before {
            Some(before) if standing.confirmed >= before.since => before.fresh_until(standing, times),
            Some(_) | None => standing.fresh_until,
        };
        now < fresh_until.min(own_moment)
    }

    /// When an answer was last known to be right.
    pub(super) fn confirmed(self, standing: &Standing, now: Instant) -> Instant {
        match self.now {
            Some(span) if standing.told && standing.confirmed >= span.since => {
                span.until.unwrap_or(now).max(standing.confirmed)
            }
            Some(_) | None => standing.confirmed,
        }
    }
}

impl Span {
    /// Of an answer from within.
    fn fresh_until(self, standing: &Standing, times: &Times) -> Instant {
        if !standing.told {
            return standing.fresh_until;
        }
        let longest = standing.confirmed + times.watched_ttl;
        let told_until = self.until.map_or(longest, |until| longest.min(until + times.ttl));
        standing.fresh_until.max(told_until)
    }
}
