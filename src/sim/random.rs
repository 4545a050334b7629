//! Numbers from a seed. The generator is splitmix64 (Steele, Lea, Flood 2014): one word of state,
//! every seed good, the same on every machine. Not for secrets.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number less than `n`, which is not 0. The bias of the multiplication is below 2⁻³² for
    /// every `n` that occurs here.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "there is no number below 0");
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number of the range, both ends included.
    pub(crate) fn range(&mut self, range: RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// True so often in a thousand. 0 is never and draws nothing.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1_000) < per_mille as usize
    }

    /// One of them.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// A time from 1 µs to an hour, each power of two as likely as another: most are short, and the
    /// long ones pass every deadline there is.
    pub(crate) fn step(&mut self) -> Duration {
        const HOUR_US: u64 = 3_600_000_000;
        let longest = self.range(0..=31); // 2³¹ µs is 36 minutes; twice that less one is the most
        let us = (1u64 << longest) + self.next() % (1u64 << longest);
        Duration::from_micros(us.min(HOUR_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            [0; 8].map(|_| random.next())
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(Random::new(0).next(), 0xe220_a839_7b1d_cdaf, "splitmix64's published value");
    }

    #[test]
    fn every_number_of_a_range_comes_and_no_other() {
        let mut random = Random::new(1);
        let mut seen = [0; 6];
        for _ in 0..6_000 {
            seen[random.range(2..=4)] += 1;
        }
        assert_eq!((seen[0], seen[1], seen[5]), (0, 0, 0));
        assert!(seen[2..=4].iter().all(|&n| n > 1_800), "{seen:?}");
    }

    #[test]
    fn a_chance_of_none_draws_nothing() {
        let mut random = Random::new(1);
        assert!((0..100).all(|_| !random.chance(0)));
        assert_eq!(random.next(), Random::new(1).next());
        assert!((0..100).all(|_| random.chance(1_000)));
    }

    #[test]
    fn steps_reach_from_microseconds_to_an_hour() {
        let mut random = Random::new(1);
        let steps: Vec<_> = (0..2_000).map(|_| random.step()).collect();
        let (shortest, longest) = (steps.iter().min(), steps.iter().max());
        assert_eq!(shortest, Some(&Duration::from_micros(1)));
        assert!(longest > Some(&Duration::from_secs(1_800)));
        assert!(longest <= Some(&Duration::from_secs(3_600)));
    }
}
