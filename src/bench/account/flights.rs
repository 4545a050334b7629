//! Lines on their way: when each should have been sent, when it was, and who still waits for it.
//! Pure. What must not be here: losses and order (`checker`).
//!
//! It is what a window is counted by, and what tells the last receiver from the first.

use std::collections::VecDeque;
use std::ops::Range;

/// One line that somebody waits for. Times in ns since the bench's start.
#[derive(Clone, Copy)]
struct Flight {
    intended_ns: u64,
    sent_ns: u64,
    /// When it reached its first receiver; 0 before.
    first_ns: u64,
    /// Receivers that are waited for.
    waiting: u32,
    /// Nobody was skipped.
    whole: bool,
}

/// The lines of one publisher that are on their way.
///
/// Invariant: `flights` begins with line `done`, which somebody waits for.
#[derive(Default)]
struct Lane {
    done: u32,
    /// Behind the last line that somebody has.
    heard: u32,
    flights: VecDeque<Flight>,
}

/// What an arrival says of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Arrival {
    pub(in crate::bench) intended_ns: u64,
    pub(in crate::bench) sent_ns: u64,
    /// It was the last: when the first one had it. Of a line that somebody did not get, nothing.
    pub(in crate::bench) first_ns: Option<u64>,
}

/// The lines of all publishers that are on their way.
pub(in crate::bench) struct Flights {
    lanes: Vec<Lane>,
}

impl Flights {
    pub(in crate::bench) fn new(publishers: usize) -> Self {
        Flights { lanes: (0..publishers).map(|_| Lane::default()).collect() }
    }

    /// The next line of `publisher`, for which so many wait. It counts as sent at once, until it
    /// is known better.
    pub(in crate::bench) fn made(
        &mut self,
        publisher: usize,
        intended_ns: u64,
        now_ns: u64,
        waiting: u32,
    ) {
        let flight = Flight { intended_ns, sent_ns: now_ns, first_ns: 0, waiting, whole: true };
        self.lanes[publisher].flights.push_back(flight);
        self.lanes[publisher].settle();
    }

    /// These lines went to the kernel only now.
    pub(in crate::bench) fn sent(&mut self, publisher: usize, lines: Range<u32>, now_ns: u64) {
        for sequence in lines {
            if let Some(flight) = self.lanes[publisher].get(sequence) {
                flight.sent_ns = now_ns;
            }
        }
    }

    /// One receiver has line `sequence`. None where nobody waits for it any more.
    pub(in crate::bench) fn arrived(
        &mut self,
        publisher: usize,
        sequence: u32,
        now_ns: u64,
    ) -> Option<Arrival> {
        let lane = &mut self.lanes[publisher];
        let flight = lane.get(sequence)?;
        if flight.first_ns == 0 {
            flight.first_ns = now_ns;
        }
        flight.waiting = flight.waiting.saturating_sub(1);
        lane.heard = lane.heard.max(sequence + 1);
        let flight = *lane.get(sequence)?;
        let last = flight.waiting == 0 && flight.whole;
        let Flight { intended_ns, sent_ns, first_ns, .. } = flight;
        lane.settle();
        Some(Arrival { intended_ns, sent_ns, first_ns: last.then_some(first_ns) })
    }

    /// One receiver is not waited for any more.
    pub(in crate::bench) fn skipped(&mut self, publisher: usize, lines: Range<u32>) {
        let lane = &mut self.lanes[publisher];
        lane.heard = lane.heard.max(lines.end);
        for sequence in lines {
            if let Some(flight) = self.lanes[publisher].get(sequence) {
                flight.waiting = flight.waiting.saturating_sub(1);
                flight.whole = false;
            }
        }
        self.lanes[publisher].settle();
    }

    /// How many lines of `publisher` everybody has, or will not get: all before the first that
    /// somebody waits for.
    pub(in crate::bench) fn done(&self, publisher: usize) -> u32 {
        self.lanes[publisher].done
    }

    /// The line behind the last of `publisher` that somebody has.
    pub(in crate::bench) fn heard(&self, publisher: usize) -> u32 {
        self.lanes[publisher].heard
    }

    /// The line behind the last of `publisher` that was sent before `ns` with all before it sent
    /// before too; at least `done`.
    pub(in crate::bench) fn sent_before(&self, publisher: usize, ns: u64) -> u32 {
        let lane = &self.lanes[publisher];
        let before = lane.flights.iter().take_while(|flight| flight.sent_ns < ns).count();
        lane.done + before as u32
    }
}

impl Lane {
    fn get(&mut self, sequence: u32) -> Option<&mut Flight> {
        let index = sequence.checked_sub(self.done)?;
        self.flights.get_mut(index as usize)
    }

    fn settle(&mut self) {
        while self.flights.front().is_some_and(|flight| flight.waiting == 0) {
            self.flights.pop_front();
            self.done += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_receiver_completes_a_line_and_tells_the_first() {
        let mut flights = Flights::new(1);
        flights.made(0, 100, 110, 3);
        flights.sent(0, 0..1, 120);
        let arrival = |first_ns| Some(Arrival { intended_ns: 100, sent_ns: 120, first_ns });
        assert_eq!(flights.arrived(0, 0, 200), arrival(None));
        assert_eq!(flights.arrived(0, 0, 300), arrival(None));
        assert_eq!((flights.done(0), flights.heard(0)), (0, 1));
        assert_eq!(flights.arrived(0, 0, 400), arrival(Some(200)));
        assert_eq!((flights.done(0), flights.arrived(0, 0, 500)), (1, None));
    }

    #[test]
    fn lines_are_done_in_order_whatever_comes_first() {
        let mut flights = Flights::new(2);
        (0..3).for_each(|_| flights.made(1, 0, 0, 1));
        flights.arrived(1, 2, 5);
        flights.arrived(1, 1, 5);
        assert_eq!(flights.done(1), 0);
        flights.arrived(1, 0, 5);
        assert_eq!((flights.done(1), flights.done(0)), (3, 0));
    }

    #[test]
    fn a_line_that_somebody_does_not_get_has_no_last_receiver() {
        let mut flights = Flights::new(1);
        flights.made(0, 0, 0, 2);
        flights.skipped(0, 0..1);
        assert_eq!(flights.arrived(0, 0, 9).unwrap().first_ns, None);
        assert_eq!(flights.done(0), 1);
        flights.made(0, 0, 0, 0);
        assert_eq!(flights.done(0), 2, "nobody waits");
    }

    #[test]
    fn what_is_overdue_is_found_from_the_front() {
        let mut flights = Flights::new(1);
        for sent_ns in [10, 20, 30] {
            flights.made(0, 0, sent_ns, 1);
        }
        assert_eq!([5, 20, 25, 99].map(|ns| flights.sent_before(0, ns)), [0, 1, 2, 3]);
    }
}
