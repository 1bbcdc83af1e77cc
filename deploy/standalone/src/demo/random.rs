//! Numbers from a seed: the same on every machine and for ever, which no crate promises of its generators.

use uuid::Uuid;

use super::data_file::Several;

/// How far the state goes with each number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Random(u64);

impl Random {
    /// The numbers of one thing, named by a path. What is drawn for one thing moves nothing that is drawn for another.
    pub(super) fn of(seed: u64, path: &[u64]) -> Self {
        Self(path.iter().fold(seed, |state, part| mix(mix(state.wrapping_add(STEP)).wrapping_add(*part))))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// 0 to `end`, without `end`; 0 where `end` is 0. The bias is `end` in 2^64.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(end);
        // The upper half of a product of two u64.
        (product >> 64) as u64
    }

    /// As often as so many of a hundred.
    pub(super) fn percent(&mut self, of_a_hundred: u64) -> bool {
        self.below(100) < of_a_hundred
    }

    /// One of several.
    pub(super) fn pick<'d, T>(&mut self, of: &'d Several<T>) -> &'d T {
        of.nth(self.below(of.len() as u64) as usize)
    }

    /// A UUID of version 4.
    pub(super) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next() & !0xf000 | 0x4000, self.next() & !(0b11 << 62) | 0b10 << 62)
    }
}

/// A bijection of 64 bits in which each bit of the input moves about half of the output's.
fn mix(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_paper() {
        // The first ones of its reference implementation from the state 1234567.
        let mut random = Random(1_234_567);
        let first = [random.next(), random.next(), random.next()];
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn everything_below_the_end_comes_and_nothing_else() {
        let mut random = Random::of(1, &[]);
        let mut seen = [0; 6];
        (0..6_000).for_each(|_| seen[random.below(6) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }

    #[test]
    fn each_path_has_numbers_of_its_own() {
        let uuid = |seed, path: &[u64]| Random::of(seed, path).uuid();
        let all = [uuid(1, &[]), uuid(2, &[]), uuid(1, &[0]), uuid(1, &[1]), uuid(1, &[0, 1]), uuid(1, &[1, 0])];
        assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), all.len());
        assert_eq!(uuid(1, &[1, 0]), uuid(1, &[1, 0]));
        // The seed's number may be the company's too.
        let of_companies = (0..50).flat_map(|seed| (0..50).map(move |company| Random::of(seed, &[company, 10]).uuid()));
        assert_eq!(of_companies.collect::<std::collections::HashSet<_>>().len(), 50 * 50);
        assert!(all.iter().all(|uuid| uuid.get_version_num() == 4 && uuid.get_variant() == uuid::Variant::RFC4122));
    }
}
