//! Traffic as it is: few are wanted often, and many hardly ever. Seeded, so that it is the same every time.

/// Draws ranks by Zipf's law: the first is drawn most often, the n-th `n^exponent` times less.
#[derive(Debug, Clone)]
pub struct Zipf {
    /// How likely each rank or one before it is.
    up_to: Vec<f64>,
    random: Random,
}

impl Zipf {
    /// Over `ranks` of them, which begin with 0.
    pub fn new(ranks: usize, exponent: f64, seed: u64) -> Self {
        let mut sum = 0.0;
        let mut up_to: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        up_to.iter_mut().for_each(|share| *share /= sum);
        Self { up_to, random: Random::new(seed) }
    }

    /// The next rank.
    pub fn draw(&mut self) -> usize {
        let luck = self.random.unit();
        self.up_to.partition_point(|share| *share < luck).min(self.up_to.len() - 1)
    }

    /// The share of all draws that the first `ranks` get.
    pub fn share_of_first(&self, ranks: usize) -> f64 {
        self.up_to.get(ranks.wrapping_sub(1)).copied().unwrap_or_default()
    }
}

/// Steele, Lea and Flood's SplitMix64: a few lines, and random enough for tests.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// From 0 to below 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_zipfs() {
        let mut zipf = Zipf::new(2_000, 1.1, 7);
        let mut drawn = vec![0_u32; 2_000];
        (0..100_000).for_each(|_| drawn[zipf.draw()] += 1);
        let first = f64::from(drawn[..100].iter().sum::<u32>()) / 100_000.0;
        assert!((first - zipf.share_of_first(100)).abs() < 0.01, "{first}");
        let ratio = f64::from(drawn[0]) / f64::from(drawn[1]);
        assert!((ratio - 2_f64.powf(1.1)).abs() < 0.15, "{ratio}");
        assert_eq!((zipf.share_of_first(0), zipf.share_of_first(2_000)), (0.0, 1.0));
    }
}
