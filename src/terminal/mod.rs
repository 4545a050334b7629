//! The terminal that an operator or a user sits at: a line being typed at the bottom, a row of
//! status above it, and above both everything that is to be read, in order, never inside the line.
//! Pure: bytes of keys in, bytes for the screen out. Who reads and writes them is the program's
//! business, raw mode is the system's.
//!
//! All output is one buffer. Before text the rows at the bottom are erased, once for however much
//! text, and drawn again when the bytes are asked for: no row is torn whatever the writes cut. While
//! the window is not ours (a pipe, a dumb terminal, another job's) text goes out as it is given.
//! After linenoise's hide and show, in one buffer instead of one write each.

pub mod editor;
pub mod keys;
pub mod paint;
mod prompt;

use crate::handler::{Screen, Slices};
use editor::{Edited, Editor};
use keys::{Key, Keys};
use prompt::{Drawn, input_row, push_cut};
use std::io::Write as _;

/// A program gives no more text when so many bytes wait for the screen. A pipe takes as much at once.
pub const SCREEN_BYTES: usize = 64 * 1024;

/// Own lines that wait for the screen, in bytes; then keys are left alone until it takes them.
const ECHO_BYTES_MAX: usize = 64 * 1024;

/// Bracketed paste (xterm): text that is pasted comes between marks.
const PASTE_ON: &[u8] = b"\x1b[?2004h";
const PASTE_OFF: &[u8] = b"\x1b[?2004l";

/// Autowrap (DECAWM): off while a row is drawn, whatever a terminal takes for its width.
const WRAP_OFF: &[u8] = b"\x1b[?7l";
const WRAP_ON: &[u8] = b"\x1b[?7h";

/// The cursor's place (DECSC, DECRC): the terminal's own count of columns, not ours.
const SAVE: &[u8] = b"\x1b7";
const BACK: &[u8] = b"\x1b8";

/// What a terminal is like from the start.
#[derive(Clone, Debug)]
pub struct Options {
    /// In front of the line being typed.
    pub prompt: String,
    /// Bytes that the line may have.
    pub line_len_max: usize,
    /// Names, notices and the status row are coloured.
    pub color: bool,
    /// Whose lines are one's own: the name in `<name> text`.
    pub own: String,
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A line, without its end. May be empty.
    Line(String),
    /// A line longer than [`Options::line_len_max`]; it is gone.
    TooLong,
    /// Ctrl-D on an empty line.
    End,
}

/// One terminal.
#[derive(Debug)]
pub struct Terminal {
    options: Options,
    keys: Keys,
    editor: Editor,
    status: String,
    /// Columns of the window; `None` while it is not ours.
    columns: Option<usize>,
    /// The rows at the bottom are not wanted (any more).
    hidden: bool,
    paste: bool,
    /// What stands at the bottom behind the last byte of `out`.
    drawn: Option<Drawn>,
    /// It is not what should stand there.
    stale: bool,
    /// Something is to be written that nobody was told of.
    news: bool,
    out: Vec<u8>,
    /// So many bytes of `out` are written.
    sent: usize,
    /// Bytes of own lines in `out`.
    echoed: usize,
}

impl Terminal {
    /// A terminal that is not ours yet.
    pub fn new(options: Options) -> Self {
        Terminal {
            editor: Editor::new(options.line_len_max),
            options,
            keys: Keys::default(),
            status: String::new(),
            columns: None,
            hidden: false,
            paste: false,
            drawn: None,
            stale: false,
            news: false,
            out: Vec::new(),
            sent: 0,
            echoed: 0,
        }
    }

    /// What the loop tells of the screen ([`crate::handler::Handler::screen`]).
    pub fn screen(&mut self, screen: Screen) {
        match screen {
            Screen::Ours(window) => {
                // A terminal that was never told its size says 0; 80 is the usual one.
                let columns = if window.columns == 0 { 80 } else { usize::from(window.columns) };
                if self.columns.replace(columns).is_none() {
                    // Whatever stood there has been erased, or is somebody else's by now.
                    self.drawn = None;
                    self.paste = false;
                }
                self.hidden = false;
                self.change();
            }
            Screen::Leaving => self.hide(),
            Screen::Lost => {
                self.columns = None;
                self.drawn = None;
                self.paste = false;
            }
        }
    }

    /// True while keys are read one by one and the rows at the bottom are drawn.
    pub fn is_ours(&self) -> bool {
        self.columns.is_some() && !self.hidden
    }

    /// Erases the rows at the bottom, until the next [`Screen::Ours`]. Text is shown without them.
    pub fn hide(&mut self) {
        self.erase();
        if std::mem::take(&mut self.paste) {
            self.out.extend_from_slice(PASTE_OFF);
            self.news = true;
        }
        self.hidden = true;
    }

    /// Takes bytes of the keyboard up to the first that ends something: how many were taken, and what
    /// that was. To be called until none are left; not while [`is_full`](Self::is_full).
    pub fn keys(&mut self, bytes: &[u8]) -> (usize, Option<Typed>) {
        let mut used = 0;
        let mut text = String::new();
        while used < bytes.len() {
            let (taken, key) = self.keys.next(&bytes[used..]);
            used += taken;
            // Characters go in together: each insertion costs the length of the line.
            match key {
                Some(Key::Char(c)) => text.push(c),
                Some(key) => {
                    self.insert(&mut text);
                    if let Some(typed) = self.press(key) {
                        return (used, Some(typed));
                    }
                }
                None => {}
            }
        }
        self.insert(&mut text);
        (used, None)
    }

    /// The program could not take this line: it stands in the editor again, and its Enter, the last
    /// byte that [`keys`](Self::keys) took, is to be given again later.
    pub fn put_back(&mut self, line: String) {
        self.editor.put_back(line);
        self.change();
    }

    /// What stands in the line, which is empty then: for an end of input behind it.
    pub fn unfinished(&mut self) -> String {
        self.change();
        self.editor.take()
    }

    /// Shows whole lines of visible text, each with its newline, above the rows at the bottom. While
    /// the terminal is not ours they may be anything, and go out as they are.
    pub fn show(&mut self, lines: &[u8]) {
        self.news = true;
        if self.columns.is_none() {
            return self.out.extend_from_slice(lines);
        }
        self.erase();
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if self.options.color {
                paint::chat_line(line, &self.options.own, &mut self.out);
            } else {
                self.out.extend_from_slice(line);
            }
            // Raw mode may have taken the terminal's own CR away, and a second one does no harm.
            self.out.extend_from_slice(b"\r\n");
        }
    }

    /// Shows what was typed and not said to anybody: the prompt and the line.
    pub fn show_typed(&mut self, line: &str) {
        let shown = format!("{}{}\n", self.options.prompt, crate::visible::visible(line));
        self.show_own(&shown);
    }

    /// Shows one own line, visible text with its newline.
    pub fn show_own(&mut self, line: &str) {
        self.echoed += line.len();
        self.show(line.as_bytes());
    }

    /// What stands in the row above the line being typed; none where it is empty.
    pub fn set_status(&mut self, status: &str) {
        if self.status != status {
            self.status = status.to_owned();
            self.change();
        }
    }

    /// What stands in front of the line being typed.
    pub fn set_prompt(&mut self, prompt: &str) {
        if self.options.prompt != prompt {
            self.options.prompt = prompt.to_owned();
            self.change();
        }
    }

    /// Whose lines are one's own.
    pub fn set_own(&mut self, name: &str) {
        self.options.own = name.to_owned();
    }

    /// True once after something came up that is to be written: then the loop must be told.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// True where all that was shown is written: the moment to give more text.
    pub fn is_empty(&self) -> bool {
        self.sent == self.out.len()
    }

    /// True where text enough waits ([`SCREEN_BYTES`]); more is taken, but should not be given.
    pub fn has_enough(&self) -> bool {
        self.out.len() - self.sent >= SCREEN_BYTES
    }

    /// True where own lines wait that the screen does not take: leave keys alone until
    /// [`is_empty`](Self::is_empty).
    pub fn is_full(&self) -> bool {
        self.echoed >= ECHO_BYTES_MAX
    }

    /// The bytes to be written, with the rows at the bottom behind them.
    pub fn pending<'a>(&'a mut self, slices: &mut Slices<'a>) {
        // What is half written is finished first, or a slow screen would gather one row a key.
        if self.is_empty() || self.drawn.is_none() {
            self.draw();
        }
        self.news = false;
        slices.push(&self.out[self.sent..]);
    }

    /// So many bytes of them were written.
    pub fn sent(&mut self, n: usize) {
        self.sent += n;
        if self.is_empty() {
            self.out = Vec::new();
            self.sent = 0;
            self.echoed = 0;
        }
    }

    fn change(&mut self) {
        self.stale = true;
        self.news = true;
    }

    fn insert(&mut self, text: &mut String) {
        if !text.is_empty() {
            match self.editor.insert(text) {
                Edited::Nothing => self.bell(),
                _ => self.change(),
            }
            text.clear();
        }
    }

    fn press(&mut self, key: Key) -> Option<Typed> {
        match self.editor.press(key) {
            Edited::Line => self.change(),
            Edited::Nothing => self.bell(),
            Edited::Redraw if !self.is_ours() => {}
            Edited::Redraw => {
                // The row may stand anywhere by now, if another program wrote there.
                self.drawn = None;
                self.out.extend_from_slice(b"\x1b[H\x1b[2J");
                self.change();
            }
            Edited::Entered(line) => {
                self.change();
                return Some(Typed::Line(line));
            }
            Edited::TooLong => {
                self.change();
                return Some(Typed::TooLong);
            }
            Edited::End => return Some(Typed::End),
        }
        None
    }

    /// BEL, which moves nothing; one is enough for a screen that is behind.
    fn bell(&mut self) {
        if self.is_ours() && self.out.last() != Some(&7) {
            self.out.push(7);
            self.news = true;
        }
    }

    /// Takes the rows at the bottom away, if they stand there: the cursor is where text goes on.
    fn erase(&mut self) {
        let Some(drawn) = self.drawn.take() else { return };
        self.out.push(b'\r');
        let above = drawn.rows_above(self.columns.unwrap_or(80));
        if above > 0 {
            let _ = write!(self.out, "\x1b[{above}A");
        }
        self.out.extend_from_slice(b"\x1b[J");
        self.news = true;
    }

    /// Puts them there, if they are wanted and do not stand there as they should.
    fn draw(&mut self) {
        let Some(columns) = self.columns.filter(|_| !self.hidden) else { return };
        if self.drawn.is_some() && !self.stale {
            return;
        }
        self.erase();
        if !std::mem::replace(&mut self.paste, true) {
            self.out.extend_from_slice(PASTE_ON);
        }
        self.out.extend_from_slice(WRAP_OFF);
        let mut status = String::new();
        let width = push_cut(&mut status, &self.status, columns.saturating_sub(1));
        if width > 0 {
            match self.options.color {
                true => paint::styled(paint::NOTICE, status.as_bytes(), &mut self.out),
                false => self.out.extend_from_slice(status.as_bytes()),
            }
            self.out.extend_from_slice(b"\r\n");
        }
        let row =
            input_row(&self.options.prompt, self.editor.text(), self.editor.cursor(), columns);
        self.out.extend_from_slice(row.before.as_bytes());
        if !row.after.is_empty() {
            self.out.extend_from_slice(SAVE);
            self.out.extend_from_slice(row.after.as_bytes());
            self.out.extend_from_slice(BACK);
        }
        self.out.extend_from_slice(WRAP_ON);
        self.drawn = Some(Drawn { status: (width > 0).then_some(width), cursor: row.cursor });
        self.stale = false;
    }
}

#[cfg(test)]
mod tests;
