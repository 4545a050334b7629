//! Bytes into messages. Pure: no peer, no socket.
//!
//! A line ends at LF; a CR right before it is part of the ending (RFC 5234's CRLF, and telnet's).
//! A lone CR is text. Lines are bytes: what encoding they hold is the reader's business.

/// How long a line may be by default, in bytes without its ending. 64 KiB, the size of one read:
/// no person types it, and what a peer can make us keep stays under two reads.
pub const LINE_LEN_MAX: usize = 64 * 1024;

/// What a message is, for all peers of a server alike. docs/PROTOCOL.md has the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A line of UTF-8; names, notices, greetings.
    Chat,
    /// A line of any bytes, passed on verbatim with its ending.
    Lines,
    /// What one recv brought, passed on verbatim.
    Raw,
}

impl Protocol {
    /// The word of the command line and of the `listening` line.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Chat => "chat",
            Protocol::Lines => "lines",
            Protocol::Raw => "raw",
        }
    }
}

/// A line went over the length limit; nothing of it is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Whole lines at the front of `bytes`, one by one.
///
/// After the last one `consumed` says how much they took; the rest is the start of a line that has
/// not ended yet and is to be offered again with what follows.
pub struct Lines<'a, 'r> {
    bytes: &'a [u8],
    consumed: usize,
    /// `consumed` before the last line.
    last: usize,
    searched: usize,
    len_max: usize,
    /// A line was too long.
    too_long: bool,
    /// Where the lines behind a refused one are wanted.
    refused: Option<&'r mut Refused>,
}

/// Remembers, between two reads, that the rest of a refused line is still to come: its tail must
/// not pass for a line (ngircd and charybdis learnt that).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    within: bool,
}

impl Refused {
    /// What the end of input leaves: nothing where it ends a refused line.
    pub fn rest<'a>(&self, rest: &'a [u8]) -> &'a [u8] {
        if self.within { &[] } else { rest }
    }
}

impl<'a> Lines<'a, '_> {
    /// `bytes[..seen]` are known to hold no LF (they were the rest of the last call) and are not
    /// searched again: a peer that sends byte by byte costs one look at each. There is no line
    /// behind one that is too long.
    pub fn new(bytes: &'a [u8], seen: usize, len_max: usize) -> Self {
        debug_assert!(memchr::memchr(b'\n', &bytes[..seen]).is_none(), "a seen LF");
        Lines::begin(bytes, seen, len_max)
    }
}

impl<'a, 'r> Lines<'a, 'r> {
    fn begin(bytes: &'a [u8], seen: usize, len_max: usize) -> Self {
        Lines {
            bytes,
            consumed: 0,
            last: 0,
            searched: seen,
            len_max,
            too_long: false,
            refused: None,
        }
    }

    /// The same where a line that is too long is dropped whole, told once, and followed by others.
    pub fn skipping(
        bytes: &'a [u8],
        seen: usize,
        len_max: usize,
        refused: &'r mut Refused,
    ) -> Self {
        let mut lines = Lines::begin(bytes, seen, len_max);
        if refused.within {
            let end = lines.search();
            refused.within = end.is_none();
            lines.consumed = lines.searched;
        }
        lines.refused = Some(refused);
        lines
    }

    /// Bytes of all lines handed out or dropped so far, endings included.
    pub fn consumed(&self) -> usize {
        self.consumed
    }

    /// A line was too long.
    pub fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Every byte was looked at: no further line has ended.
    pub fn are_over(&self) -> bool {
        self.searched == self.bytes.len()
    }

    /// Takes the last line back, the one that was handed out last: it will be offered again.
    pub fn put_back(&mut self) {
        self.consumed = self.last;
        self.searched = self.last;
    }

    /// The offset behind the next LF.
    #[inline]
    fn search(&mut self) -> Option<usize> {
        let end = memchr::memchr(b'\n', &self.bytes[self.searched..]);
        let end = end.map(|at| self.searched + at + 1);
        self.searched = end.unwrap_or(self.bytes.len());
        end
    }
}

impl<'a> Iterator for Lines<'a, '_> {
    /// A whole line with its ending, LF or CRLF; see [`text`].
    type Item = Result<&'a [u8], TooLong>;

    /// None: no further line has ended. `TooLong` as soon as it is certain, whether or not the
    /// line's end has come.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let end = self.search();
        let line = &self.bytes[self.consumed..self.searched];
        // An unfinished line may end in a CR that will turn out to be part of the ending.
        let text_len = || if end.is_some() { text(line).len() } else { text_at_least(line) };
        if line.len() > self.len_max && text_len() > self.len_max {
            if let Some(refused) = &mut self.refused {
                refused.within = end.is_none();
                self.consumed = self.searched;
            }
            self.too_long = true;
            return Some(Err(TooLong));
        }
        let end = end?;
        self.last = std::mem::replace(&mut self.consumed, end);
        Some(Ok(line))
    }
}

/// A line without its ending.
pub fn text(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn text_at_least(unfinished: &[u8]) -> usize {
    unfinished.len() - usize::from(unfinished.last() == Some(&b'\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `stream` in pieces as the loop does: rest and news together, the rest marked as seen.
    fn feed(pieces: &[&[u8]], len_max: usize) -> (Vec<Vec<u8>>, bool, Vec<u8>) {
        let (mut out, mut kept) = (Vec::new(), Vec::new());
        for piece in pieces {
            let seen = kept.len();
            kept.extend_from_slice(piece);
            let mut lines = Lines::new(&kept, seen, len_max);
            for line in lines.by_ref() {
                match line {
                    Ok(line) => out.push(line.to_vec()),
                    Err(TooLong) => return (out, true, Vec::new()),
                }
            }
            let consumed = lines.consumed();
            kept.drain(..consumed);
        }
        (out, false, kept)
    }

    #[test]
    fn every_split_gives_the_same_lines() {
        let stream = b"one\r\n\ntwo\rstill two\n\r\n\r\r\nrest";
        let whole = feed(&[stream], 100);
        assert_eq!(
            whole.0,
            [&b"one\r\n"[..], b"\n", b"two\rstill two\n", b"\r\n", b"\r\r\n"].map(<[u8]>::to_vec)
        );
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let parts = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(feed(&parts, 100), whole, "split at {first} and {second}");
            }
        }
    }

    #[test]
    fn text_loses_lf_and_the_one_cr_before_it() {
        for (line, without) in [
            (&b"a\n"[..], &b"a"[..]),
            (b"a\r\n", b"a"),
            (b"a\r\r\n", b"a\r"),
            (b"\n", b""),
            (b"\r\n", b""),
            (b"a\rb\n", b"a\rb"),
            (b"no end", b"no end"),
        ] {
            assert_eq!(text(line), without);
        }
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_with_either_ending_at_every_split() {
        for stream in [&b"12345678\n"[..], b"12345678\r\n"] {
            for at in 0..=stream.len() {
                let (lines, too_long, _) = feed(&[&stream[..at], &stream[at..]], 8);
                assert_eq!((lines.len(), too_long), (1, false), "split at {at}");
            }
        }
    }

    #[test]
    fn a_line_over_the_limit_is_refused_at_every_split_and_nothing_of_it_is_handed_out() {
        for stream in [&b"ok\n123456789\n"[..], b"ok\n123456789\r\n", b"ok\n12345678\r\r\n"] {
            for at in 0..=stream.len() {
                let (lines, too_long, _) = feed(&[&stream[..at], &stream[at..]], 8);
                assert_eq!(lines, [b"ok\n".to_vec()]);
                assert!(too_long, "split at {at}");
            }
        }
    }

    #[test]
    fn a_line_without_end_is_refused_before_its_end_comes() {
        assert!(feed(&[b"1234", b"5678", b"9"], 8).1);
        assert!(!feed(&[b"1234", b"5678"], 8).1);
    }

    #[test]
    fn of_a_refused_line_nothing_is_left_and_the_next_one_is_whole_at_every_split() {
        let stream = b"one\n123456789 tail\nnext\n123456789 tail";
        for at in 0..stream.len() {
            let (mut refused, mut kept) = (Refused::default(), Vec::new());
            let (mut whole, mut too_long) = (Vec::new(), 0);
            for piece in [&stream[..at], &stream[at..]] {
                let seen = kept.len();
                kept.extend_from_slice(piece);
                let mut lines = Lines::skipping(&kept, seen, 8, &mut refused);
                for line in lines.by_ref() {
                    match line {
                        Ok(line) => whole.push(line.to_vec()),
                        Err(TooLong) => too_long += 1,
                    }
                }
                let consumed = lines.consumed();
                kept.drain(..consumed);
            }
            assert_eq!(whole, [b"one\n".to_vec(), b"next\n".to_vec()], "split at {at}");
            assert_eq!((too_long, refused.rest(&kept)), (2, &b""[..]), "split at {at}");
        }
    }

    #[test]
    fn nul_and_every_byte_pass() {
        let stream: Vec<u8> = (0..=255).chain([b'\n']).collect();
        let (lines, _, _) = feed(&[&stream], 300);
        assert_eq!(lines.concat(), stream);
    }

    #[test]
    fn a_line_put_back_comes_again() {
        let mut lines = Lines::new(b"a\nb\n", 0, 9);
        lines.next();
        lines.next();
        lines.put_back();
        assert_eq!(lines.consumed(), 2);
        assert_eq!(lines.next(), Some(Ok(&b"b\n"[..])));
    }
}
