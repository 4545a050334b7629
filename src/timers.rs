//! Deadlines in order. Pure: whose they are and what the time is, the caller says.
//!
//! An ordered set of (deadline, key), as libev keeps its timers in a heap: the nearest is at hand,
//! arming and disarming cost a logarithm, and equal deadlines fire in the order of their keys, so
//! that a simulated run repeats. An entry is not moved when its reason is put off: let it fire, look
//! at the clock again and arm anew (the lazy idle timer of nginx and libev).

use std::collections::BTreeSet;
use std::time::Instant;

/// A set of deadlines. One key may stand in it more than once.
pub struct Timers<K> {
    armed: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Copy> Timers<K> {
    /// No deadline.
    pub fn new() -> Self {
        Timers { armed: BTreeSet::new() }
    }

    /// Arms `key` for `at`. The same pair twice is one.
    pub fn arm(&mut self, at: Instant, key: K) {
        self.armed.insert((at, key));
    }

    /// Takes a deadline back; nothing where it has fired already.
    pub fn disarm(&mut self, at: Instant, key: K) {
        self.armed.remove(&(at, key));
    }

    /// The nearest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.armed.first().map(|&(at, _)| at)
    }

    /// Takes out one key whose deadline is not after `now`, the earliest first.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, key)| key)
    }

    /// Whether `key` is armed for some moment.
    #[cfg(test)]
    pub(crate) fn is_armed(&self, key: K) -> bool {
        self.armed.iter().any(|&(_, armed)| armed == key)
    }

    /// How many are armed.
    pub fn len(&self) -> usize {
        self.armed.len()
    }

    /// True when none is armed.
    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;
    use std::time::{Duration, Instant};

    #[test]
    fn fires_in_order_of_deadline_and_never_early() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::new();
        timers.arm(at(30), 'c');
        timers.arm(at(10), 'a');
        timers.arm(at(20), 'b');
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.expire(at(9)), None);
        assert_eq!(timers.expire(at(20)), Some('a'));
        assert_eq!(timers.expire(at(20)), Some('b'));
        assert_eq!(timers.expire(at(20)), None);
        assert_eq!(timers.next(), Some(at(30)));
    }

    #[test]
    fn a_disarmed_deadline_does_not_fire() {
        let start = Instant::now();
        let mut timers = Timers::new();
        timers.arm(start, 1);
        timers.disarm(start, 1);
        assert_eq!(timers.expire(start), None);
        assert_eq!(timers.next(), None);
        assert!(timers.is_empty());
    }
}
