//! The screen, as a terminal (vt100) shows it: what is seen, whatever bytes made it so.

use super::*;
use crate::handler::Window;
use std::num::NonZero;

/// A terminal and the screen that its bytes go to.
struct Desk {
    terminal: Terminal,
    screen: vt100::Parser,
}

fn window(columns: u16, rows: u16) -> Window {
    Window { columns, rows, log: false }
}

fn blank(rows: u16, columns: u16) -> vt100::Parser {
    let size = |n| NonZero::new(n).expect("a screen has a size");
    vt100::Parser::new(size(rows), size(columns), 100)
}

impl Desk {
    fn new(columns: u16, rows: u16) -> Self {
        let mut terminal = Terminal::new(Options {
            prompt: "> ".into(),
            line_len_max: 1_000,
            color: false,
            own: "me".into(),
        });
        terminal.screen(Screen::Ours(window(columns, rows)));
        Desk { terminal, screen: blank(rows, columns) }
    }

    /// Writes what is pending, `most` bytes at a time.
    fn flush_by(&mut self, most: usize) {
        loop {
            let mut slices = Slices::new();
            self.terminal.pending(&mut slices);
            let bytes = slices.runs().first().map_or(&[][..], |run| run);
            let n = bytes.len().min(most);
            self.screen.process(&bytes[..n]);
            if n == 0 {
                return;
            }
            self.terminal.sent(n);
        }
    }

    fn flush(&mut self) {
        self.flush_by(usize::MAX);
    }

    /// Types, and gives the lines entered.
    fn keys(&mut self, bytes: impl AsRef<[u8]>) -> Vec<Typed> {
        let (mut rest, mut typed) = (bytes.as_ref(), Vec::new());
        while !rest.is_empty() {
            let (used, what) = self.terminal.keys(rest);
            rest = &rest[used..];
            typed.extend(what);
        }
        typed
    }

    /// The rows that are not empty.
    fn seen(&mut self) -> Vec<String> {
        self.flush();
        let rows: Vec<String> =
            self.screen.screen().contents().lines().map(str::to_owned).collect();
        rows.into_iter().map(|row| row.trim_end().to_owned()).collect()
    }

    fn cursor(&mut self) -> (u16, u16) {
        self.flush();
        self.screen.screen().cursor_position()
    }
}

#[test]
fn messages_come_above_the_line_being_typed() {
    let mut desk = Desk::new(40, 10);
    desk.terminal.set_status("here  2 peers");
    assert_eq!(desk.keys("half a"), []);
    desk.terminal.show(b"one\ntwo\n");
    assert_eq!(desk.seen(), ["one", "two", "here  2 peers", "> half a"]);
    desk.keys(" line\x1b[D\x1b[D");
    desk.terminal.show(b"three\n");
    assert_eq!(desk.seen(), ["one", "two", "three", "here  2 peers", "> half a line"]);
    assert_eq!(desk.cursor(), (4, 11));
    assert_eq!(desk.keys("\r"), [Typed::Line("half a line".into())]);
    assert_eq!(desk.seen(), ["one", "two", "three", "here  2 peers", ">"]);
}

#[test]
fn at_the_bottom_of_the_screen_the_messages_scroll_and_the_line_stays() {
    let mut desk = Desk::new(20, 4);
    desk.terminal.set_status("status");
    desk.keys("typing");
    for n in 0..50 {
        desk.terminal.show(format!("message {n}\n").as_bytes());
        desk.flush();
    }
    assert_eq!(desk.seen(), ["message 48", "message 49", "status", "> typing"]);
}

#[test]
fn a_message_longer_than_a_row_wraps_above_and_tears_nothing() {
    let mut desk = Desk::new(10, 8);
    desk.keys("typed");
    desk.terminal.show("0123456789abcdefghij你好\nx\n".as_bytes());
    desk.flush();
    desk.terminal.show(b"y\n");
    let seen = desk.seen();
    assert_eq!(seen.last().unwrap(), "> typed");
    assert_eq!(seen[seen.len() - 3..seen.len() - 1], ["x", "y"]);
}

#[test]
fn any_cut_of_the_writes_shows_the_same_in_the_end() {
    let session = |most: usize| {
        let mut desk = Desk::new(30, 6);
        for n in 0..20 {
            desk.keys("你a");
            desk.terminal.set_status(&format!("status {n}"));
            desk.terminal.show(format!("message {n}\n").as_bytes());
            desk.keys("\x1b[D\x7f");
            desk.flush_by(most);
        }
        desk.seen()
    };
    let whole = session(usize::MAX);
    (1..40).for_each(|most| assert_eq!(session(most), whole, "{most} bytes a write"));
}

#[test]
fn every_split_of_the_keys_shows_and_enters_the_same() {
    let keys =
        "héy 你\x1b[D\x1b[3~x\x1b[1;5D\x01w\x05\x1b[200~a\r\nb\x1b[201~\x17y\r\x1b[A".as_bytes();
    let mut whole = Desk::new(40, 6);
    let (typed, seen) = (whole.keys(keys), whole.seen());
    assert_eq!(typed, [Typed::Line("whéy xa".into()), Typed::Line("y".into())]);
    for at in 0..keys.len() {
        let mut split = Desk::new(40, 6);
        let mut found = split.keys(&keys[..at]);
        split.flush();
        found.extend(split.keys(&keys[at..]));
        assert_eq!((&found, split.seen()), (&typed, seen.clone()), "split at {at}");
    }
}

#[test]
fn a_line_wider_than_the_window_is_scrolled_and_never_wraps() {
    let mut desk = Desk::new(20, 5);
    for c in "你好世界漢字かな".chars().cycle().take(60) {
        desk.keys(c.to_string());
        assert_eq!(desk.seen().len(), 1, "one row");
        assert_eq!(desk.cursor().0, 0);
    }
    desk.keys("\x01");
    assert_eq!(desk.seen(), ["> 你好世界漢字かな"]);
    assert_eq!(desk.cursor(), (0, 2));
}

#[test]
fn the_cursor_stands_behind_wide_and_combining_characters() {
    let mut desk = Desk::new(40, 3);
    desk.keys("a你e\u{301}b\x1b[D");
    assert_eq!(desk.cursor(), (0, 2 + 1 + 2 + 1));
    desk.keys("\x7f");
    assert_eq!(desk.seen(), ["> a你b"]);
    assert_eq!(desk.cursor(), (0, 2 + 1 + 2));
}

#[test]
fn a_paste_gives_each_line_and_the_last_one_stays_to_be_typed_on() {
    let mut desk = Desk::new(40, 5);
    let lines: String = (0..1_000).map(|n| format!("line {n}\n")).collect();
    let typed = desk.keys(format!("\x1b[200~{lines}rest\x1b[201~"));
    let expected: Vec<Typed> = (0..1_000).map(|n| Typed::Line(format!("line {n}"))).collect();
    assert_eq!(typed, expected);
    assert_eq!(desk.seen(), ["> rest"]);
}

#[test]
fn a_line_that_is_not_taken_is_typed_once_more_and_given_again() {
    let mut desk = Desk::new(40, 5);
    let (used, typed) = desk.terminal.keys(b"held\rnext");
    assert_eq!((used, &typed), (5, &Some(Typed::Line("held".into()))));
    let Some(Typed::Line(line)) = typed else { unreachable!() };
    desk.terminal.put_back(line);
    assert_eq!(desk.seen(), ["> held"]);
    assert_eq!(desk.keys(b"\rnext"), [Typed::Line("held".into())]);
    assert_eq!(desk.seen(), ["> next"]);
}

#[test]
fn a_narrower_window_is_redrawn_without_leftovers() {
    // Narrower by a terminal that breaks rows, as most do; vt100 does not, so the screen is made
    // what such a one would show.
    let mut desk = Desk::new(30, 10);
    desk.terminal.set_status("0123456789012345678901234");
    desk.keys("abcdefghijklmnopqrst");
    desk.terminal.show(b"above\n");
    desk.flush();
    desk.screen = blank(10, 10);
    desk.screen.process(b"above\r\n0123456789012345678901234\r\n> abcdefghijklmnopqrst");
    desk.terminal.screen(Screen::Ours(window(10, 10)));
    let seen = desk.seen();
    assert_eq!(seen[..2], ["above", "012345678"]);
    assert_eq!(seen.len(), 3);
    assert!(seen[2].starts_with("> "), "{seen:?}");
}

#[test]
fn a_window_of_one_column_and_one_of_none_break_nothing() {
    for columns in [0, 1, 2, 3] {
        let mut desk = Desk::new(40, 5);
        desk.terminal.set_status("status");
        desk.terminal.screen(Screen::Ours(window(columns, 1)));
        desk.keys("你好 text");
        desk.terminal.show(b"message\n");
        assert!(desk.seen().contains(&"message".to_owned()));
    }
}

#[test]
fn hidden_nothing_is_left_but_what_was_said() {
    let mut desk = Desk::new(40, 5);
    desk.terminal.set_status("status");
    desk.keys("typing");
    desk.flush();
    assert!(desk.screen.screen().bracketed_paste());
    desk.terminal.screen(Screen::Leaving);
    desk.terminal.show(b"last\n");
    assert_eq!(desk.seen(), ["last"]);
    assert!(!desk.screen.screen().bracketed_paste());
    assert_eq!(desk.cursor(), (1, 0));
    // After the stop the line is there again.
    desk.terminal.screen(Screen::Ours(window(40, 5)));
    assert_eq!(desk.seen(), ["last", "status", "> typing"]);
}

#[test]
fn a_screen_that_is_not_ours_gets_the_text_and_nothing_else() {
    let mut desk = Desk::new(40, 5);
    desk.terminal.screen(Screen::Lost);
    desk.terminal.set_status("status");
    desk.keys("typing");
    desk.terminal.show(b"raw \x1b[1m bytes");
    let mut slices = Slices::new();
    desk.terminal.pending(&mut slices);
    assert_eq!(&**slices.runs().first().unwrap(), b"raw \x1b[1m bytes");
}

#[test]
fn keys_on_a_screen_that_takes_nothing_cost_no_memory() {
    let mut desk = Desk::new(40, 5);
    desk.terminal.show(b"waits\n");
    desk.terminal.pending(&mut Slices::new());
    let waits = desk.terminal.out.len();
    for _ in 0..1_000 {
        desk.keys("x\x7f\x7f");
        desk.terminal.pending(&mut Slices::new());
    }
    assert_eq!(desk.terminal.out.len(), waits + 1, "and one bell");
    desk.keys("seen");
    assert_eq!(desk.seen(), ["waits", "> seen"]);
}

#[test]
fn own_lines_that_the_screen_does_not_take_are_bounded() {
    let mut desk = Desk::new(40, 5);
    let mut shown = 0;
    while !desk.terminal.is_full() {
        desk.terminal.show_typed(&"x".repeat(1_000));
        shown += 1;
    }
    assert_eq!(shown, (ECHO_BYTES_MAX / 1_003) + 1);
    desk.flush();
    assert!(!desk.terminal.is_full());
}

#[test]
fn names_are_coloured_and_the_line_being_typed_is_not() {
    let mut desk = Desk::new(40, 5);
    desk.terminal.options.color = true;
    desk.keys("<bob> x");
    desk.terminal.show(b"<bob> hi\n* bob left\n");
    assert_eq!(desk.seen(), ["<bob> hi", "* bob left", "> <bob> x"]);
    let cell = |row, column| desk.screen.screen().cell(row, column).unwrap();
    assert_ne!(cell(0, 1).fgcolor(), vt100::Color::Default);
    assert_eq!(cell(0, 7).fgcolor(), vt100::Color::Default);
    assert!(cell(1, 3).dim());
    assert_eq!(cell(2, 3).fgcolor(), vt100::Color::Default);
}

#[test]
fn control_l_clears_the_screen() {
    let mut desk = Desk::new(40, 5);
    desk.terminal.show(b"one\n");
    desk.keys("abc");
    desk.flush();
    desk.keys("\x0c");
    assert_eq!(desk.seen(), ["> abc"]);
}
