//! How often each connection was wanted lately, in a few kilobytes.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Counters of one name: the more, the less those of others add to it.
const ROWS: usize = 4;

/// Counters for each connection of the budget. With four times fewer, misses grow by 1 %; more gain nothing.
const COUNTERS_PER_CONNECTION: usize = 16;

/// Counters of a row at most, whatever the budget.
const MOST_COUNTERS: usize = 1 << 16;

/// All counts are halved when so many wants for each connection of the budget were counted. Longer knows a steady
/// traffic better, shorter follows a changing one sooner.
const WANTS_PER_CONNECTION: u32 = 100;

/// A count-min sketch whose counts fade (Cormode and Muthukrishnan 2005; Einziger, Friedman and Manes 2017).
///
/// It never counts too little, and as large as here hardly ever too much. Its size follows from the budget of
/// connections alone, however many databases there are.
#[derive(Debug)]
pub(super) struct Frequency {
    counters: Vec<[u8; ROWS]>,
    wants: u32,
    halve_at: u32,
}

impl Frequency {
    pub(super) fn new(connections: u32) -> Self {
        let counters = (connections as usize).saturating_mul(COUNTERS_PER_CONNECTION).clamp(64, MOST_COUNTERS);
        Self {
            counters: vec![[0; ROWS]; counters.next_power_of_two()],
            wants: 0,
            halve_at: connections.saturating_mul(WANTS_PER_CONNECTION).max(1_000),
        }
    }

    /// Counts that the `nth` connection of a database, at the same time as those before it, was wanted.
    pub(super) fn want(&mut self, name: u64, nth: u32) {
        let places = self.places(name, nth);
        let count = self.least(places);
        // Only the counters that say no more than is true.
        for (row, place) in places.into_iter().enumerate() {
            let counter = &mut self.counters[place][row];
            if *counter == count {
                *counter = counter.saturating_add(1);
            }
        }
        self.wants += 1;
        if self.wants >= self.halve_at {
            self.halve();
        }
    }

    /// How often it was wanted lately.
    pub(super) fn of(&self, name: u64, nth: u32) -> u8 {
        self.least(self.places(name, nth))
    }

    fn halve(&mut self) {
        self.wants /= 2;
        self.counters.iter_mut().flatten().for_each(|counter| *counter /= 2);
    }

    fn least(&self, places: [usize; ROWS]) -> u8 {
        let counts = places.into_iter().enumerate().map(|(row, place)| self.counters[place][row]);
        counts.min().unwrap_or_default()
    }

    /// Where its counters are, one in each row.
    fn places(&self, name: u64, nth: u32) -> [usize; ROWS] {
        let first = mixed(name ^ u64::from(nth).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Odd, so that no two rows are at the same place for it.
        let step = mixed(first) | 1;
        std::array::from_fn(|row| {
            let place = first.wrapping_add(step.wrapping_mul(row as u64));
            (place >> 32) as usize & (self.counters.len() - 1)
        })
    }
}

/// A database's name as a number, the same in every process: names are our own, and nobody chooses one to collide.
pub(super) fn name_of(database: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    database.hash(&mut hasher);
    hasher.finish()
}

/// Every bit of the number changes every bit of the answer.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_true_and_fade() {
        let mut frequency = Frequency::new(100);
        let (often, once) = (name_of("often"), name_of("once"));
        (0..40).for_each(|_| frequency.want(often, 1));
        frequency.want(often, 2);
        frequency.want(once, 1);
        assert_eq!((frequency.of(often, 1), frequency.of(often, 2), frequency.of(once, 1)), (40, 1, 1));
        assert_eq!(frequency.of(name_of("never"), 1), 0);
        // Others are wanted, until what was is half of what it was.
        (42..10_000).for_each(|n| frequency.want(name_of(&format!("other{}", n % 100)), 1));
        assert_eq!((frequency.of(often, 1), frequency.of(once, 1)), (20, 0));
    }

    #[test]
    fn a_count_ends_at_its_most_and_does_not_begin_anew() {
        let mut frequency = Frequency::new(100);
        (0..1_000).for_each(|_| frequency.want(name_of("all the time"), 1));
        assert_eq!(frequency.of(name_of("all the time"), 1), u8::MAX);
    }

    #[test]
    fn its_size_follows_from_the_budget_alone() {
        for (connections, counters) in [(1, 64), (4, 64), (5, 128), (100, 2_048), (4_096, 65_536), (u32::MAX, 65_536)] {
            let mut frequency = Frequency::new(connections);
            (0..10_000).for_each(|n| frequency.want(n, 1));
            assert_eq!(frequency.counters.len(), counters, "{connections}");
            assert_eq!(frequency.counters.capacity(), counters, "{connections}");
        }
    }
}
