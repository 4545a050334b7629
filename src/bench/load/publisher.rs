//! One publisher's bytes on their way to its socket: lines are made as late as they can be. Pure:
//! bytes and counts, no socket.
//!
//! What is due is a number and not a buffer: a server that takes nothing for a while costs no
//! memory here, however long the schedule runs on.

use super::marker::{Marker, PROBE, Run};
use crate::bench::account::measure::Measure;
use crate::handler::PeerId;
use std::time::Instant;

/// Bytes of lines that are written ahead of the socket; one read of a server's. One line at least.
const OUT_BYTES: usize = 64 * 1024;

/// A peer that sends.
///
/// Invariant: `out` holds whole lines of one length, of which `sent` bytes are gone; the first of
/// them is line `first` of this publisher, where they are no probes.
pub(in crate::bench) struct Publisher {
    pub(in crate::bench) peer: PeerId,
    /// It is to be asked for what it has to send already.
    pub(in crate::bench) queued: bool,
    index: usize,
    out: Vec<u8>,
    sent: usize,
    first: u32,
    /// When `out` was offered to the socket last, if it was.
    offered: Option<Instant>,
}

impl Publisher {
    pub(in crate::bench) fn new(peer: PeerId, index: usize) -> Self {
        Publisher { peer, queued: false, index, out: Vec::new(), sent: 0, first: 0, offered: None }
    }

    /// Puts a line in that only finds out who listens. Between measurements.
    pub(in crate::bench) fn probe(&mut self, run: &Run, sequence: u32) {
        run.push_line(&mut self.out, Marker { publisher: PROBE, sequence, intended_ns: 0 });
    }

    /// What is to be sent: what is left of the lines made, or else the next ones that are due.
    pub(in crate::bench) fn pending(
        &mut self,
        run: &Run,
        measure: Option<&mut Measure>,
        now: Instant,
    ) -> &[u8] {
        if let Some(measure) = measure {
            if self.out.is_empty() {
                while self.out.len() < OUT_BYTES {
                    let Some(marker) = measure.make(self.index, now) else { break };
                    if self.out.is_empty() {
                        self.first = marker.sequence;
                    }
                    run.push_line(&mut self.out, marker);
                }
            } else if self.offered.is_some() {
                measure.refused(self.index);
            }
        }
        self.offered = Some(now);
        &self.out[self.sent..]
    }

    /// The kernel took `n` bytes of that.
    pub(in crate::bench) fn sent(&mut self, n: usize, run: &Run, measure: Option<&mut Measure>) {
        let lines = |bytes: usize| (bytes / run.line_bytes()) as u32;
        let before = self.first + lines(self.sent);
        self.sent += n;
        let after = self.first + lines(self.sent);
        let offered = self.offered.take();
        if let (Some(measure), Some(offered)) = (measure, offered) {
            measure.sent(self.index, before..after, offered);
            if self.sent < self.out.len() {
                measure.refused(self.index);
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::account::measure::Who;
    use crate::bench::options::{Length, Load};
    use std::time::Duration;

    const PEER: PeerId = PeerId { serial: 1, slot: 0 };
    const MS: Duration = Duration::from_millis(1);

    /// Four lines, one a ms from the first ms on, of which all are due at 10 ms.
    fn measure(origin: Instant) -> Measure {
        let load = Load {
            rate: Some(1_000),
            window: None,
            burst: 1,
            warmup: Duration::ZERO,
            length: Length::Messages(4),
        };
        let who = Who { subscribers: 1, publishers: 1, overlap: 0, answering: false };
        Measure::new(who, &load, origin + MS, origin)
    }

    #[test]
    fn the_same_bytes_leave_whatever_the_short_writes() {
        let origin = Instant::now();
        let mut run = Run::new(1, 50);
        for step in 1..=101 {
            let mut measure = measure(origin);
            measure.advance(origin + 10 * MS);
            let (mut publisher, mut stream) = (Publisher::new(PEER, 0), Vec::new());
            loop {
                let pending = publisher.pending(&run, Some(&mut measure), origin);
                let n = pending.len().min(step);
                stream.extend_from_slice(&pending[..n]);
                if n == 0 {
                    break;
                }
                publisher.sent(n, &run, Some(&mut measure));
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
        let origin = Instant::now();
        let run = Run::new(1, 50);
        let (mut publisher, mut measure) = (Publisher::new(PEER, 0), measure(origin));
        measure.advance(origin);
        assert!(publisher.pending(&run, Some(&mut measure), origin).is_empty());
        measure.advance(origin + 2 * MS);
        assert_eq!(publisher.pending(&run, Some(&mut measure), origin).len(), 100);
    }
}
