//! Did every line of every publisher reach every subscriber, once and in order? Pure: no sockets,
//! no clock, no latency.
//!
//! A subscriber costs four bytes a publisher: the sequence expected next. Only what is missing
//! costs more, so that the bench can hold many thousands of peers.

use std::collections::BTreeMap;

/// Runs of missing lines that are remembered, so that one that comes late is told from one that
/// comes twice. A server that loses more than that has failed anyway; behind it, late counts as
/// twice.
const GAPS_MAX: usize = 100_000;

/// What was found. `lost` counts what has not come until now: a line that comes late is taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Lines that reached a subscriber for the first time.
    pub(super) delivered: u64,
    /// Lines that a subscriber has not had, although a later one came or it is gone.
    pub(super) lost: u64,
    /// Lines that a subscriber had had already.
    pub(super) duplicates: u64,
    /// Lines that came after a later one of the same publisher.
    pub(super) disordered: u64,
    /// Lines cut or changed on their way.
    pub(super) damaged: u64,
}

impl Tally {
    /// True where each line came whole, once and in order.
    pub(super) fn is_clean(&self) -> bool {
        *self == Tally { delivered: self.delivered, ..Tally::default() }
    }
}

/// Invariant: `outstanding` is the sum of `messages - next` over all streams, and
/// `delivered + lost + outstanding` is all there is to deliver.
pub(super) struct Checker {
    publishers: usize,
    /// Lines of each publisher.
    messages: u32,
    /// By stream, which is subscriber times publishers plus publisher: the sequence expected next.
    next: Vec<u32>,
    /// From (stream, first missing sequence) to the one behind the last.
    gaps: BTreeMap<(usize, u32), u32>,
    outstanding: u64,
    tally: Tally,
}

impl Checker {
    /// Nothing delivered yet.
    pub(super) fn new(subscribers: usize, publishers: usize, messages: u32) -> Self {
        let streams = subscribers * publishers;
        Checker {
            publishers,
            messages,
            next: vec![0; streams],
            gaps: BTreeMap::new(),
            outstanding: streams as u64 * u64::from(messages),
            tally: Tally::default(),
        }
    }

    /// A line came. True where it is the first of its kind: a delivery.
    pub(super) fn line(&mut self, subscriber: usize, publisher: usize, sequence: u32) -> bool {
        if publisher >= self.publishers || sequence >= self.messages {
            self.tally.damaged += 1;
            return false;
        }
        let stream = subscriber * self.publishers + publisher;
        let next = self.next[stream];
        if sequence < next {
            return self.late(stream, sequence);
        }
        if sequence > next {
            self.tally.lost += u64::from(sequence - next);
            if self.gaps.len() < GAPS_MAX {
                self.gaps.insert((stream, next), sequence);
            }
        }
        self.next[stream] = sequence + 1;
        self.outstanding -= u64::from(sequence - next) + 1;
        self.tally.delivered += 1;
        true
    }

    /// A line that is no line of this run any more.
    pub(super) fn damaged(&mut self) {
        self.tally.damaged += 1;
    }

    fn late(&mut self, stream: usize, sequence: u32) -> bool {
        let gap = self.gaps.range(..=(stream, sequence)).next_back();
        let gap = gap.map(|(&(of, start), &end)| (of, start, end));
        let Some((of, start, end)) = gap else {
            self.tally.duplicates += 1;
            return false;
        };
        if of != stream || sequence >= end {
            self.tally.duplicates += 1;
            return false;
        }
        self.gaps.remove(&(stream, start));
        if start < sequence {
            self.gaps.insert((stream, start), sequence);
        }
        if sequence + 1 < end {
            self.gaps.insert((stream, sequence + 1), end);
        }
        self.tally.lost -= 1;
        self.tally.disordered += 1;
        self.tally.delivered += 1;
        true
    }

    /// This subscriber will get nothing more: what it still misses is lost.
    pub(super) fn abandon(&mut self, subscriber: usize) {
        let first = subscriber * self.publishers;
        for next in &mut self.next[first..first + self.publishers] {
            let missing = u64::from(self.messages - *next);
            *next = self.messages;
            self.outstanding -= missing;
            self.tally.lost += missing;
        }
    }

    /// Deliveries that may still come: behind the last line of each stream.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Lines that reached a subscriber for the first time, until now.
    pub(super) fn delivered(&self) -> u64 {
        self.tally.delivered
    }

    /// What was found; what is outstanding counts as lost.
    pub(super) fn finish(&self) -> Tally {
        Tally { lost: self.tally.lost + self.outstanding, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two subscribers and two publishers of five lines; `given` stands in for what subscriber 1
    /// gets from publisher 1, all else is clean.
    fn tally_of(given: &[u32]) -> Tally {
        let mut checker = Checker::new(2, 2, 5);
        for (subscriber, publisher) in [(0, 0), (0, 1), (1, 0)] {
            for sequence in 0..5 {
                assert!(checker.line(subscriber, publisher, sequence));
            }
        }
        for &sequence in given {
            checker.line(1, 1, sequence);
        }
        let tally = checker.finish();
        assert_eq!(tally.delivered + tally.lost, 20);
        tally
    }

    #[test]
    fn all_lines_once_and_in_order_are_clean() {
        let tally = tally_of(&[0, 1, 2, 3, 4]);
        assert_eq!(tally, Tally { delivered: 20, ..Tally::default() });
        assert!(tally.is_clean());
    }

    #[test]
    fn a_planted_loss_is_found_wherever_it_is() {
        for missing in 0..5 {
            let given: Vec<u32> = (0..5).filter(|&sequence| sequence != missing).collect();
            let tally = tally_of(&given);
            assert_eq!(tally, Tally { delivered: 19, lost: 1, ..Tally::default() }, "{missing}");
            assert!(!tally.is_clean());
        }
        assert_eq!(tally_of(&[]), Tally { delivered: 15, lost: 5, ..Tally::default() });
    }

    #[test]
    fn a_planted_duplicate_is_found_wherever_it_is() {
        for twice in 0..5 {
            let mut given: Vec<u32> = (0..5).collect();
            given.insert(twice as usize + 1, twice);
            let tally = tally_of(&given);
            assert_eq!(tally, Tally { delivered: 20, duplicates: 1, ..Tally::default() });
            given.remove(twice as usize + 1);
            given.push(twice);
            assert_eq!(tally_of(&given), tally, "at the end");
        }
    }

    #[test]
    fn a_planted_swap_is_one_line_out_of_order_and_no_loss() {
        for first in 0..4 {
            let mut given: Vec<u32> = (0..5).collect();
            given.swap(first, first + 1);
            let tally = tally_of(&given);
            assert_eq!(tally, Tally { delivered: 20, disordered: 1, ..Tally::default() });
        }
        let backwards = tally_of(&[4, 3, 2, 1, 0]);
        assert_eq!(backwards, Tally { delivered: 20, disordered: 4, ..Tally::default() });
    }

    #[test]
    fn a_late_line_that_comes_twice_is_late_and_a_duplicate() {
        let tally = tally_of(&[0, 4, 2, 2]);
        let found = Tally { delivered: 18, lost: 2, duplicates: 1, disordered: 1, damaged: 0 };
        assert_eq!(tally, found);
    }

    #[test]
    fn what_was_never_sent_is_damage() {
        let mut checker = Checker::new(1, 1, 5);
        assert!(!checker.line(0, 1, 0) && !checker.line(0, 0, 5));
        assert_eq!((checker.finish().damaged, checker.outstanding()), (2, 5));
    }

    #[test]
    fn who_is_gone_owes_nothing_and_has_lost_the_rest() {
        let mut checker = Checker::new(2, 1, 5);
        checker.line(0, 0, 1);
        checker.abandon(0);
        assert_eq!(checker.outstanding(), 5);
        assert_eq!(checker.finish(), Tally { delivered: 1, lost: 9, ..Tally::default() });
    }
}
