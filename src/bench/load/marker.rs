//! The marker that every line of a run carries, and how it is found again in whatever a server made
//! of the line. Pure. What must not be here: peers, sockets, counting.
//!
//! It is text of a fixed width, so that it passes any line server, and it is looked for anywhere in
//! the line, so that a server may put a name or a time around it. tcpkali's `\{message.marker}` is
//! the idea; publisher and sequence are there so that a loss is seen and not only a slow mean.

use crate::wire;
use memchr::memmem::Finder;

/// `=RRRRRR:PPPSSSSSSTTTTTTTT=`: run, publisher, sequence, intended time in ns, six bits a character.
/// A line of 32 bytes has room for it, which is what chat is compared at.
pub(in crate::bench) const MARKER_LEN: usize = NEEDLE_LEN + 3 + 6 + 8 + 1;

/// The shortest line: a marker and its newline.
pub const LINE_BYTES_MIN: usize = MARKER_LEN + 1;

/// The publisher of the lines that only find out who is listening.
pub(in crate::bench) const PROBE: u16 = u16::MAX;

/// `=RRRRRR:`, what the search looks for: the same in every line of a run.
const NEEDLE_LEN: usize = 8;

/// The digits, least first: those of base64url (RFC 4648), which no line server changes.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// What each byte stands for as a digit; 64 for one that is none.
const VALUES: [u8; 256] = values();

const fn values() -> [u8; 256] {
    let mut values = [64; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
}

/// What stands in a line behind the marker. Never part of one.
const FILLER: u8 = b'x';

/// What a line says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Marker {
    /// Which publisher, from 0; or [`PROBE`].
    pub(in crate::bench) publisher: u16,
    /// Which of its lines, from 0.
    pub(in crate::bench) sequence: u32,
    /// When it should have been sent, in ns since the bench's start; 48 bits are 78 hours.
    pub(in crate::bench) intended_ns: u64,
}

/// A line of this run, but cut or changed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) struct Damaged;

/// The lines of one run: all of one length, told from other people's by a run id.
pub(in crate::bench) struct Run {
    needle: [u8; NEEDLE_LEN],
    finder: Finder<'static>,
    /// Bytes of a line, its newline included.
    line_bytes: usize,
    /// Where the last marker stood in its line: mostly the next one stands there too.
    hint: usize,
}

impl Run {
    /// `line_bytes`: at least [`LINE_BYTES_MIN`], newline included.
    pub(in crate::bench) fn new(id: u32, line_bytes: usize) -> Self {
        assert!(line_bytes >= LINE_BYTES_MIN, "checked where it was parsed");
        let mut text = Vec::with_capacity(NEEDLE_LEN);
        text.push(b'=');
        push_digits(&mut text, u64::from(id), 6);
        text.push(b':');
        let mut needle = [0; NEEDLE_LEN];
        needle.copy_from_slice(&text);
        Run { needle, finder: Finder::new(&needle).into_owned(), line_bytes, hint: 0 }
    }

    /// Bytes of a line, its newline included.
    pub(in crate::bench) fn line_bytes(&self) -> usize {
        self.line_bytes
    }

    /// Appends one line, newline included.
    pub(in crate::bench) fn push_line(&self, out: &mut Vec<u8>, marker: Marker) {
        let end = out.len() + self.line_bytes;
        out.extend_from_slice(&self.needle);
        push_digits(out, u64::from(marker.publisher), 3);
        push_digits(out, u64::from(marker.sequence), 6);
        push_digits(out, marker.intended_ns, 8);
        out.push(b'=');
        out.resize(end - 1, FILLER);
        out.push(b'\n');
    }

    /// The marker of a line, with or without its ending; None for a line that is not of this run.
    pub(in crate::bench) fn find(&mut self, line: &[u8]) -> Option<Result<Marker, Damaged>> {
        if !line.get(self.hint..).is_some_and(|rest| rest.starts_with(&self.needle)) {
            self.hint = self.finder.find(line)?;
        }
        let text = wire::text(&line[self.hint..]);
        // A server may put something behind the line, but never take something away.
        let whole = text.len() >= self.line_bytes - 1;
        Some(if whole { parse(&text[NEEDLE_LEN..MARKER_LEN]).ok_or(Damaged) } else { Err(Damaged) })
    }
}

/// `PPPSSSSSSTTTTTTTT=`.
fn parse(fields: &[u8]) -> Option<Marker> {
    if fields[17] != b'=' {
        return None;
    }
    Some(Marker {
        publisher: u16::try_from(number(&fields[..3])?).ok()?,
        sequence: u32::try_from(number(&fields[3..9])?).ok()?,
        intended_ns: number(&fields[9..17])?,
    })
}

fn push_digits(out: &mut Vec<u8>, value: u64, digits: u32) {
    for digit in (0..digits).rev() {
        out.push(DIGITS[(value >> (6 * digit)) as usize & 63]);
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    // One look at all of them: a byte that is no digit sets a bit above the six.
    let (mut value, mut wrong) = (0, 0);
    for &digit in digits {
        let digit = VALUES[usize::from(digit)];
        wrong |= digit;
        value = value << 6 | u64::from(digit & 63);
    }
    (wrong < 64).then_some(value)
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
                for prefix in ["", "<guest12> ", "=", "=deadbe", "<guest123456> ", ""] {
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
        for line in [&b""[..], b"\n", b"* guest3 joined\n", b"=00000", &other] {
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
