//! How often something took how long: counts in buckets of powers of two. Pure, and plain numbers:
//! a look at a duration costs an addition or two, and what is made of it for people and for
//! monitoring is made when they ask.
//!
//! The buckets are fixed, as those of the kernel's own histograms (`bpftrace`'s `hist()`), so
//! two servers can be added up; for percentiles to three digits the bench has its own.

use std::fmt;
use std::time::Duration;

/// Buckets that have an upper bound: 1 µs, 2 µs, and so on up to 2^20 µs, which is a second. The
/// one behind them takes the rest.
pub const BOUNDED: usize = 21;

/// Durations by size, all since the start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket `i` counts what took at most 2^i µs and more than the bucket before it; the last one
    /// has no bound.
    counts: [u64; BOUNDED + 1],
    /// Of all of them together, in microseconds.
    sum_us: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: [0; BOUNDED + 1], sum_us: 0 }
    }
}

impl Histogram {
    /// One more, which took so many microseconds.
    #[inline]
    pub fn add(&mut self, us: u64) {
        let bucket = (u64::BITS - us.saturating_sub(1).leading_zeros()) as usize;
        self.counts[bucket.min(BOUNDED)] += 1;
        self.sum_us = self.sum_us.wrapping_add(us);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long all of them took together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// Each bucket: its upper bound, which the last one has none of, and how many it has.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bound = |at: usize| (at < BOUNDED).then(|| Duration::from_micros(1 << at));
        self.counts.iter().enumerate().map(move |(at, &count)| (bound(at), count))
    }

    /// The bound that so many of a hundred keep, as far as buckets tell: 0 where there is none,
    /// none where it is the last bucket's.
    pub fn within(&self, percent: u64) -> Option<Duration> {
        let all = self.count();
        let mut left = all - all * (100 - percent) / 100;
        if left == 0 {
            return Some(Duration::ZERO);
        }
        for (bound, count) in self.buckets() {
            if count >= left {
                return bound;
            }
            left -= count;
        }
        None
    }
}

/// `half within 16 us, 99 % within 128 us`, for people.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |percent| match self.within(percent) {
            Some(bound) => format!("within {} us", bound.as_micros()),
            None => format!("beyond {} us", 1u64 << (BOUNDED - 1)),
        };
        write!(f, "half {}, 99 % {}", told(50), told(99))
    }
}

/// As short as the counters beside it: 22 numbers would drown them.
impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} us", self.count(), self.sum_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        times.iter().for_each(|&us| histogram.add(us));
        histogram
    }

    #[test]
    fn each_time_stands_in_the_first_bucket_whose_bound_it_keeps() {
        for (us, bound) in [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1 << 20, 1 << 20)] {
            let bounds: Vec<Option<Duration>> =
                of(&[us]).buckets().filter(|&(_, n)| n > 0).map(|(bound, _)| bound).collect();
            assert_eq!(bounds, [Some(Duration::from_micros(bound))], "{us} us");
        }
        for us in [(1 << 20) + 1, u64::MAX] {
            assert_eq!(of(&[us]).buckets().last(), Some((None, 1)), "{us} us");
        }
    }

    #[test]
    fn count_and_sum_are_of_all_of_them() {
        let all = of(&[1, 10, 100]);
        assert_eq!((all.count(), all.sum()), (3, Duration::from_micros(111)));
    }

    #[test]
    fn of_a_hundred_the_bound_that_most_keep_is_told() {
        let mut times = vec![10; 98];
        times.extend([1_000, 3_000_000]);
        assert_eq!(of(&times).to_string(), "half within 16 us, 99 % within 1024 us");
        assert_eq!(of(&[3_000_000]).to_string(), "half beyond 1048576 us, 99 % beyond 1048576 us");
        assert_eq!(of(&[]).to_string(), "half within 0 us, 99 % within 0 us");
    }
}
