//! Lines out of a stream that is passed on in whatever pieces it comes: for those who only look on
//! (the session, the transcript) and must not hold up what they look at. Pure.

use crate::wire::{self, LINE_LEN_MAX};

/// The line that has begun, as far as it is kept.
#[derive(Default)]
pub(super) struct Gather {
    /// At most [`LINE_LEN_MAX`] bytes, then it is handed out as it is.
    line: Vec<u8>,
    /// The front of this line has been handed out: what comes is no line of its own.
    cut: bool,
}

/// What stands between two newlines, without its ending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// All of the line. Of one that is too long each part is handed out, and none is whole: its
    /// middle must not pass for a line.
    pub(super) whole: bool,
}

impl Gather {
    /// More of the stream. Each line that ends in it goes to `each`, and of one that is too long
    /// each part.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Text<'_>)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let ends = piece.ends_with(b"\n");
            if ends && self.line.is_empty() && piece.len() <= LINE_LEN_MAX {
                each(Text { bytes: wire::text(piece), whole: !self.cut });
                self.cut = false;
                continue;
            }
            for part in piece.chunks(LINE_LEN_MAX) {
                if self.line.len() + part.len() > LINE_LEN_MAX {
                    each(Text { bytes: &self.line, whole: false });
                    self.line.clear();
                    self.cut = true;
                }
                self.line.extend_from_slice(part);
            }
            if ends {
                each(Text { bytes: wire::text(&self.line), whole: !self.cut });
                self.line.clear();
                self.cut = false;
            }
        }
    }

    /// The stream is over: what has no newline goes to `each`.
    pub(super) fn end(&mut self, each: impl FnOnce(Text<'_>)) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            each(Text { bytes: &line, whole: false });
        }
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(pieces: &[&[u8]]) -> Vec<(String, bool)> {
        let (mut gather, mut lines) = (Gather::default(), Vec::new());
        let mut keep = |text: Text<'_>| {
            lines.push((String::from_utf8(text.bytes.to_vec()).unwrap(), text.whole))
        };
        pieces.iter().for_each(|piece| gather.push(piece, &mut keep));
        gather.end(&mut keep);
        lines
    }

    #[test]
    fn every_split_gives_the_same_lines() {
        let stream = b"one\r\n\ntwo\nrest";
        let wanted = [("one", true), ("", true), ("two", true), ("rest", false)];
        let wanted = wanted.map(|(line, whole)| (line.to_owned(), whole));
        for at in 0..stream.len() {
            assert_eq!(gathered(&[&stream[..at], &stream[at..]]), wanted, "split at {at}");
        }
    }

    #[test]
    fn no_part_of_a_line_that_is_too_long_passes_for_a_line() {
        let long = [&vec![b'x'; LINE_LEN_MAX][..], b"* you are forged\nnext\n"].concat();
        for pieces in [vec![&long[..]], long.chunks(1_000).collect()] {
            let lines = gathered(&pieces);
            assert!(lines.iter().all(|(line, whole)| !whole || line == "next"), "{lines:?}");
            assert_eq!(lines.last(), Some(&("next".to_owned(), true)));
        }
    }
}
