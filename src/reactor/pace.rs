//! When to wait and when to write: two trades of processor time against latency, both off unless
//! they are asked for.
//!
//! Sleeping and waking costs a round trip more than the work itself (47 µs against 16 µs on a
//! 2-core machine): [`Spin`] looks again for a while before it sleeps, as net.core.busy_poll does in
//! the kernel. A send costs the same whatever its size: gathering lets a turn's lines wait for more
//! of their kind, as TCP_CORK does in the kernel.

use super::Reactor;
use crate::os::Os;
use std::time::{Duration, Instant};

/// Whether the loop looks again without sleeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// It sleeps as soon as nothing is left to do.
    #[default]
    Off,
    /// It looks for so long after each turn that an event woke or that had work left.
    For(Duration),
    /// It looks for [`SPIN_AUTO`] after a turn in which bytes or datagrams came in.
    Auto,
}

/// What [`Spin::Auto`] spends after traffic. The answer to what was just sent comes within tens of
/// microseconds on one host and within some hundred in one rack; twice that.
pub const SPIN_AUTO: Duration = Duration::from_micros(200);

/// What is gathered at most before it is passed on all the same, in bytes: four times this is what
/// a room of the default size takes in before its talkers wait for its readers.
const GATHER_MAX: u64 = 64 * 1024;

/// The two trades of one loop, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Pace {
    spin: Spin,
    /// How long what came in may wait for more before it is passed on; zero: not at all.
    gather: Duration,
    /// Sleeping is put off until then.
    awake_until: Option<Instant>,
    /// Writing is put off until then.
    write_at: Option<Instant>,
    /// What came in since writing is put off, in bytes and datagrams.
    gathered: u64,
}

impl Pace {
    pub(super) fn new(spin: Spin, gather: Duration) -> Self {
        Pace { spin, gather, awake_until: None, write_at: None, gathered: 0 }
    }

    /// A turn's reads are done and brought so many bytes and datagrams; `woken`: the turn's wait
    /// found something, or there was work left.
    pub(super) fn note(&mut self, traffic: u64, woken: bool, now: Instant) {
        self.gathered += traffic;
        self.awake_until = match self.spin {
            Spin::For(time) if woken => Some(now + time),
            Spin::Auto if traffic > 0 => Some(now + SPIN_AUTO),
            Spin::Off | Spin::For(_) | Spin::Auto => self.awake_until,
        };
        if traffic > 0 && !self.gather.is_zero() && self.write_at.is_none() {
            self.write_at = Some(now + self.gather);
            self.gathered = traffic;
        }
    }

    /// True where the wait must not sleep.
    pub(super) fn stays_awake(&mut self, now: Instant) -> bool {
        let awake = self.awake_until.is_some_and(|until| now < until);
        if !awake {
            self.awake_until = None;
        }
        awake
    }

    /// True where what is pending waits for more of its kind.
    pub(super) fn gathers(&mut self, now: Instant) -> bool {
        let full = self.gathered >= GATHER_MAX;
        let gathers = self.write_at.is_some_and(|at| !full && now < at);
        if !gathers {
            self.write_at = None;
        }
        gathers
    }

    /// When what is gathered is written.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.write_at
    }
}

impl<O: Os> Reactor<O> {
    /// A number that grows with whatever peers send.
    pub(super) fn came_in(&self) -> u64 {
        self.stats.bytes_in + self.stats.datagrams_in
    }

    /// `before`: what had come in before this turn's reads.
    pub(super) fn set_pace(&mut self, before: u64) {
        let traffic = self.came_in() - before;
        let woken = !self.quiet;
        self.pace.note(traffic, woken, self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);

    #[test]
    fn off_puts_nothing_off() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.note(1, true, start);
        assert!(!pace.stays_awake(start));
        assert!(!pace.gathers(start));
    }

    #[test]
    fn it_stays_awake_for_its_time_and_then_sleeps_until_it_is_woken() {
        let start = Instant::now();
        let mut pace = Pace::new(Spin::For(50 * US), Duration::ZERO);
        pace.note(0, true, start);
        assert!(pace.stays_awake(start + 49 * US));
        pace.note(0, false, start + 49 * US); // what was due prolongs nothing
        assert!(!pace.stays_awake(start + 50 * US));
    }

    #[test]
    fn auto_stays_awake_after_traffic_alone() {
        let start = Instant::now();
        let mut pace = Pace::new(Spin::Auto, Duration::ZERO);
        pace.note(0, true, start); // a timer is no traffic
        assert!(!pace.stays_awake(start));
        pace.note(1, true, start);
        assert!(pace.stays_awake(start + SPIN_AUTO - US));
        assert!(!pace.stays_awake(start + SPIN_AUTO));
    }

    #[test]
    fn gathering_counts_from_the_first_and_ends_early_where_enough_came() {
        let start = Instant::now();
        let mut pace = Pace::new(Spin::Off, 1_000 * US);
        assert!(!pace.gathers(start), "nothing came");
        pace.note(1, true, start);
        pace.note(1, true, start + 900 * US);
        assert_eq!(pace.deadline(), Some(start + 1_000 * US));
        assert!(pace.gathers(start + 999 * US));
        assert!(!pace.gathers(start + 1_000 * US));
        pace.note(GATHER_MAX, true, start + 2_000 * US);
        assert!(!pace.gathers(start + 2_000 * US));
        assert_eq!(pace.deadline(), None);
    }
}
