//! What goes to stdout: on a terminal a peer's bytes are made visible first, so that they cannot move
//! the cursor, recolour the screen or reverse the reading order; into a pipe they go untouched.

use super::Options;
use crate::log_queue::LogQueue;
use crate::terminal::seat::Seat;
use crate::terminal::{self, Kind};
use crate::visible::visible_into;
use crate::wire::{self, LINE_LEN_MAX};

/// Bytes on their way to stdout.
pub(super) struct Screen {
    terminal: bool,
    /// stdin is one too, and it can move its cursor: keys are read one by one.
    pub(super) keys: bool,
    pub(super) seat: Seat,
}

impl Screen {
    pub(super) fn new(options: &Options, log: &LogQueue) -> Self {
        let seat = terminal::Options {
            prompt: "> ".to_owned(),
            line_len_max: LINE_LEN_MAX,
            color: options.color,
            own: String::new(),
            stamp: options.timestamps,
        };
        let (terminal, keys) = (options.stdout_is_terminal, options.terminal);
        Screen { terminal, keys, seat: Seat::new(seat, log) }
    }

    /// True where whole lines alone are shown, made visible.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// True where nothing should be shown until something was sent. Bounded by what is shown at once:
    /// one read, whose controls made visible take up to eight times as much.
    pub(super) fn is_full(&self) -> bool {
        self.seat.screen.has_enough()
    }

    /// Shows a piece of a stream as it came, with at most one newline, at its end. A note stands
    /// behind the line's text, before its newline. Not for a terminal.
    pub(super) fn show_piece(&mut self, piece: &[u8], note: &str) {
        if note.is_empty() {
            return self.seat.screen.show(piece, Kind::Text);
        }
        let text = wire::text(piece);
        let noted = [text, note.as_bytes(), &piece[text.len()..]].concat();
        self.seat.screen.show(&noted, Kind::Text);
    }

    /// The stream ended and another one will follow: its first line is not to run into this one's.
    pub(super) fn end_line(&mut self) {
        self.seat.screen.end_line();
    }

    /// Shows a message that ends here; on a terminal it stands on a line of its own.
    pub(super) fn show_message(&mut self, message: &[u8]) {
        if self.terminal {
            self.show_line(message.strip_suffix(b"\n").unwrap_or(message), Kind::Text);
        } else {
            self.seat.screen.show(message, Kind::Text);
        }
    }

    /// Shows a text as a line.
    pub(super) fn show_line(&mut self, text: &[u8], kind: Kind) {
        let mut line = Vec::with_capacity(text.len() + 1);
        if self.terminal {
            visible_into(text, &mut line);
        } else {
            line.extend_from_slice(text);
        }
        line.push(b'\n');
        self.seat.screen.show(&line, kind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::Slices;
    use crate::terminal::SCREEN_BYTES;

    fn shown(screen: &mut Screen) -> String {
        let mut slices = Slices::new();
        screen.seat.pending(&mut slices, |_| {});
        slices.runs().iter().map(|run| String::from_utf8_lossy(run).into_owned()).collect()
    }

    fn screen(terminal: bool) -> Screen {
        let options = Options { stdout_is_terminal: terminal, ..Options::default_for_tests() };
        Screen::new(&options, &LogQueue::new())
    }

    #[test]
    fn a_terminal_sees_control_bytes_and_a_pipe_gets_them() {
        let mut terminal = screen(true);
        terminal.show_line(b"a\x1b[2J", Kind::Chat);
        assert_eq!(shown(&mut terminal), "a\\x1b[2J\n");
        let mut pipe = screen(false);
        pipe.show_piece(b"a\x1b[2J\r\n", "");
        pipe.show_piece(b"rest", "");
        assert_eq!(shown(&mut pipe), "a\x1b[2J\r\nrest");
    }

    #[test]
    fn a_stdout_that_is_slower_than_the_server_takes_no_more_than_a_few_reads() {
        let mut screen = screen(false);
        for _ in 0..1_000 {
            while !screen.is_full() {
                screen.show_piece(&[b'x'; SCREEN_BYTES], "");
            }
            let pending = shown(&mut screen).len();
            assert!(pending <= 4 * SCREEN_BYTES, "{pending} bytes are kept");
            screen.seat.sent(4_096);
        }
    }

    #[test]
    fn a_note_stands_before_the_newline_and_a_stream_that_follows_on_a_line_of_its_own() {
        let mut screen = screen(false);
        screen.show_piece(b"pong\r\n", " in 1 ms");
        screen.end_line();
        screen.show_piece(b"rest", "");
        screen.end_line();
        screen.show_piece(b"next", "");
        assert_eq!(shown(&mut screen), "pong in 1 ms\r\nrest\nnext");
    }

    #[test]
    fn a_message_without_newline_stands_on_its_own_line_on_a_terminal_only() {
        let mut terminal = screen(true);
        terminal.show_message(b"one");
        terminal.show_message(b"two\n");
        assert_eq!(shown(&mut terminal), "one\ntwo\n");
        let mut pipe = screen(false);
        pipe.show_message(b"one");
        pipe.show_message(b"two");
        assert_eq!(shown(&mut pipe), "onetwo");
    }

    #[test]
    fn a_time_stands_in_front_of_each_line_whatever_pieces_it_comes_in() {
        let options =
            Options { timestamps: Some(|| "12:00:00".to_owned()), ..Options::default_for_tests() };
        let mut screen = Screen::new(&options, &LogQueue::new());
        for piece in ["on", "e\n", "two\n", "th"] {
            screen.show_piece(piece.as_bytes(), "");
        }
        screen.end_line();
        screen.show_piece(b"x", "");
        assert_eq!(shown(&mut screen), "12:00:00 one\n12:00:00 two\n12:00:00 th\n12:00:00 x");
    }
}
