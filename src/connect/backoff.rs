//! How long to wait before the next round of dials: exponential back-off with jitter and a cap,
//! from a seed, so that a run replays; pure. Half of each wait is fixed and half is drawn ("equal
//! jitter", M. Brooker, 2015): a crowd that lost one server does not come back in one moment, and
//! nobody dials without a pause.

use crate::random::Random;
use std::time::Duration;

/// The longest first wait. Short: most often a server is only being started again.
const FIRST: Duration = Duration::from_millis(500);

/// No wait is longer. Nobody wants to sit before a server that is up for more than half a minute.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(30);

/// The waits between rounds that failed.
pub(super) struct Backoff {
    random: Random,
    /// Rounds that failed in a row.
    rounds: u32,
    /// So many rounds may fail in a row; none: any number.
    rounds_max: Option<u32>,
}

impl Backoff {
    pub(super) fn new(seed: u64, rounds_max: Option<u32>) -> Self {
        Backoff { random: Random::new(seed), rounds: 0, rounds_max }
    }

    /// How long to wait now; none where there were rounds enough.
    pub(super) fn next(&mut self) -> Option<Duration> {
        if self.rounds_max.is_some_and(|max| self.rounds >= max) {
            return None;
        }
        let doubled = FIRST.saturating_mul(1u32.checked_shl(self.rounds).unwrap_or(u32::MAX));
        let longest = doubled.min(WAIT_MAX).as_millis() as usize;
        self.rounds = self.rounds.saturating_add(1);
        let half = longest / 2;
        Some(Duration::from_millis((half + self.random.below(longest - half + 1)) as u64))
    }

    /// The link was good: the next wait is a short one.
    pub(super) fn reset(&mut self) {
        self.rounds = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(seed: u64, n: usize) -> Vec<u128> {
        let mut backoff = Backoff::new(seed, None);
        (0..n).map(|_| backoff.next().unwrap().as_millis()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_waits_each_time_and_another_seed_others() {
        assert_eq!(waits(1, 20), waits(1, 20));
        assert_ne!(waits(1, 20), waits(2, 20));
    }

    #[test]
    fn each_wait_is_between_half_and_all_of_a_bound_that_doubles_up_to_the_cap() {
        let bounds = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
        for seed in 0..100 {
            for (wait, bound) in waits(seed, 8).into_iter().zip(bounds) {
                assert!((bound / 2..=bound).contains(&wait), "seed {seed}: {wait} of {bound}");
            }
        }
        assert!(waits(3, 100)[99] <= 30_000, "the doubling does not overflow");
    }

    #[test]
    fn rounds_enough_are_the_end_and_a_good_link_makes_them_start_again() {
        let mut backoff = Backoff::new(1, Some(2));
        assert!(backoff.next().is_some());
        backoff.reset();
        assert!(backoff.next().is_some());
        assert!(backoff.next().is_some());
        assert_eq!(backoff.next(), None);
    }
}
