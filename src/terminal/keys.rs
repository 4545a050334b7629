//! Bytes of a terminal to keys: UTF-8, control bytes, CSI and SS3 sequences (ECMA-48 §5.4, xterm's
//! ctlseqs), Alt as an ESC in front, bracketed paste. Split anywhere, the keys are the same.
//!
//! A table of states of its own and no parser of output: there an ESC with `]`, `P`, `X`, `^` or `_`
//! opens a string that swallows everything up to its end, and a keyboard's Alt with one of those
//! would take all that is typed after it. What must not be here: what a key does; the clock, so a
//! lone ESC stands for Alt until the next byte.

/// Bytes of one sequence that are looked at. The longest that a keyboard sends has ten; what is
/// longer is read to its end and means nothing.
const SEQUENCE_BYTES_MAX: usize = 32;

/// What was pressed, or came in a paste.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character of text; of a paste tabs too.
    Char(char),
    /// The end of a line: CR, LF, or both of a paste.
    Enter,
    /// One character to the left.
    Left,
    /// One character to the right.
    Right,
    /// The line before in the history.
    Up,
    /// The line after it.
    Down,
    /// The start of the line.
    Home,
    /// Its end.
    End,
    /// Ctrl or Alt with Left.
    WordLeft,
    /// Ctrl or Alt with Right.
    WordRight,
    /// DEL or BS.
    Backspace,
    /// The key of that name.
    Delete,
    /// Ctrl with a letter, in lower case.
    Control(char),
    /// Alt with a character.
    Alt(char),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Behind ESC O.
    Ss3,
    /// Behind ESC [.
    Csi,
}

/// The reader of keys: holds what of a character or a sequence has come so far.
#[derive(Debug, Default)]
pub struct Keys {
    state: State,
    /// Parameter bytes of a CSI sequence, at most [`SEQUENCE_BYTES_MAX`].
    sequence: Vec<u8>,
    /// The sequence is longer than that.
    too_long: bool,
    /// The first bytes of a character.
    partial: [u8; 4],
    len: usize,
    /// Alt stands in front of that character.
    alt: bool,
    /// Between the brackets of a paste: text and ends of lines, no keys.
    pasting: bool,
    /// The last byte was a CR: an LF right behind it is the same end.
    after_cr: bool,
}

impl Keys {
    /// The next key in `bytes`, and how many of them were used for it; `None` where they do not
    /// end one, and then all are used.
    pub fn next(&mut self, bytes: &[u8]) -> (usize, Option<Key>) {
        let mut used = 0;
        while let Some(&byte) = bytes.get(used) {
            let (taken, key) = self.take(byte);
            used += usize::from(taken);
            if key.is_some() {
                return (used, key);
            }
        }
        (used, None)
    }

    /// One byte: whether it was used, and the key that it ends. It is not used where it shows that
    /// the character before it will never be whole.
    fn take(&mut self, byte: u8) -> (bool, Option<Key>) {
        let after_cr = std::mem::take(&mut self.after_cr);
        match self.state {
            State::Ground if self.len > 0 && byte & 0xc0 != 0x80 => {
                self.len = 0;
                (false, Some(Key::Char(char::REPLACEMENT_CHARACTER)))
            }
            State::Ground if byte == b'\n' && after_cr => (true, None),
            State::Ground => (true, self.ground(byte)),
            State::Escape => (true, self.escape(byte)),
            State::Ss3 => {
                self.state = State::Ground;
                (true, self.unless_pasted(final_byte(&[], byte)))
            }
            State::Csi => (true, self.csi(byte)),
        }
    }

    fn ground(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'\r' | b'\n' => {
                self.after_cr = byte == b'\r';
                Some(Key::Enter)
            }
            b'\t' if self.pasting => Some(Key::Char('\t')),
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x08 | 0x7f => self.unless_pasted(Some(Key::Backspace)),
            0x01..=0x1a => self.unless_pasted(Some(Key::Control(char::from(byte - 1 + b'a')))),
            0x00..0x20 => None,
            _ => self.text(byte),
        }
    }

    /// A byte of a character: broken ones become U+FFFD.
    fn text(&mut self, byte: u8) -> Option<Key> {
        self.partial[self.len] = byte;
        self.len += 1;
        let c = match std::str::from_utf8(&self.partial[..self.len]) {
            Ok(text) => text.chars().next(),
            Err(error) if error.error_len().is_none() => return None,
            Err(_) => Some(char::REPLACEMENT_CHARACTER),
        };
        self.len = 0;
        let alt = std::mem::take(&mut self.alt);
        match c {
            // C1: as UTF-8 no key sends them.
            Some(c) if c.is_control() => None,
            Some(c) if alt => Some(Key::Alt(c)),
            c => c.map(Key::Char),
        }
    }

    fn escape(&mut self, byte: u8) -> Option<Key> {
        self.state = State::Ground;
        match byte {
            b'[' => {
                self.state = State::Csi;
                self.sequence.clear();
                self.too_long = false;
                None
            }
            // Of a paste the ESC is dropped and what follows is text.
            _ if self.pasting => self.ground(byte),
            b'O' => {
                self.state = State::Ss3;
                None
            }
            0x08 | 0x7f => Some(Key::Control('w')),
            0x20.. => {
                self.alt = true;
                self.text(byte)
            }
            _ => self.ground(byte),
        }
    }

    fn csi(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x20..=0x3f => {
                self.too_long |= self.sequence.len() == SEQUENCE_BYTES_MAX;
                if !self.too_long {
                    self.sequence.push(byte);
                }
                None
            }
            0x40..=0x7e => {
                self.state = State::Ground;
                let sequence = std::mem::take(&mut self.sequence);
                let key = match (&*sequence, byte) {
                    _ if self.too_long => None,
                    (b"200", b'~') => {
                        self.pasting = true;
                        None
                    }
                    (b"201", b'~') => {
                        self.pasting = false;
                        None
                    }
                    (parameters, last) => self.unless_pasted(final_byte(parameters, last)),
                };
                self.sequence = sequence;
                key
            }
            // No part of a sequence: what came so far is dropped.
            _ => {
                self.state = State::Ground;
                self.ground(byte)
            }
        }
    }

    fn unless_pasted(&self, key: Option<Key>) -> Option<Key> {
        key.filter(|_| !self.pasting)
    }
}

/// The key of a sequence's parameters and last byte.
fn final_byte(parameters: &[u8], last: u8) -> Option<Key> {
    let mut numbers = parameters.split(|&byte| byte == b';');
    let first = numbers.next().unwrap_or_default();
    // 1 and a bit for each of Shift, Alt, Ctrl.
    let held = match numbers.next() {
        Some([digit @ b'1'..=b'8']) => digit - b'1',
        _ => 0,
    };
    let word = held & 0b110 != 0;
    Some(match (last, first) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', _) if word => Key::WordRight,
        (b'C', _) => Key::Right,
        (b'D', _) if word => Key::WordLeft,
        (b'D', _) => Key::Left,
        (b'H', _) | (b'~', b"1" | b"7") => Key::Home,
        (b'F', _) | (b'~', b"4" | b"8") => Key::End,
        (b'~', b"3") if word => Key::Alt('d'),
        (b'~', b"3") => Key::Delete,
        (b'M', b"") => Key::Enter, // the keypad's, as SS3
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::Key::*;
    use super::*;

    fn all(keys: &mut Keys, bytes: &[u8]) -> Vec<Key> {
        let (mut rest, mut found) = (bytes, Vec::new());
        while !rest.is_empty() {
            let (used, key) = keys.next(rest);
            rest = &rest[used..];
            found.extend(key);
        }
        found
    }

    /// The keys of `bytes`, the same at every split in two and byte by byte.
    fn keys(bytes: &[u8]) -> Vec<Key> {
        let whole = all(&mut Keys::default(), bytes);
        for at in 0..=bytes.len() {
            let mut split = Keys::default();
            let mut found = all(&mut split, &bytes[..at]);
            found.extend(all(&mut split, &bytes[at..]));
            assert_eq!(found, whole, "split at {at} of {bytes:?}");
        }
        let mut single = Keys::default();
        let found: Vec<Key> = bytes.iter().flat_map(|&byte| all(&mut single, &[byte])).collect();
        assert_eq!(found, whole);
        whole
    }

    #[test]
    fn text_is_characters_and_broken_utf8_is_replaced() {
        assert_eq!(keys("aä你👍".as_bytes()), [Char('a'), Char('ä'), Char('你'), Char('👍')]);
        assert_eq!(keys(b"\xffa"), [Char('\u{fffd}'), Char('a')]);
        assert_eq!(keys(b"\xe4\xbdx"), [Char('\u{fffd}'), Char('x')]);
        assert_eq!(keys(b"\xe4\xbd\r"), [Char('\u{fffd}'), Enter]);
        assert_eq!(keys("\u{85}a".as_bytes()), [Char('a')]);
    }

    #[test]
    fn sequences_are_keys_in_all_their_forms() {
        for (bytes, key) in [
            (&b"\x1b[A"[..], Up),
            (b"\x1bOB", Down),
            (b"\x1b[C", Right),
            (b"\x1bOD", Left),
            (b"\x1b[1;5C", WordRight),
            (b"\x1b[1;3D", WordLeft),
            (b"\x1b[1;2D", Left),
            (b"\x1b[H", Home),
            (b"\x1bOF", End),
            (b"\x1b[1~", Home),
            (b"\x1b[4~", End),
            (b"\x1b[3~", Delete),
            (b"\x1bOM", Enter),
            (b"\x1bb", Alt('b')),
            (b"\x1b\x7f", Control('w')),
            ("\x1bü".as_bytes(), Alt('ü')),
            (b"\x01", Control('a')),
            (b"\x7f", Backspace),
            (b"\x08", Backspace),
        ] {
            assert_eq!(keys(bytes), [key], "{bytes:?}");
        }
    }

    #[test]
    fn unknown_sequences_mean_nothing_and_take_nothing_with_them() {
        assert_eq!(keys(b"\x1b[24~x\x1b[<0;1;2Mx\x1b[?1;2cx"), [Char('x'); 3]);
        let long = [&b"\x1b["[..], &[b'1'; 1_000], b"~x"].concat();
        assert_eq!(keys(&long), [Char('x')]);
        assert_eq!(keys(b"\x1b[1\rx"), [Enter, Char('x')]);
    }

    #[test]
    fn alt_with_the_opener_of_a_string_takes_nothing_of_what_follows() {
        for byte in *b"]PX^_" {
            let typed = [0x1b, byte, b'x', b'\r'];
            assert_eq!(keys(&typed), [Alt(char::from(byte)), Char('x'), Enter]);
        }
    }

    #[test]
    fn a_lone_escape_goes_with_the_next_byte() {
        assert_eq!(keys(b"\x1b\r"), [Enter]);
        assert_eq!(keys(b"\x1b\x1b[A"), [Up]);
        assert_eq!(keys(b"\x1b\x01"), [Control('a')]);
    }

    #[test]
    fn a_paste_is_text_and_ends_of_lines_and_never_a_command() {
        let pasted = b"\x1b[200~a\tb\x04\x1b[A\x7f\r\nc\nd\x1b[201~\x04";
        let expected =
            [Char('a'), Char('\t'), Char('b'), Enter, Char('c'), Enter, Char('d'), Control('d')];
        assert_eq!(keys(pasted), expected);
    }

    #[test]
    fn cr_and_lf_are_one_end_and_two_of_either_are_two() {
        assert_eq!(keys(b"\r\n\r\r\n\n"), [Enter; 4]);
    }
}
