//! When each line should be sent. Pure; an open loop: the schedule waits for nobody, so that a
//! server that stops for a while is charged for every line that should have gone meanwhile
//! (wrk2's intended time; Gil Tene's "coordinated omission").

use std::time::{Duration, Instant};

const NS_PER_S: u128 = 1_000_000_000;

/// Bursts of all publishers on one even raster: burst `index` of all belongs to publisher
/// `index % publishers`, so that publishers take turns instead of speaking at once. The lines of a
/// burst, mostly one, are meant for the same moment.
///
/// Invariant: `due <= bursts`, and `due` never falls.
#[derive(Clone, Copy)]
pub(in crate::bench) struct Schedule {
    start: Instant,
    publishers: u64,
    /// Lines a second, of all publishers together.
    rate: u64,
    /// Lines of a burst.
    burst: u64,
    /// Bursts of all publishers.
    bursts: u64,
    /// The bursts before this one should have been sent by now.
    due: u64,
}

impl Schedule {
    /// `rate`: lines a second; `lines`: how many, rounded up to whole bursts. Both of all
    /// publishers together.
    pub(in crate::bench) fn new(
        start: Instant,
        publishers: usize,
        rate: u32,
        burst: u32,
        lines: u64,
    ) -> Self {
        let (publishers, burst) = (publishers as u64, u64::from(burst));
        let bursts = lines.div_ceil(burst);
        Schedule { start, publishers, rate: u64::from(rate), burst, bursts, due: 0 }
    }

    /// When line `sequence` of `publisher` should be sent.
    pub(in crate::bench) fn intended(&self, publisher: usize, sequence: u32) -> Instant {
        let burst = u64::from(sequence) / self.burst;
        self.at(burst * self.publishers + publisher as u64)
    }

    fn at(&self, index: u64) -> Instant {
        let ns = u128::from(index) * u128::from(self.burst) * NS_PER_S / u128::from(self.rate);
        self.start + Duration::from_nanos(ns as u64)
    }

    /// Brings what is due up to `now`. Returns which bursts are due since then, by their index
    /// among all.
    pub(in crate::bench) fn advance(&mut self, now: Instant) -> std::ops::Range<u64> {
        let before = self.due;
        if let Some(elapsed) = now.checked_duration_since(self.start) {
            // Every index with index * burst * 10^9 / rate, rounded down, at most elapsed.
            let lines = (elapsed.as_nanos() + 1) * u128::from(self.rate);
            let due = lines.div_ceil(NS_PER_S * u128::from(self.burst));
            self.due = u64::try_from(due).unwrap_or(u64::MAX).clamp(before, self.bursts);
        }
        before..self.due
    }

    /// How many lines of `publisher` should have been sent by now.
    pub(in crate::bench) fn due_of(&self, publisher: usize) -> u32 {
        let bursts = self.due.saturating_sub(publisher as u64).div_ceil(self.publishers);
        u32::try_from(bursts * self.burst).unwrap_or(u32::MAX)
    }

    /// How many lines of all publishers should have been sent by now.
    pub(in crate::bench) fn due(&self) -> u64 {
        self.due * self.burst
    }

    /// When the next line should be sent, if there is one.
    pub(in crate::bench) fn next(&self) -> Option<Instant> {
        (self.due < self.bursts).then(|| self.at(self.due))
    }

    /// All lines of all publishers.
    pub(in crate::bench) fn lines(&self) -> u64 {
        self.bursts * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_on_an_even_raster_and_publishers_take_turns() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 4, 1_000, 1, 40);
        for (publisher, sequence, ms) in [(0, 0, 0), (1, 0, 1), (3, 0, 3), (0, 1, 4), (2, 9, 38)] {
            let intended = schedule.intended(publisher, sequence);
            assert_eq!(intended, start + Duration::from_millis(ms));
        }
    }

    #[test]
    fn a_burst_is_due_as_one_and_keeps_the_rate() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 2, 1_000, 10, 35);
        assert_eq!(schedule.lines(), 40, "whole bursts");
        let at = |ms| start + Duration::from_millis(ms);
        for (publisher, sequence, ms) in
            [(0, 0, 0), (0, 9, 0), (1, 0, 10), (0, 10, 20), (1, 19, 30)]
        {
            assert_eq!(schedule.intended(publisher, sequence), at(ms));
        }
        assert_eq!(schedule.advance(at(20)), 0..3);
        assert_eq!((schedule.due_of(0), schedule.due_of(1)), (20, 10));
        assert_eq!(schedule.next(), Some(at(30)));
    }

    #[test]
    fn a_line_is_due_at_its_time_and_not_a_nanosecond_before() {
        let start = Instant::now();
        for (publishers, rate) in [(1, 1), (3, 21), (2, 666), (1, 1_000_000), (5, u32::MAX)] {
            let mut schedule = Schedule::new(start, publishers, rate, 1, publishers as u64 * 20);
            let mut due = 0;
            while let Some(next) = schedule.next() {
                if next > start {
                    let early = schedule.advance(next - Duration::from_nanos(1));
                    assert!(early.is_empty(), "{early:?} of {publishers} at {rate}");
                }
                let range = schedule.advance(next);
                assert_eq!(range.start, due);
                assert!(range.contains(&due), "{range:?}");
                due = range.end;
            }
            assert_eq!(due, publishers as u64 * 20);
            assert!((0..publishers).all(|publisher| schedule.due_of(publisher) == 20));
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_everything_between_due_and_no_more() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 2, 1_000, 1, 8);
        assert_eq!(schedule.advance(start), 0..1);
        assert_eq!(schedule.advance(start + Duration::from_millis(4)), 1..5);
        assert_eq!((schedule.due_of(0), schedule.due_of(1)), (3, 2));
        assert_eq!(schedule.advance(start + Duration::from_secs(3_600)), 5..8);
        assert_eq!(schedule.next(), None);
    }
}
