//! Where somebody sits at a program: its terminal, the log's lines among what is shown there, and
//! keys that wait. The operator's console and the client are both this. What must not be here: what a
//! line means.

use super::{Kind, Options, SCREEN_BYTES, Terminal, Typed};
use crate::handler::{Screen, Slices, Taken};
use crate::log_queue::LogQueue;
use crate::visible::visible;
use std::time::Instant;

/// One console, with or without a terminal.
pub struct Seat {
    /// What is shown, and the line being typed.
    pub screen: Terminal,
    log: LogQueue,
    /// A moment that is past.
    opened: Option<Instant>,
    /// The log's lines are shown here.
    shows_log: bool,
    /// The loop knows that some wait, and has not asked for bytes since.
    log_offered: bool,
    /// Keys are left alone until the screen has taken what was typed.
    held: bool,
    /// Ctrl-D.
    ended: bool,
}

/// What a program made of what was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is done with.
    Done,
    /// It is to be given again: at once, or where it holds after the next
    /// [`Action::Resume`](crate::handler::Action::Resume).
    Later {
        /// As in [`Taken::hold`].
        hold: bool,
    },
}

impl Seat {
    /// A seat that is not taken yet. Lines of `log` are shown on it where they would tear what stands
    /// there.
    pub fn new(options: Options, log: &LogQueue) -> Self {
        Seat {
            screen: Terminal::new(options),
            log: log.clone(),
            opened: None,
            shows_log: false,
            log_offered: false,
            held: false,
            ended: false,
        }
    }

    /// The console is open.
    pub fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// What the loop tells of the terminal.
    pub fn on_screen(&mut self, screen: Screen) {
        match screen {
            Screen::Ours(window) => self.shows_log = window.log,
            Screen::Leaving => {}
            Screen::Lost => self.shows_log = false,
        }
        self.screen.screen(screen);
    }

    /// Whether keys may be taken; where not, [`Seat::sent`] tells when.
    pub fn takes_keys(&mut self) -> bool {
        self.held = self.screen.is_full();
        !self.held && !self.ended
    }

    /// Shows a line that was said to a chat under this name: `<name> text`. A command, and what is
    /// said under no name, is shown as it was typed; so is a line that begins with `/` in others' eyes
    /// and with `//` here. A terminal that is not ours has shown it already.
    pub fn show_said(&mut self, line: &str, name: Option<&str>) {
        if !self.screen.is_ours() || line.is_empty() {
            return;
        }
        let said = match (line.strip_prefix('/'), name) {
            (Some(said), Some(name)) if said.starts_with('/') => Some((name, said)),
            (None, Some(name)) => Some((name, line)),
            _ => None,
        };
        match said {
            Some((name, said)) => {
                self.screen.show_own(&format!("<{name}> {}\n", visible(said)), Kind::Chat);
            }
            None => self.screen.show_typed(line),
        }
    }

    /// True where there is something to write that the loop does not know of.
    pub fn wants_look(&mut self) -> bool {
        let logged = self.shows_at().is_some();
        self.log_offered |= logged;
        self.screen.take_news() || logged
    }

    /// When the log's lines are to be shown: a moment that is past, where some wait.
    pub fn shows_at(&self) -> Option<Instant> {
        self.opened.filter(|_| self.shows_log && !self.log_offered && !self.log.is_empty())
    }

    /// What is to be written; `fill` may show more before, where there is room for it.
    pub fn pending<'a>(&'a mut self, slices: &mut Slices<'a>, fill: impl FnOnce(&mut Terminal)) {
        self.log_offered = false;
        if self.screen.is_empty() {
            if self.shows_log {
                let mut lines = Vec::new();
                self.log.take_lines(&mut lines, SCREEN_BYTES);
                if !lines.is_empty() {
                    self.screen.show(&lines, Kind::Log);
                }
            }
            fill(&mut self.screen);
        }
        self.screen.pending(slices);
    }

    /// So many bytes are written. True where keys were left alone for want of room that is there now.
    pub fn sent(&mut self, n: usize) -> bool {
        self.screen.sent(n);
        self.held && !self.screen.is_full() && std::mem::take(&mut self.held)
    }
}

/// Takes keys that a program received: each thing that they end goes to `hear`, as far as it is taken.
/// A line that is not stands in the editor again, and its Enter is offered again with what follows.
/// Behind Ctrl-D no more is taken.
pub fn take_keys<P>(
    program: &mut P,
    bytes: &[u8],
    seat_of: impl Fn(&mut P) -> Option<&mut Seat>,
    mut hear: impl FnMut(&mut P, &Typed) -> Heard,
) -> Taken {
    let mut consumed = 0;
    while consumed < bytes.len() {
        let Some(seat) = seat_of(program) else { break };
        if !seat.takes_keys() {
            return Taken { consumed, hold: true };
        }
        let (used, typed) = seat.screen.keys(&bytes[consumed..]);
        consumed += used;
        let Some(typed) = typed else { continue };
        let heard = hear(program, &typed);
        let Some(seat) = seat_of(program) else { break };
        match (heard, typed) {
            (Heard::Done, Typed::End) => {
                seat.ended = true;
                seat.screen.hide();
                return Taken { consumed: bytes.len(), hold: true };
            }
            (Heard::Done, _) => {}
            (Heard::Later { hold }, typed) => {
                if let Typed::Line(line) = typed {
                    seat.screen.put_back(line);
                }
                return Taken { consumed: consumed - 1, hold };
            }
        }
    }
    Taken { consumed, hold: false }
}
