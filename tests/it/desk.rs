//! A terminal of the tests' own: keys in at one end, and a screen (vt100) that shows what a program
//! draws at the other.

use crate::support::{Output, terminal};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::{self, File};
use std::io::Write;
use std::num::NonZero;
use std::sync::Mutex;

pub(super) const COLUMNS: u16 = 60;
pub(super) const ROWS: u16 = 12;

/// Rows that have left the screen and are remembered.
pub(super) const SCROLLBACK: usize = 20_000;

/// A terminal's other end: keys in, and a screen that its bytes are shown on.
pub(super) struct Desk {
    pub(super) master: File,
    pub(super) out: Output,
    /// And how many bytes it has taken.
    pub(super) screen: Mutex<(vt100::Parser, usize)>,
}

pub(super) fn size(columns: u16, rows: u16) -> (NonZero<u16>, NonZero<u16>) {
    (NonZero::new(rows).unwrap(), NonZero::new(columns).unwrap())
}

pub(super) fn set_size(master: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(master, size).unwrap();
}

impl Desk {
    /// A desk and the terminal to be given to a program.
    pub(super) fn new() -> (Self, File) {
        Self::sized(COLUMNS, ROWS)
    }

    /// The same, so large.
    pub(super) fn sized(columns: u16, rows: u16) -> (Self, File) {
        let (master, slave) = terminal();
        set_size(&master, columns, rows);
        let out = Output::of(master.try_clone().unwrap());
        let (rows, columns) = size(columns, rows);
        let screen = Mutex::new((vt100::Parser::new(rows, columns, SCROLLBACK), 0));
        (Desk { master, out, screen }, slave)
    }

    pub(super) fn keys(&mut self, keys: impl AsRef<[u8]>) {
        self.master.write_all(keys.as_ref()).unwrap();
    }

    /// Waits until the screen is so.
    pub(super) fn wait(&self, what: &str, so: impl Fn(&vt100::Screen) -> bool) {
        self.out.wait_until(what, |bytes, _| {
            let (parser, taken) = &mut *self.screen.lock().unwrap();
            parser.process(&bytes[*taken..]);
            *taken = bytes.len();
            so(parser.screen()).then_some(())
        });
    }

    /// Waits until these are its last rows.
    pub(super) fn wait_for_rows(&self, rows: &[&str]) {
        self.wait(&format!("{rows:?}"), |screen| rows_of(screen).ends_with(&owned(rows)));
    }

    pub(super) fn is_raw(&self) -> bool {
        !tcgetattr(&self.master).unwrap().local_modes.contains(LocalModes::ICANON)
    }

    /// Every row that there ever was, oldest first.
    pub(super) fn all_rows(&self) -> Vec<String> {
        let (parser, _) = &mut *self.screen.lock().unwrap();
        let screen = parser.screen_mut();
        let mut rows = Vec::new();
        let mut above = screen.scrollback_len();
        while above > 0 {
            screen.set_scrollback(above);
            let take = above.min(usize::from(ROWS));
            rows.extend(screen.rows(0, COLUMNS).take(take));
            above -= take;
        }
        screen.set_scrollback(0);
        rows.extend(rows_of(screen));
        rows.iter().map(|row| row.trim_end().to_owned()).collect()
    }
}

pub(super) fn owned(rows: &[&str]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

pub(super) fn rows_of(screen: &vt100::Screen) -> Vec<String> {
    screen.contents().lines().map(|row| row.trim_end().to_owned()).collect()
}

/// proc_pid_stat(5): the letter of its state.
pub(super) fn state(pid: u32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap_or_default().to_owned()
}
