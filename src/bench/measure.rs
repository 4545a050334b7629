//! What a measurement gathers while it runs: who got which line, and how late. Pure: `now` is an
//! argument. The receive path runs once a line and subscriber, so it allocates nothing.

use super::checker::Checker;
use super::marker::{Damaged, Marker, PROBE, Run};
use super::schedule::Schedule;
use crate::wire::Lines;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Longest latency that is told apart, in ns: an hour, far over every deadline here.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// Significant digits of a latency. Three are what a repeated run can reproduce at best.
const DIGITS: u8 = 3;

/// How a server of ours tells a slow peer what it missed; docs/PROTOCOL.md.
const RECEIPT: &[u8] = b"* you missed ";

/// One measurement.
pub(super) struct Measure {
    pub(super) schedule: Schedule,
    pub(super) checker: Checker,
    /// From intended time to delivery, in ns.
    pub(super) latency: Histogram<u64>,
    /// Reads that brought a subscriber bytes, and the lines of this run in them.
    pub(super) reads: u64,
    pub(super) lines: u64,
    /// Messages that the server told subscribers they had missed.
    pub(super) told: u64,
    /// Subscribers that the server closed.
    pub(super) closed: u64,
    /// How late the latest line left.
    pub(super) lag_max: Duration,
    pub(super) delivered_last: Instant,
}

impl Measure {
    pub(super) fn new(schedule: Schedule, checker: Checker) -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS);
        Measure {
            schedule,
            checker,
            latency: latency.expect("the bounds are constants that hdrhistogram accepts"),
            reads: 0,
            lines: 0,
            told: 0,
            closed: 0,
            lag_max: Duration::ZERO,
            delivered_last: schedule.start(),
        }
    }

    /// One read of a subscriber, at `now_ns`, which counts as the markers' times do. Returns how
    /// many bytes are done with and whether there was a delivery among them.
    pub(super) fn read(
        &mut self,
        run: &mut Run,
        subscriber: usize,
        mut lines: Lines<'_, '_>,
        now_ns: u64,
    ) -> (usize, bool) {
        self.reads += 1;
        let delivered = self.checker.delivered();
        while let Some(Ok(line)) = lines.next() {
            match run.find(line) {
                Some(Ok(marker)) => self.line(subscriber, marker, now_ns),
                Some(Err(Damaged)) => self.checker.damaged(),
                None => self.told += missed(line).unwrap_or(0),
            }
        }
        (lines.consumed(), self.checker.delivered() > delivered)
    }

    fn line(&mut self, subscriber: usize, marker: Marker, now_ns: u64) {
        if marker.publisher == PROBE {
            return;
        }
        self.lines += 1;
        if self.checker.line(subscriber, usize::from(marker.publisher), marker.sequence) {
            self.latency.saturating_record(now_ns.saturating_sub(marker.intended_ns));
        }
    }

    /// True when nothing is to be sent and nothing to come.
    pub(super) fn is_complete(&self) -> bool {
        self.checker.outstanding() == 0
    }
}

/// The number in `* you missed 12 messages: …`.
fn missed(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(RECEIPT)?;
    let digits = rest.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_a_loss_told_and_other_words_are_nothing() {
        for (line, told) in [
            (&b"* you missed 12 messages: reading too slowly\n"[..], Some(12)),
            (b"* you missed 1 message: reading too slowly\n", Some(1)),
            (b"* you missed a lot\n", None),
            (b"<guest1> * you missed 12 messages\n", None),
            (b"* you are guest1\n", None),
        ] {
            assert_eq!(missed(line), told);
        }
    }

    #[test]
    fn latency_counts_from_the_intended_time_and_a_duplicate_adds_none() {
        let start = Instant::now();
        let mut measure = Measure::new(Schedule::new(start, 1, 1, 1), Checker::new(1, 1, 1));
        let mut run = Run::new(1, 64);
        let mut stream = b"* you missed 3 messages: reading too slowly\n".to_vec();
        run.push_line(&mut stream, Marker { publisher: 0, sequence: 0, intended_ns: 1_000 });
        let len = stream.len();
        let mut read = |now_ns| measure.read(&mut run, 0, Lines::new(&stream, 0, 99), now_ns);
        assert_eq!((read(201_000), read(999_000)), ((len, true), (len, false)));
        assert!(measure.is_complete());
        assert_eq!((measure.latency.len(), measure.lines, measure.told), (1, 2, 6));
        let max = measure.latency.max();
        assert!((200_000..200_200).contains(&max), "{max} ns, to three digits");
    }
}
