//! When a database server is not even tried. Pure: time and luck come as parameters.

use std::time::Duration;

use tokio::time::Instant;

use super::PoolConfig;

/// Opens after so many failures to connect in a row. Then one attempt at a time finds out, after a wait, whether the
/// server is back; everybody else is refused at once. Any success closes it.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_to_open: u32,
    wait: Duration,
    longest_wait: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many attempts in a row have failed.
    Closed { failures: u32 },
    /// Nobody tries before then.
    Open { waits: u32, until: Instant },
    /// Somebody tries.
    Probing { waits: u32 },
}

/// An attempt that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admitted {
    /// As one of many.
    Usual,
    /// The only one: its end decides.
    Probe,
}

/// What an attempt's end has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Changed {
    Nothing,
    /// Nobody tries for so long.
    Opened(Duration),
    Closed,
}

impl Breaker {
    pub(super) fn new(config: &PoolConfig) -> Self {
        Self {
            failures_to_open: config.breaker_failures,
            wait: Duration::from_millis(config.breaker_wait_ms),
            longest_wait: Duration::from_millis(config.breaker_max_wait_ms),
            state: State::Closed { failures: 0 },
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// How long nobody else is let in; `None` where an attempt may be made.
    pub(super) fn refuses(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero()),
            State::Probing { .. } => Some(self.wait),
        }
    }

    /// Lets an attempt be made, or says how long to wait.
    pub(super) fn admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        if let Some(wait) = self.refuses(now) {
            return Err(wait);
        }
        let State::Open { waits, .. } = self.state else { return Ok(Admitted::Usual) };
        self.state = State::Probing { waits };
        Ok(Admitted::Probe)
    }

    /// The server answered an attempt, whatever it said.
    pub(super) fn answered(&mut self) -> Changed {
        let was_closed = self.is_closed();
        self.state = State::Closed { failures: 0 };
        if was_closed { Changed::Nothing } else { Changed::Closed }
    }

    /// The server did not answer, or had no room. `luck` spreads the waits of many processes.
    pub(super) fn failed(&mut self, attempt: Admitted, now: Instant, luck: u32) -> Changed {
        match self.state {
            State::Closed { failures } if failures + 1 < self.failures_to_open => {
                self.state = State::Closed { failures: failures + 1 };
                Changed::Nothing
            }
            State::Closed { .. } => self.open(0, now, luck),
            State::Probing { waits } if attempt == Admitted::Probe => self.open(waits + 1, now, luck),
            // Begun before it opened: says nothing new.
            State::Open { .. } | State::Probing { .. } => Changed::Nothing,
        }
    }

    /// The attempt ended without an answer to whether the server is there. The next one may be made at once.
    pub(super) fn given_up(&mut self, attempt: Admitted, now: Instant) {
        if let (State::Probing { waits }, Admitted::Probe) = (self.state, attempt) {
            self.state = State::Open { waits, until: now };
        }
    }

    /// Half of the wait at least, and the rest by luck; twice as long each time.
    fn open(&mut self, waits: u32, now: Instant, luck: u32) -> Changed {
        let doubled = self.wait.saturating_mul(1 << waits.min(20)).min(self.longest_wait);
        let wait = doubled.mul_f64(0.5 + f64::from(luck) / f64::from(u32::MAX) / 2.0);
        self.state = State::Open { waits, until: now + wait };
        Changed::Opened(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_millis(100);

    fn breaker() -> Breaker {
        let config =
            PoolConfig { breaker_failures: 3, breaker_wait_ms: 100, breaker_max_wait_ms: 350, ..PoolConfig::default() };
        Breaker::new(&config)
    }

    /// Opened by failures at `now`, with all the luck.
    fn open(now: Instant) -> Breaker {
        let mut breaker = breaker();
        let failing = |breaker: &mut Breaker| {
            assert_eq!(breaker.admit(now), Ok(Admitted::Usual));
            breaker.failed(Admitted::Usual, now, u32::MAX)
        };
        assert_eq!([failing(&mut breaker), failing(&mut breaker)], [Changed::Nothing; 2]);
        assert_eq!(failing(&mut breaker), Changed::Opened(WAIT));
        breaker
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_of_a_row_opens_it() {
        let now = Instant::now();
        assert_eq!(open(now).admit(now), Err(WAIT));

        let mut interrupted = breaker();
        for _ in 0..10 {
            assert_eq!(interrupted.failed(Admitted::Usual, now, 0), Changed::Nothing);
            assert_eq!(interrupted.failed(Admitted::Usual, now, 0), Changed::Nothing);
            assert_eq!(interrupted.answered(), Changed::Nothing);
        }
        assert!(interrupted.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_wait_one_tries_and_its_end_decides() {
        let mut breaker = open(Instant::now());
        tokio::time::advance(WAIT - Duration::from_millis(1)).await;
        assert_eq!(breaker.admit(Instant::now()), Err(Duration::from_millis(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        let now = Instant::now();
        assert_eq!(breaker.refuses(now), None, "whoever only looks takes nobody's turn");
        assert_eq!(breaker.admit(now), Ok(Admitted::Probe));
        assert_eq!(breaker.admit(now), Err(WAIT), "one at a time");
        assert_eq!(breaker.failed(Admitted::Usual, now, 0), Changed::Nothing, "one from before");
        assert_eq!(breaker.admit(now), Err(WAIT), "still one at a time");

        // Twice as long, and no longer than the longest.
        let mut expected = [200, 350, 350].map(Duration::from_millis).into_iter();
        let first = expected.next().unwrap();
        assert_eq!(breaker.failed(Admitted::Probe, now, u32::MAX), Changed::Opened(first));
        tokio::time::advance(first).await;
        for wait in expected {
            assert_eq!(breaker.admit(Instant::now()), Ok(Admitted::Probe));
            assert_eq!(breaker.failed(Admitted::Probe, Instant::now(), u32::MAX), Changed::Opened(wait));
            tokio::time::advance(wait).await;
        }
        assert_eq!(breaker.admit(Instant::now()), Ok(Admitted::Probe));
        assert_eq!(breaker.answered(), Changed::Closed);
        assert_eq!(breaker.admit(Instant::now()), Ok(Admitted::Usual));
        assert_eq!(breaker.failed(Admitted::Usual, Instant::now(), 0), Changed::Nothing, "counted anew");
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_its_turn() {
        let mut breaker = open(Instant::now());
        tokio::time::advance(WAIT).await;
        let now = Instant::now();
        assert_eq!(breaker.admit(now), Ok(Admitted::Probe));
        breaker.given_up(Admitted::Usual, now);
        assert_eq!(breaker.admit(now), Err(WAIT), "somebody else's end");
        breaker.given_up(Admitted::Probe, now);
        assert_eq!(breaker.admit(now), Ok(Admitted::Probe));
    }

    #[tokio::test(start_paused = true)]
    async fn one_from_before_that_succeeds_closes_it() {
        let mut breaker = open(Instant::now());
        assert_eq!(breaker.answered(), Changed::Closed);
        assert_eq!(breaker.admit(Instant::now()), Ok(Admitted::Usual));
    }

    #[tokio::test(start_paused = true)]
    async fn the_waits_are_spread() {
        let now = Instant::now();
        for (luck, millis) in [(0, 50), (u32::MAX / 2, 75), (u32::MAX, 100)] {
            let mut breaker = breaker();
            breaker.failed(Admitted::Usual, now, luck);
            breaker.failed(Admitted::Usual, now, luck);
            let Changed::Opened(wait) = breaker.failed(Admitted::Usual, now, luck) else { panic!("closed") };
            assert!(wait.abs_diff(Duration::from_millis(millis)) < Duration::from_millis(1), "{wait:?}");
        }
    }
}
