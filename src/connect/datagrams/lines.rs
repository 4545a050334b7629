//! The lines of stdin as datagrams, and their echoes as lines of stdout. On a terminal an echo is
//! followed by its time; in a pipe it stands alone, byte for byte, or with `--rtt` behind two fields
//! of fixed form. What is odd about an echo goes to stderr.

use super::{Came, DATAGRAM_LEN_MAX};
use crate::probes::{Contents, Verdict, milliseconds};
use crate::visible::visible_into;
use crate::wire::{self, Lines, Refused};
use std::time::Duration;

/// What comes from stdin.
pub(super) struct LineSource {
    terminal: bool,
    rtt: bool,
    refused: Refused,
    pub(super) contents: Contents,
    /// stdin has ended.
    pub(super) ended: bool,
}

impl LineSource {
    pub(super) fn new(terminal: bool, rtt: bool) -> Self {
        let (refused, contents) = (Refused::default(), Contents::default());
        LineSource { terminal, rtt, refused, contents, ended: false }
    }

    /// Gives each line's text to `send` until that says to stop, and returns how many bytes are done
    /// with and whether all lines are.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        seen: usize,
        mut send: impl FnMut(&mut Contents, &[u8]) -> bool,
    ) -> (usize, bool) {
        let mut refused = self.refused;
        let mut lines = Lines::skipping(bytes, seen, DATAGRAM_LEN_MAX, &mut refused);
        let drained = loop {
            match lines.next() {
                Some(Ok(line)) => {
                    if !send(&mut self.contents, wire::text(line)) {
                        break false;
                    }
                }
                Some(Err(wire::TooLong)) => {
                    log::warn!(
                        "stdin: a datagram has at most {DATAGRAM_LEN_MAX} bytes; line not sent"
                    );
                }
                None => break true,
            }
        };
        let consumed = lines.consumed();
        self.refused = refused;
        (consumed, drained)
    }

    /// stdin has ended: what stands behind its last newline is a datagram too.
    pub(super) fn end(&mut self, rest: &[u8]) -> Option<Vec<u8>> {
        self.ended = true;
        let rest = self.refused.rest(rest);
        if rest.is_empty() {
            return None;
        }
        self.contents.sent(rest);
        Some(rest.to_vec())
    }

    /// How an echo is shown. Every datagram that is listened to is: not every server is an echo.
    pub(super) fn echo(&mut self, came: &Came<'_>, many: bool) -> Vec<u8> {
        let (rtt, odd) = told(came);
        if let (Some(sequence), Some(odd), false) = (came.sequence, odd, self.terminal) {
            log::warn!("datagram {sequence}: its echo came {odd}");
        }
        if self.rtt {
            let time = rtt.map_or("-".to_owned(), |rtt| format!("{:.3}", rtt.as_secs_f64() * 1e3));
            let fields = format!("{time}\t{}\t", came.from);
            return [fields.as_bytes(), came.bytes].concat();
        }
        if !self.terminal {
            return came.bytes.to_vec();
        }
        let mut line = Vec::new();
        visible_into(came.bytes, &mut line);
        let time = rtt.map_or("no echo of what was sent".to_owned(), milliseconds);
        line.extend_from_slice(format!("  {time}").as_bytes());
        if let Some(odd) = odd {
            line.extend_from_slice(format!(", {odd}").as_bytes());
        }
        if many {
            line.extend_from_slice(format!(", from {}", came.from).as_bytes());
        }
        line
    }
}

/// The time of an echo, and what is odd about it.
pub(super) fn told(came: &Came<'_>) -> (Option<Duration>, Option<&'static str>) {
    match came.verdict {
        Verdict::Answer { rtt, reordered, .. } => (Some(rtt), reordered.then_some("out of order")),
        Verdict::Late { rtt } => (Some(rtt), Some("late")),
        Verdict::Duplicate { rtt } => (Some(rtt), Some("again")),
        Verdict::Unmatched | Verdict::Crowded => (None, None),
    }
}
