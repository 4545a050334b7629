//! What a world draws from a seed, beside the plain numbers of [`crate::random`].

pub(crate) use crate::random::Random;
use std::ops::RangeInclusive;
use std::time::Duration;

impl Random {
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
