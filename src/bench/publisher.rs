//! One publisher: writes the lines that are due, as late as they can be written, and watches how
//! late they left. Pure: bytes and counts, no socket.
//!
//! What is due is a number and not a buffer: a server that takes nothing for a while costs no
//! memory here, however long the schedule runs on.

use super::marker::{Marker, PROBE, Run};
use super::schedule::Schedule;
use crate::handler::PeerId;
use std::time::{Duration, Instant};

/// Bytes of lines that are written ahead of the socket; one read of a server's. One line at least.
const OUT_BYTES: usize = 64 * 1024;

/// A peer that sends.
///
/// Invariant: `out` holds whole lines of one length, of which `sent` bytes are gone; the first of
/// them is line `first` of this publisher, and `made` is the one behind the last.
pub(super) struct Publisher {
    pub(super) peer: PeerId,
    index: u16,
    out: Vec<u8>,
    sent: usize,
    first: u32,
    made: u32,
}

impl Publisher {
    pub(super) fn new(peer: PeerId, index: u16) -> Self {
        Publisher { peer, index, out: Vec::new(), sent: 0, first: 0, made: 0 }
    }

    /// Puts a line in that only finds out who listens. Before the measurement.
    pub(super) fn probe(&mut self, run: &Run, sequence: u32) {
        run.push_line(&mut self.out, Marker { publisher: PROBE, sequence, intended_ns: 0 });
    }

    /// What is to be sent: what is left of the lines made, or else the next ones that are due.
    /// Times in the lines count from `origin`.
    pub(super) fn pending(&mut self, run: &Run, due: Option<&Schedule>, origin: Instant) -> &[u8] {
        if let Some(schedule) = due
            && self.sent == self.out.len()
        {
            self.rewind();
            let due = schedule.due_of(self.index);
            while self.made < due && (self.made == self.first || self.out.len() < OUT_BYTES) {
                let intended = schedule.intended(self.index, self.made);
                let intended_ns = intended.saturating_duration_since(origin).as_nanos() as u64;
                let marker = Marker { publisher: self.index, sequence: self.made, intended_ns };
                run.push_line(&mut self.out, marker);
                self.made += 1;
            }
        }
        &self.out[self.sent..]
    }

    /// The kernel took `n` bytes. Returns how late the latest line left that is complete by that,
    /// if one is.
    pub(super) fn sent(
        &mut self,
        n: usize,
        run: &Run,
        due: Option<&Schedule>,
        now: Instant,
    ) -> Option<Duration> {
        let lines_before = self.sent / run.line_bytes();
        self.sent += n;
        let completed = self.sent / run.line_bytes() > lines_before;
        // The oldest of those that went together is the latest.
        let line = self.first + lines_before as u32;
        let lag = due
            .filter(|_| completed)
            .map(|schedule| now.saturating_duration_since(schedule.intended(self.index, line)));
        if self.sent == self.out.len() {
            self.rewind();
        }
        lag
    }

    fn rewind(&mut self) {
        self.out.clear();
        self.sent = 0;
        self.first = self.made;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { serial: 1, slot: 0 };
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_same_bytes_leave_whatever_the_short_writes() {
        let origin = Instant::now();
        let mut run = Run::new(1, 50);
        for step in 1..=101 {
            let mut schedule = Schedule::new(origin + MS, 1, 1_000, 4);
            schedule.advance(origin + 10 * MS);
            let (mut publisher, mut stream) = (Publisher::new(PEER, 0), Vec::new());
            loop {
                let pending = publisher.pending(&run, Some(&schedule), origin);
                let n = pending.len().min(step);
                stream.extend_from_slice(&pending[..n]);
                if n == 0 {
                    break;
                }
                publisher.sent(n, &run, Some(&schedule), origin);
            }
            let markers: Vec<Marker> = stream
                .split_inclusive(|&byte| byte == b'\n')
                .map(|line| run.find(line).unwrap().unwrap())
                .collect();
            let expected = [0, 1, 2, 3].map(|sequence| Marker {
                publisher: 0,
                sequence,
                intended_ns: u64::from(sequence + 1) * 1_000_000,
            });
            assert_eq!(markers, expected, "{step} bytes at a time");
        }
    }

    #[test]
    fn nothing_leaves_before_it_is_due() {
        let start = Instant::now();
        let run = Run::new(1, 50);
        let mut publisher = Publisher::new(PEER, 0);
        let mut schedule = Schedule::new(start, 1, 1_000, 4);
        assert!(publisher.pending(&run, Some(&schedule), start).is_empty());
        schedule.advance(start + MS);
        assert_eq!(publisher.pending(&run, Some(&schedule), start).len(), 100);
    }

    #[test]
    fn the_lag_is_that_of_the_oldest_line_that_left() {
        let start = Instant::now();
        let run = Run::new(1, 50);
        let mut publisher = Publisher::new(PEER, 0);
        let mut schedule = Schedule::new(start, 1, 1_000, 4);
        schedule.advance(start + 3 * MS);
        let due = Some(&schedule);
        assert_eq!(publisher.pending(&run, due, start).len(), 200);
        assert_eq!(publisher.sent(49, &run, due, start + 5 * MS), None, "no whole line");
        assert_eq!(publisher.sent(1, &run, due, start + 5 * MS), Some(5 * MS));
        assert_eq!(publisher.sent(150, &run, due, start + 6 * MS), Some(5 * MS), "line 1");
    }
}
