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
}

impl Screen {
    pub(super) fn new(terminal: bool) -> Self {
        Screen { terminal, outgoing: Outgoing::default() }
    }

    /// True where nothing may be shown until something was sent.
    pub(super) fn is_full(&self) -> bool {
        self.outgoing.pending().len() >= SCREEN_BYTES
    }

    /// Shows what may be shown of `bytes` and says how much that is: on a terminal whole lines
    /// only, for the rest of one may begin in the middle of a character.
    pub(super) fn show_stream(&mut self, bytes: &[u8]) -> usize {
        if !self.terminal {
            self.outgoing.end().extend_from_slice(bytes);
            return bytes.len();
        }
        let whole = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(end) => end + 1,
            None if bytes.len() >= SCREEN_BYTES => bytes.len(),
            None => 0,
        };
        for line in bytes[..whole].split_inclusive(|&byte| byte == b'\n') {
            if line.ends_with(b"\n") {
                self.show_line(wire::text(line));
            } else {
                visible_into(line, self.outgoing.end());
            }
        }
        whole
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

    #[test]
    fn a_terminal_sees_control_bytes_and_a_pipe_gets_them() {
        let mut terminal = Screen::new(true);
        assert_eq!(terminal.show_stream(b"a\x1b[2J\r\nrest"), 7);
        assert_eq!(shown(&terminal), "a\\x1b[2J\n");
        let mut pipe = Screen::new(false);
        assert_eq!(pipe.show_stream(b"a\x1b[2J\r\nrest"), 11);
        assert_eq!(shown(&pipe), "a\x1b[2J\r\nrest");
    }

    #[test]
    fn a_stdout_that_is_slower_than_the_server_takes_no_more_than_a_few_reads() {
        for terminal in [false, true] {
            let mut screen = Screen::new(terminal);
            for _ in 0..1_000 {
                while !screen.is_full() {
                    screen.show_stream(&[b'\n'; SCREEN_BYTES]);
                }
                screen.sent(4_096);
                let kept = screen.outgoing.end().capacity();
                assert!(kept <= 8 * SCREEN_BYTES, "{kept} bytes are kept");
            }
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
