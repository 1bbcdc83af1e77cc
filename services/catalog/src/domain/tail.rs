//! Reading a log whose rows can become visible out of their order.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use chrono::{DateTime, TimeDelta, Utc};

/// How far a log has been read: up to its head, but for gaps that a transaction
/// which is still under way may fill. One that nobody fills for long enough belongs
/// to a transaction that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    head: i64,
    /// In their order.
    gaps: VecDeque<Gap>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Gap {
    from: i64,
    to: i64,
    seen: DateTime<Utc>,
}

impl Tail {
    /// Everything up to `head` is known.
    pub(crate) fn at(head: i64) -> Self {
        Self { head, gaps: VecDeque::new() }
    }

    /// The highest sequence that was read.
    pub(crate) fn head(&self) -> i64 {
        self.head
    }

    /// Up to where nothing can appear any more: who goes on from here misses nothing.
    pub(crate) fn position(&self) -> i64 {
        self.gaps.front().map_or(self.head, |gap| gap.from - 1)
    }

    /// The gaps, lowest first.
    pub(crate) fn gaps(&self) -> impl Iterator<Item = RangeInclusive<i64>> {
        self.gaps.iter().map(|gap| gap.from..=gap.to)
    }

    /// Notes a row: false when it was noted before.
    pub(crate) fn note(&mut self, sequence: i64, now: DateTime<Utc>) -> bool {
        if sequence > self.head {
            if sequence > self.head + 1 {
                self.gaps.push_back(Gap { from: self.head + 1, to: sequence - 1, seen: now });
            }
            self.head = sequence;
            return true;
        }
        let Some(at) = self.gaps.iter().position(|gap| (gap.from..=gap.to).contains(&sequence)) else { return false };
        let Some(gap) = self.gaps.remove(at) else { return false };
        if sequence < gap.to {
            self.gaps.insert(at, Gap { from: sequence + 1, ..gap });
        }
        if gap.from < sequence {
            self.gaps.insert(at, Gap { to: sequence - 1, ..gap });
        }
        true
    }

    /// Gives up the gaps that were first seen so long ago.
    pub(crate) fn give_up(&mut self, now: DateTime<Utc>, patience: TimeDelta) {
        self.gaps.retain(|gap| now - gap.seen < patience);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
    }

    fn gaps(tail: &Tail) -> Vec<(i64, i64)> {
        tail.gaps().map(|gap| (*gap.start(), *gap.end())).collect()
    }

    #[test]
    fn what_appears_late_is_read_and_nothing_is_read_twice() {
        let mut tail = Tail::at(10);
        assert!(tail.note(11, at(0)) && tail.note(16, at(0)));
        assert_eq!((tail.head(), tail.position(), gaps(&tail)), (16, 11, vec![(12, 15)]));
        assert!(tail.note(14, at(1)));
        assert_eq!((tail.position(), gaps(&tail)), (11, vec![(12, 13), (15, 15)]));
        assert!(tail.note(12, at(1)) && tail.note(13, at(1)));
        assert_eq!((tail.position(), gaps(&tail)), (14, vec![(15, 15)]));
        for sequence in [9, 10, 11, 14, 16] {
            assert!(!tail.note(sequence, at(1)), "{sequence}");
        }
        assert!(tail.note(15, at(2)));
        assert_eq!((tail.position(), gaps(&tail)), (16, vec![]));
    }

    #[test]
    fn a_gap_that_nobody_fills_is_given_up_at_its_time() {
        let mut tail = Tail::at(0);
        tail.note(2, at(0));
        tail.note(4, at(5));
        tail.give_up(at(9), TimeDelta::seconds(10));
        assert_eq!(gaps(&tail), [(1, 1), (3, 3)]);
        tail.give_up(at(10), TimeDelta::seconds(10));
        assert_eq!((tail.position(), gaps(&tail)), (2, vec![(3, 3)]));
        tail.give_up(at(15), TimeDelta::seconds(10));
        assert_eq!(tail.position(), 4);
    }
}
