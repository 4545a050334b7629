//! When each line should be sent. Pure; an open loop: the schedule waits for nobody, so that a
//! server that stops for a while is charged for every line that should have gone meanwhile
//! (wrk2's intended time; Gil Tene's "coordinated omission").

use std::time::{Duration, Instant};

const NS_PER_S: u128 = 1_000_000_000;

/// Lines of all publishers on one even raster: line `index` of all belongs to publisher
/// `index % publishers`, so that publishers take turns instead of speaking at once.
///
/// Invariant: `due <= total`, and `due` never falls.
#[derive(Clone, Copy)]
pub(super) struct Schedule {
    start: Instant,
    publishers: u64,
    /// Lines a second, of all publishers together.
    rate: u64,
    /// Lines of all publishers.
    total: u64,
    /// The lines before this one should have been sent by now.
    due: u64,
}

impl Schedule {
    /// `rate`: lines a second and publisher; `messages`: lines a publisher.
    pub(super) fn new(start: Instant, publishers: u16, rate: u32, messages: u32) -> Self {
        let publishers = u64::from(publishers);
        let rate = publishers * u64::from(rate);
        Schedule { start, publishers, rate, total: publishers * u64::from(messages), due: 0 }
    }

    /// When line `sequence` of `publisher` should be sent.
    pub(super) fn intended(&self, publisher: u16, sequence: u32) -> Instant {
        self.at(u64::from(sequence) * self.publishers + u64::from(publisher))
    }

    fn at(&self, index: u64) -> Instant {
        let ns = u128::from(index) * NS_PER_S / u128::from(self.rate);
        self.start + Duration::from_nanos(ns as u64)
    }

    /// Brings `due` up to `now`. Returns which lines are due since then, by their index among all.
    pub(super) fn advance(&mut self, now: Instant) -> std::ops::Range<u64> {
        let before = self.due;
        if let Some(elapsed) = now.checked_duration_since(self.start) {
            // Every index with index * 10^9 / rate, rounded down, at most elapsed.
            let due = ((elapsed.as_nanos() + 1) * u128::from(self.rate)).div_ceil(NS_PER_S);
            self.due = u64::try_from(due).unwrap_or(u64::MAX).clamp(before, self.total);
        }
        before..self.due
    }

    /// How many lines of `publisher` should have been sent by now.
    pub(super) fn due_of(&self, publisher: u16) -> u32 {
        // At most `messages`, which is a u32.
        self.due.saturating_sub(u64::from(publisher)).div_ceil(self.publishers) as u32
    }

    /// When the next line should be sent, if there is one.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.due < self.total).then(|| self.at(self.due))
    }

    /// The first line's time.
    pub(super) fn start(&self) -> Instant {
        self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_on_an_even_raster_and_publishers_take_turns() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 4, 250, 10);
        for (publisher, sequence, ms) in [(0, 0, 0), (1, 0, 1), (3, 0, 3), (0, 1, 4), (2, 9, 38)] {
            let intended = schedule.intended(publisher, sequence);
            assert_eq!(intended, start + Duration::from_millis(ms));
        }
    }

    #[test]
    fn a_line_is_due_at_its_time_and_not_a_nanosecond_before() {
        let start = Instant::now();
        for (publishers, rate) in [(1, 1), (3, 7), (2, 333), (1, 1_000_000), (5, u32::MAX)] {
            let mut schedule = Schedule::new(start, publishers, rate, 20);
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
            assert_eq!(due, u64::from(publishers) * 20);
            assert!((0..publishers).all(|publisher| schedule.due_of(publisher) == 20));
        }
    }

    #[test]
    fn a_clock_that_jumps_makes_everything_between_due_and_no_more() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 2, 500, 4);
        assert_eq!(schedule.advance(start), 0..1);
        assert_eq!(schedule.advance(start + Duration::from_millis(4)), 1..5);
        assert_eq!((schedule.due_of(0), schedule.due_of(1)), (3, 2));
        assert_eq!(schedule.advance(start + Duration::from_secs(3_600)), 5..8);
        assert_eq!(schedule.next(), None);
    }
}
