//! The generator watches itself: was it there when it should have been? Pure.
//!
//! Every line that is due, or where there is no schedule every tick of a clock of its own, tells how
//! late the loop came. What somebody else held up, a full socket or a window, is not charged to it.

use super::{DIGITS, histogram};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// How often it looks at the clock although nothing is due. 100 a second cost nothing, and in a
/// measurement of a second the 99th percentile is one look.
const TICK: Duration = Duration::from_millis(10);

/// How late the loop was.
pub(in crate::bench) struct Watch {
    tick: Instant,
    /// In ns.
    pub(in crate::bench) lag: Histogram<u64>,
    /// Lines that were due and not sent, at most.
    pub(in crate::bench) queue_max: u64,
}

impl Watch {
    pub(in crate::bench) fn new(start: Instant) -> Self {
        Watch { tick: start + TICK, lag: histogram(DIGITS), queue_max: 0 }
    }

    /// When it wants to look.
    pub(in crate::bench) fn next(&self) -> Instant {
        self.tick
    }

    /// Looks. Ticks that were slept through all count: who is away for long is late often.
    pub(in crate::bench) fn look(&mut self, now: Instant) {
        let mut missed = 0;
        while self.tick <= now && missed < 1_000 {
            self.late(now - self.tick);
            self.tick += TICK;
            missed += 1;
        }
        if self.tick <= now {
            self.tick = now + TICK;
        }
    }

    /// Something was so late.
    pub(in crate::bench) fn late(&mut self, by: Duration) {
        self.lag.saturating_record(by.as_nanos() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_for_long_is_late_often() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        watch.look(start + TICK);
        assert_eq!((watch.lag.len(), watch.next()), (1, start + 2 * TICK));
        watch.look(start + 31 * TICK);
        assert_eq!(watch.lag.len(), 31);
        let late = watch.lag.value_at_quantile(0.5);
        assert!(late >= 100_000_000, "{late} ns in the middle of 300 ms away");
    }
}
