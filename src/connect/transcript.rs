//! `--transcript`: what was shown and what was said, a line each, on its way to a file. The file is
//! one more connection of the loop, so neither a slow nor a full disk holds anybody up. What finds
//! no room is counted, and the count is a line of the transcript too.

use super::outgoing::Outgoing;
use crate::handler::{PeerId, Slices};
use crate::visible::visible_into;

/// What may wait for the file: four of the longest lines. Controls made visible take up to eight
/// times as much.
const TRANSCRIPT_BYTES: usize = 256 * 1024;

/// Whose line it is: each line of the file begins with this and a space, so no text can pass for
/// another kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// It came from the server.
    Heard,
    /// We said it.
    Said,
    /// The client itself tells it.
    Told,
}

/// Lines on their way to the file.
pub(super) struct Transcript {
    pub(super) peer: PeerId,
    outgoing: Outgoing,
    missing: u64,
}

impl Transcript {
    pub(super) fn new(peer: PeerId) -> Self {
        Transcript { peer, outgoing: Outgoing::default(), missing: 0 }
    }

    /// Adds a line; controls in it are made visible.
    pub(super) fn line(&mut self, mark: Mark, text: &[u8]) {
        self.tell_missing();
        if self.outgoing.pending().len() + text.len() > TRANSCRIPT_BYTES {
            self.missing += 1;
            return;
        }
        let out = self.outgoing.end();
        out.extend_from_slice(match mark {
            Mark::Heard => b"< ",
            Mark::Said => b"> ",
            Mark::Told => b"- ",
        });
        visible_into(text, out);
        out.push(b'\n');
    }

    pub(super) fn pending<'a>(&'a self, slices: &mut Slices<'a>) {
        slices.push(self.outgoing.pending());
    }

    pub(super) fn sent(&mut self, n: usize) {
        self.outgoing.sent(n);
        self.tell_missing();
    }

    fn tell_missing(&mut self) {
        if self.missing > 0 && self.outgoing.pending().len() < TRANSCRIPT_BYTES / 2 {
            let lines = if self.missing == 1 { "line is" } else { "lines are" };
            let told = format!("- {} {lines} missing here\n", std::mem::take(&mut self.missing));
            self.outgoing.end().extend_from_slice(told.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(transcript: &mut Transcript) -> String {
        let mut slices = Slices::new();
        transcript.pending(&mut slices);
        let text = slices.runs().iter().map(|run| String::from_utf8_lossy(run)).collect();
        let n = slices.bytes();
        transcript.sent(n);
        text
    }

    #[test]
    fn each_line_has_a_mark_and_no_control_passes() {
        let mut transcript = Transcript::new(PeerId { serial: 1, slot: 1 });
        transcript.line(Mark::Heard, b"<ann> red \x1b[31m");
        transcript.line(Mark::Said, b"- forged?");
        transcript.line(Mark::Told, b"connected again");
        assert_eq!(
            written(&mut transcript),
            "< <ann> red \\x1b[31m\n> - forged?\n- connected again\n"
        );
    }

    #[test]
    fn what_a_file_that_takes_nothing_has_no_room_for_is_counted_in_it() {
        let mut transcript = Transcript::new(PeerId { serial: 1, slot: 1 });
        let line = vec![b'x'; 1_000];
        (0..300).for_each(|_| transcript.line(Mark::Heard, &line));
        let kept = written(&mut transcript).lines().count();
        assert_eq!(written(&mut transcript), format!("- {} lines are missing here\n", 300 - kept));
    }
}
