//! What goes to stdout: one bounded buffer. On a terminal a peer's bytes are made visible first,
//! so that they cannot move the cursor, recolour the screen or reverse the reading order; into a
//! pipe they go untouched.

use super::outgoing::Outgoing;
use crate::handler::Slices;
use crate::visible::visible_into;
use crate::wire;

/// No more is taken in while the screen holds so much: one read.
const SCREEN_BYTES: usize = 64 * 1024;

/// Bytes on their way to stdout.
pub(super) struct Screen {
    terminal: bool,
    outgoing: Outgoing,
    /// What was shown of the stream ends within a line.
    within: bool,
}

impl Screen {
    pub(super) fn new(terminal: bool) -> Self {
        Screen { terminal, outgoing: Outgoing::default(), within: false }
    }

    /// True where nothing may be shown until something was sent.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.pending().len() >= SCREEN_BYTES
    }

    /// How much of `bytes` may be shown now: on a terminal whole lines only, for the rest of one may
    /// begin in the middle of a character.
    pub(super) fn takes(&self, bytes: &[u8]) -> usize {
        match bytes.iter().rposition(|&byte| byte == b'\n') {
            _ if !self.terminal => bytes.len(),
            Some(end) => end + 1,
            None if bytes.len() >= SCREEN_BYTES => bytes.len(),
            None => 0,
        }
    }

    /// Shows a piece of what `takes` allowed, with at most one newline, at its end. A note stands
    /// behind the line's text, before its newline.
    pub(super) fn show_piece(&mut self, piece: &[u8], note: Option<&str>) {
        let ends = piece.ends_with(b"\n");
        self.within = !ends;
        let text = if ends { wire::text(piece) } else { piece };
        let out = self.outgoing.end();
        if self.terminal {
            visible_into(text, out);
        } else {
            out.extend_from_slice(text);
        }
        if let Some(note) = note {
            out.extend_from_slice(note.as_bytes());
        }
        match (ends, self.terminal) {
            (false, _) => {}
            (true, true) => out.push(b'\n'),
            (true, false) => out.extend_from_slice(&piece[text.len()..]),
        }
    }

    /// The stream ended and another one will follow: its first line is not to run into this one's.
    pub(super) fn end_line(&mut self) {
        if std::mem::take(&mut self.within) {
            self.outgoing.end().push(b'\n');
        }
    }

    /// Shows a message that ends here; on a terminal it stands on a line of its own.
    pub(super) fn show_message(&mut self, message: &[u8]) {
        if self.terminal {
            self.show_line(message.strip_suffix(b"\n").unwrap_or(message));
        } else {
            self.outgoing.end().extend_from_slice(message);
        }
    }

    /// Shows a text as a line.
    pub(super) fn show_line(&mut self, text: &[u8]) {
        if self.terminal {
            visible_into(text, self.outgoing.end());
        } else {
            self.outgoing.end().extend_from_slice(text);
        }
        self.outgoing.end().push(b'\n');
    }

    pub(super) fn pending<'a>(&'a self, slices: &mut Slices<'a>) {
        slices.push(self.outgoing.pending());
    }

    pub(super) fn sent(&mut self, n: usize) {
        self.outgoing.sent(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(screen: &Screen) -> String {
        let mut slices = Slices::new();
        screen.pending(&mut slices);
        slices.runs().iter().map(|run| String::from_utf8_lossy(run).into_owned()).collect()
    }

    fn show_stream(screen: &mut Screen, bytes: &[u8]) -> usize {
        let taken = screen.takes(bytes);
        let pieces = bytes[..taken].split_inclusive(|&byte| byte == b'\n');
        pieces.for_each(|piece| screen.show_piece(piece, None));
        taken
    }

    #[test]
    fn a_terminal_sees_control_bytes_and_a_pipe_gets_them() {
        let mut terminal = Screen::new(true);
        assert_eq!(show_stream(&mut terminal, b"a\x1b[2J\r\nrest"), 7);
        assert_eq!(shown(&terminal), "a\\x1b[2J\n");
        let mut pipe = Screen::new(false);
        assert_eq!(show_stream(&mut pipe, b"a\x1b[2J\r\nrest"), 11);
        assert_eq!(shown(&pipe), "a\x1b[2J\r\nrest");
    }

    #[test]
    fn a_stdout_that_is_slower_than_the_server_takes_no_more_than_a_few_reads() {
        for terminal in [false, true] {
            let mut screen = Screen::new(terminal);
            for _ in 0..1_000 {
                while !screen.is_full() {
                    show_stream(&mut screen, &[b'\n'; SCREEN_BYTES]);
                }
                screen.sent(4_096);
                let kept = screen.outgoing.end().capacity();
                assert!(kept <= 8 * SCREEN_BYTES, "{kept} bytes are kept");
            }
        }
    }

    #[test]
    fn a_note_stands_before_the_newline_and_a_stream_that_follows_on_a_line_of_its_own() {
        for (terminal, wanted) in
            [(false, "pong in 1 ms\r\nrest\nnext"), (true, "pong in 1 ms\nrest\nnext")]
        {
            let mut screen = Screen::new(terminal);
            screen.show_piece(b"pong\r\n", Some(" in 1 ms"));
            screen.end_line();
            screen.show_piece(b"rest", None);
            screen.end_line();
            screen.show_piece(b"next", None);
            assert_eq!(shown(&screen), wanted);
        }
    }

    #[test]
    fn a_message_without_newline_stands_on_its_own_line_on_a_terminal_only() {
        let mut terminal = Screen::new(true);
        terminal.show_message(b"one");
        terminal.show_message(b"two\n");
        assert_eq!(shown(&terminal), "one\ntwo\n");
        let mut pipe = Screen::new(false);
        pipe.show_message(b"one");
        pipe.show_message(b"two");
        assert_eq!(shown(&pipe), "onetwo");
    }
}
