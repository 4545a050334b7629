//! When the next probe is due, of so many at such an interval; pure.

use crate::probes::{Account, WINDOW};
use std::time::{Duration, Instant};

/// Probes on their way at once where the answers set the pace: more could run over a receive queue;
/// 32 of the longest datagrams are 2 MiB.
pub(super) const UNANSWERED_MAX: usize = 32;

/// A rate that is kept, and what is left to send.
pub(super) struct Pace {
    interval: Duration,
    left: Option<u64>,
    next_at: Option<Instant>,
}

impl Pace {
    /// `count`: none for ever. `interval` zero: as fast as they are answered.
    pub(super) fn new(count: Option<u64>, interval: Duration) -> Self {
        Pace { interval, left: count, next_at: None }
    }

    /// True where all have been sent.
    pub(super) fn is_done(&self) -> bool {
        self.left == Some(0)
    }

    /// True where one is to be sent now: it is due, and there is room for it.
    pub(super) fn takes_turn(&mut self, account: &Account, now: Instant) -> bool {
        let due = self.next_at.is_none_or(|at| at <= now);
        if !due || self.is_done() || !self.has_room(account) {
            return false;
        }
        self.left = self.left.map(|left| left - 1);
        // From the time at which this one was due, so that the rate is kept; from now on where it
        // is a whole interval late: what was missed is not made up for in a burst.
        let from = self.next_at.filter(|&at| at + self.interval > now).unwrap_or(now);
        self.next_at = Some(from + self.interval);
        true
    }

    /// When that is to be asked again; `None` where an answer or a loss must come first.
    pub(super) fn next_at(&self, account: &Account) -> Option<Instant> {
        self.next_at.filter(|_| !self.is_done() && self.has_room(account))
    }

    /// Without an interval the answers set the pace. With one only the account's memory is a bound.
    fn has_room(&self, account: &Account) -> bool {
        let most = if self.interval.is_zero() { UNANSWERED_MAX } else { WINDOW };
        account.unanswered() < most
    }
}
