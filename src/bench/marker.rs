//! The marker that every line of a run carries, and how it is found again in whatever a server made
//! of the line. Pure. What must not be here: peers, sockets, counting.
//!
//! It is text of a fixed width, so that it passes any line server, and it is looked for anywhere in
//! the line, so that a server may put a name or a time around it. tcpkali's `\{message.marker}` is
//! the idea; publisher and sequence are there so that a loss is seen and not only a slow mean.

use crate::wire;
use memchr::memmem::Finder;

/// `=RRRRRRRR:PPPP:SSSSSSSS:TTTTTTTTTTTT=`: run, publisher, sequence, intended time in ns, all
/// hexadecimal.
pub(super) const MARKER_LEN: usize = 1 + 8 + 1 + 4 + 1 + 8 + 1 + 12 + 1;

/// The shortest line: a marker and its newline.
pub const LINE_BYTES_MIN: usize = MARKER_LEN + 1;

/// The publisher of the lines that only find out who is listening.
pub(super) const PROBE: u16 = u16::MAX;

/// `=RRRRRRRR:`, what the search looks for: the same in every line of a run.
const NEEDLE_LEN: usize = 10;

/// What stands in a line behind the marker. Never part of one.
const FILLER: u8 = b'x';

/// What a line says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    /// Which publisher, from 0; or [`PROBE`].
    pub(super) publisher: u16,
    /// Which of its lines, from 0.
    pub(super) sequence: u32,
    /// When it should have been sent, in ns since the bench's start; 48 bits are 78 hours.
    pub(super) intended_ns: u64,
}

/// A line of this run, but cut or changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The lines of one run: all of one length, told from other people's by a run id.
pub(super) struct Run {
    needle: [u8; NEEDLE_LEN],
    finder: Finder<'static>,
    /// Bytes of a line, its newline included.
    line_bytes: usize,
    /// Where the last marker stood in its line: mostly the next one stands there too.
    hint: usize,
}

impl Run {
    /// `line_bytes`: at least [`LINE_BYTES_MIN`], newline included.
    pub(super) fn new(id: u32, line_bytes: usize) -> Self {
        assert!(line_bytes >= LINE_BYTES_MIN, "checked where it was parsed");
        let mut text = Vec::with_capacity(NEEDLE_LEN);
        text.push(b'=');
        push_hex(&mut text, u64::from(id), 8);
        text.push(b':');
        let mut needle = [0; NEEDLE_LEN];
        needle.copy_from_slice(&text);
        Run { needle, finder: Finder::new(&needle).into_owned(), line_bytes, hint: 0 }
    }

    /// Bytes of a line, its newline included.
    pub(super) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Appends one line, newline included.
    pub(super) fn push_line(&self, out: &mut Vec<u8>, marker: Marker) {
        let end = out.len() + self.line_bytes;
        out.extend_from_slice(&self.needle);
        push_hex(out, u64::from(marker.publisher), 4);
        out.push(b':');
        push_hex(out, u64::from(marker.sequence), 8);
        out.push(b':');
        push_hex(out, marker.intended_ns, 12);
        out.push(b'=');
        out.resize(end - 1, FILLER);
        out.push(b'\n');
    }

    /// The marker of a line, with or without its ending; None for a line that is not of this run.
    pub(super) fn find(&mut self, line: &[u8]) -> Option<Result<Marker, Damaged>> {
        if !line.get(self.hint..).is_some_and(|rest| rest.starts_with(&self.needle)) {
            self.hint = self.finder.find(line)?;
        }
        let text = wire::text(&line[self.hint..]);
        // A server may put something behind the line, but never take something away.
        let whole = text.len() >= self.line_bytes - 1;
        Some(if whole { parse(&text[NEEDLE_LEN..MARKER_LEN]).ok_or(Damaged) } else { Err(Damaged) })
    }
}

/// `PPPP:SSSSSSSS:TTTTTTTTTTTT=`.
fn parse(fields: &[u8]) -> Option<Marker> {
    let marked = fields[4] == b':' && fields[13] == b':' && fields[26] == b'=';
    if !marked {
        return None;
    }
    Some(Marker {
        publisher: hex(&fields[..4])? as u16,
        sequence: hex(&fields[5..13])? as u32,
        intended_ns: hex(&fields[14..26])?,
    })
}

fn push_hex(out: &mut Vec<u8>, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(value >> (4 * digit)) as usize & 15]);
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Lines;

    const MARKER: Marker = Marker { publisher: 3, sequence: 70_000, intended_ns: 0x1234_5678_9abc };

    fn line(run: &Run, marker: Marker) -> Vec<u8> {
        let mut line = Vec::new();
        run.push_line(&mut line, marker);
        line
    }

    #[test]
    fn what_was_written_is_read_at_every_length_and_behind_every_prefix() {
        let extremes = Marker { publisher: 0xffff, sequence: u32::MAX, intended_ns: (1 << 48) - 1 };
        for line_bytes in [LINE_BYTES_MIN, LINE_BYTES_MIN + 1, 64, 1_000] {
            let mut run = Run::new(0xdead_beef, line_bytes);
            for marker in [MARKER, extremes] {
                let bare = line(&run, marker);
                assert_eq!(bare.len(), line_bytes);
                for prefix in ["", "<guest12> ", "=", "=deadbeef", "<guest123456> ", ""] {
                    let line = [prefix.as_bytes(), &bare].concat();
                    assert_eq!(run.find(&line), Some(Ok(marker)), "{prefix} {line_bytes}");
                }
            }
        }
    }

    #[test]
    fn a_stream_split_anywhere_gives_the_same_markers() {
        let mut run = Run::new(7, 50);
        let mut stream = b"* you are guest1\n".to_vec();
        for sequence in 0..3 {
            stream.extend_from_slice(b"<guest2> ");
            run.push_line(&mut stream, Marker { sequence, ..MARKER });
        }
        for at in 0..=stream.len() {
            let (mut kept, mut found) = (Vec::new(), Vec::new());
            for piece in [&stream[..at], &stream[at..]] {
                let seen = kept.len();
                kept.extend_from_slice(piece);
                let mut lines = Lines::new(&kept, seen, 1_000);
                for line in lines.by_ref() {
                    found.extend(run.find(line.unwrap()));
                }
                let consumed = lines.consumed();
                kept.drain(..consumed);
            }
            let expected = [0, 1, 2].map(|sequence| Ok(Marker { sequence, ..MARKER }));
            assert_eq!(found, expected, "split at {at}");
        }
    }

    #[test]
    fn other_peoples_lines_and_other_runs_are_not_ours() {
        let mut run = Run::new(1, 64);
        let other = line(&Run::new(2, 64), MARKER);
        for line in [&b""[..], b"\n", b"* guest3 joined\n", b"=0000000", &other] {
            assert_eq!(run.find(line), None);
        }
    }

    #[test]
    fn a_line_cut_anywhere_behind_the_run_id_or_changed_is_damaged() {
        let mut run = Run::new(1, 64);
        let whole = line(&run, MARKER);
        for end in NEEDLE_LEN..whole.len() - 1 {
            assert_eq!(run.find(&whole[..end]), Some(Err(Damaged)), "cut at {end}");
        }
        for at in NEEDLE_LEN..MARKER_LEN {
            let mut changed = whole.clone();
            changed[at] = b'?';
            assert_eq!(run.find(&changed), Some(Err(Damaged)), "changed at {at}");
        }
    }

    #[test]
    fn a_crlf_ending_is_no_damage() {
        let mut run = Run::new(1, 64);
        let mut line = line(&run, MARKER);
        line.pop();
        line.extend_from_slice(b"\r\n");
        assert_eq!(run.find(&line), Some(Ok(MARKER)));
    }
}
