//! Did every line of every publisher reach every subscriber, once and in order? Pure: no sockets,
//! no clock, no latency.
//!
//! A subscriber costs four bytes a publisher: the sequence expected next. Only what is missing
//! costs more, so that the bench can hold many thousands of peers.

use std::collections::BTreeMap;
use std::ops::Range;

/// Runs of missing lines that are remembered, so that one that comes late is told from one that
/// comes twice. A server that loses more than that has failed anyway; behind it, late counts as
/// twice.
const GAPS_MAX: usize = 100_000;

/// What was found. `lost` counts what has not come until now: a line that comes late is taken off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Tally {
    /// Lines that reached a subscriber for the first time.
    pub(in crate::bench) delivered: u64,
    /// Lines that a subscriber has not had, although a later one came or it is gone.
    pub(in crate::bench) lost: u64,
    /// Lines that a subscriber had had already.
    pub(in crate::bench) duplicates: u64,
    /// Lines that came after a later one of the same publisher.
    pub(in crate::bench) disordered: u64,
    /// Lines cut or changed on their way.
    pub(in crate::bench) damaged: u64,
}

/// What a line was to its subscriber.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Came {
    /// A delivery. The range ends in it and begins with what was skipped: for all of them this
    /// subscriber is waited for no more.
    Next(Range<u32>),
    /// A delivery of what had been skipped.
    Late,
    /// No delivery: it came twice, or was never sent, or goes back to its author.
    Not,
}

/// Which publishers hear too: the first `overlap` of them are the first subscribers, and nobody
/// need hear himself.
///
/// Invariant: `outstanding` is the sum of `made - next` over all streams of subscribers that are
/// there, their own left out.
pub(in crate::bench) struct Checker {
    publishers: usize,
    subscribers: usize,
    overlap: usize,
    /// By publisher: lines made so far.
    made: Vec<u32>,
    /// By stream, which is subscriber times publishers plus publisher: the sequence expected next;
    /// [`GONE`] where the subscriber is.
    next: Vec<u32>,
    gone: usize,
    /// From (stream, first missing sequence) to the one behind the last.
    gaps: BTreeMap<(usize, u32), u32>,
    outstanding: u64,
    tally: Tally,
}

/// The sequence that a subscriber who is gone expects next.
const GONE: u32 = u32::MAX;

impl Checker {
    /// Nothing made yet.
    pub(in crate::bench) fn new(subscribers: usize, publishers: usize, overlap: usize) -> Self {
        Checker {
            publishers,
            subscribers,
            overlap,
            made: vec![0; publishers],
            next: vec![0; subscribers * publishers],
            gone: 0,
            gaps: BTreeMap::new(),
            outstanding: 0,
            tally: Tally::default(),
        }
    }

    /// One more line of `publisher` is on its way. Returns how many wait for it.
    pub(in crate::bench) fn made(&mut self, publisher: usize) -> u32 {
        self.made[publisher] += 1;
        let own = publisher < self.overlap;
        let own_gone = own && self.is_gone(publisher);
        let gone = self.gone - usize::from(own_gone);
        let hearers = self.subscribers - usize::from(own) - gone;
        self.outstanding += hearers as u64;
        self.tally.lost += gone as u64;
        hearers as u32
    }

    /// How many lines of `publisher` there are.
    pub(in crate::bench) fn made_of(&self, publisher: usize) -> u32 {
        self.made[publisher]
    }

    fn is_gone(&self, subscriber: usize) -> bool {
        self.next[subscriber * self.publishers] == GONE
    }

    /// A line came.
    pub(in crate::bench) fn line(
        &mut self,
        subscriber: usize,
        publisher: usize,
        sequence: u32,
    ) -> Came {
        if publisher >= self.publishers || sequence >= self.made[publisher] {
            self.tally.damaged += 1;
            return Came::Not;
        }
        if subscriber == publisher && subscriber < self.overlap {
            return Came::Not;
        }
        let stream = subscriber * self.publishers + publisher;
        let next = self.next[stream];
        if sequence < next {
            return self.late(stream, sequence);
        }
        let passed = self.pass(stream, sequence);
        self.next[stream] += 1;
        self.outstanding -= 1;
        self.tally.delivered += 1;
        Came::Next(passed.start..sequence + 1)
    }

    /// This subscriber is not waited for any more for the lines of `publisher` before `sequence`:
    /// they are lost until they come. Returns which ones.
    pub(in crate::bench) fn skip(
        &mut self,
        subscriber: usize,
        publisher: usize,
        sequence: u32,
    ) -> Range<u32> {
        self.pass(subscriber * self.publishers + publisher, sequence)
    }

    fn pass(&mut self, stream: usize, sequence: u32) -> Range<u32> {
        let next = self.next[stream];
        if sequence > next {
            let skipped = u64::from(sequence - next);
            self.tally.lost += skipped;
            self.outstanding -= skipped;
            self.next[stream] = sequence;
            if self.gaps.len() < GAPS_MAX {
                self.gaps.insert((stream, next), sequence);
            }
        }
        next..sequence.max(next)
    }

    /// A line that is no line of this run any more.
    pub(in crate::bench) fn damaged(&mut self) {
        self.tally.damaged += 1;
    }

    fn late(&mut self, stream: usize, sequence: u32) -> Came {
        let gap = self.gaps.range(..=(stream, sequence)).next_back();
        let gap = gap.map(|(&(of, start), &end)| (of, start, end));
        let Some((of, start, end)) = gap else {
            self.tally.duplicates += 1;
            return Came::Not;
        };
        if of != stream || sequence >= end {
            self.tally.duplicates += 1;
            return Came::Not;
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
        Came::Late
    }

    /// This subscriber will get nothing more: what it still misses is lost, and told as (publisher,
    /// which of its lines).
    pub(in crate::bench) fn abandon(
        &mut self,
        subscriber: usize,
        mut passed: impl FnMut(usize, Range<u32>),
    ) {
        self.gone += 1;
        let first = subscriber * self.publishers;
        for (publisher, next) in self.next[first..first + self.publishers].iter_mut().enumerate() {
            let missing = *next..self.made[publisher];
            *next = GONE;
            if publisher == subscriber && subscriber < self.overlap {
                continue;
            }
            self.outstanding -= missing.len() as u64;
            self.tally.lost += missing.len() as u64;
            passed(publisher, missing);
        }
    }

    /// Deliveries that may still come: behind the last line of each stream.
    pub(in crate::bench) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Lines that reached a subscriber for the first time, until now.
    pub(in crate::bench) fn delivered(&self) -> u64 {
        self.tally.delivered
    }

    /// What was found; what is outstanding counts as lost.
    pub(in crate::bench) fn finish(&self) -> Tally {
        Tally { lost: self.tally.lost + self.outstanding, ..self.tally }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(checker: &mut Checker, publishers: usize, lines: u32) {
        for publisher in 0..publishers {
            for _ in 0..lines {
                checker.made(publisher);
            }
        }
    }

    /// Two subscribers and two publishers of five lines; `given` stands in for what subscriber 1
    /// gets from publisher 1, all else is clean.
    fn tally_of(given: &[u32]) -> Tally {
        let mut checker = Checker::new(2, 2, 0);
        made(&mut checker, 2, 5);
        for (subscriber, publisher) in [(0, 0), (0, 1), (1, 0)] {
            for sequence in 0..5 {
                let came = checker.line(subscriber, publisher, sequence);
                assert_eq!(came, Came::Next(sequence..sequence + 1));
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
    }

    #[test]
    fn a_planted_loss_is_found_wherever_it_is() {
        for missing in 0..5 {
            let given: Vec<u32> = (0..5).filter(|&sequence| sequence != missing).collect();
            let tally = tally_of(&given);
            assert_eq!(tally, Tally { delivered: 19, lost: 1, ..Tally::default() }, "{missing}");
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
        for late in 1..4 {
            let tally = tally_of(&[0, 4, late, late]);
            let found = Tally { delivered: 18, lost: 2, duplicates: 1, disordered: 1, damaged: 0 };
            assert_eq!(tally, found, "{late}");
        }
    }

    #[test]
    fn what_was_never_sent_is_damage() {
        let mut checker = Checker::new(1, 1, 0);
        made(&mut checker, 1, 5);
        assert_eq!((checker.line(0, 1, 0), checker.line(0, 0, 5)), (Came::Not, Came::Not));
        assert_eq!((checker.finish().damaged, checker.outstanding()), (2, 5));
    }

    #[test]
    fn who_is_gone_owes_nothing_and_has_lost_the_rest() {
        let mut checker = Checker::new(2, 1, 0);
        made(&mut checker, 1, 5);
        assert_eq!(checker.line(0, 0, 1), Came::Next(0..2));
        let mut passed = Vec::new();
        checker.abandon(0, |publisher, range| passed.push((publisher, range)));
        assert_eq!((checker.outstanding(), passed), (5, vec![(0, 2..5)]));
        assert_eq!(checker.made(0), 1, "the other one waits for the next line");
        assert_eq!(checker.finish(), Tally { delivered: 1, lost: 11, ..Tally::default() });
    }

    #[test]
    fn nobody_waits_for_his_own_lines_and_getting_them_is_nothing() {
        let mut checker = Checker::new(3, 2, 2);
        assert_eq!((checker.made(0), checker.made(1)), (2, 2));
        assert_eq!(checker.line(0, 0, 0), Came::Not);
        assert_eq!(checker.finish(), Tally { lost: 4, ..Tally::default() });
        checker.abandon(0, |publisher, range| assert_eq!((publisher, range), (1, 0..1)));
        assert_eq!((checker.made(0), checker.made(1)), (2, 1), "gone is gone, own is own");
        assert_eq!((checker.outstanding(), checker.finish().lost), (6, 8));
    }

    #[test]
    fn what_is_skipped_is_lost_until_it_comes() {
        let mut checker = Checker::new(1, 1, 0);
        made(&mut checker, 1, 5);
        assert_eq!(checker.skip(0, 0, 2), 0..2);
        assert_eq!(checker.skip(0, 0, 2), 2..2);
        assert_eq!(checker.outstanding(), 3);
        assert_eq!((checker.line(0, 0, 1), checker.line(0, 0, 1)), (Came::Late, Came::Not));
        let found = Tally { delivered: 1, lost: 4, duplicates: 1, disordered: 1, damaged: 0 };
        assert_eq!(checker.finish(), found);
    }
}
