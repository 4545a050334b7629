//! The console's terminal: when it is taken, given back, and tried again. What is drawn on it is the
//! handler's business, how its modes change is the system's.

use super::conn::Phase;
use super::{CONSOLE_RETRY_MS, Reactor};
use crate::handler::{Handler, Screen, Window};
use crate::os::{Os, Raise};
use std::io::ErrorKind;
use std::time::Duration;

/// What the loop knows of the terminal.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    /// The handler wants it whenever it is ours.
    wanted: bool,
    /// It is ours, and this big.
    window: Option<Window>,
    /// To be given back when all is sent, before this signal's default action is taken.
    raise: Option<Raise>,
}

impl<O: Os> Reactor<O> {
    /// The handler asks for it, or has done with it.
    pub(super) fn want_terminal<H: Handler>(&mut self, wanted: bool, handler: &mut H) {
        self.terminal.wanted = wanted;
        if wanted {
            self.take_terminal(handler);
        } else if self.terminal.window.take().is_some() {
            self.os.return_terminal();
            handler.screen(Screen::Lost);
        }
    }

    /// Takes it if it is ours, and tells how big it is; else tries again later. Called whenever
    /// that may have changed.
    pub(super) fn take_terminal<H: Handler>(&mut self, handler: &mut H) {
        let Some(peer) = self.console.filter(|_| self.terminal.wanted) else { return };
        let conn = self.conns.get_mut(peer.slot as usize);
        let Some(conn) = conn.filter(|conn| conn.serial == peer.serial) else { return };
        if !matches!(conn.phase(), Phase::Open) {
            return;
        }
        match self.os.take_terminal(&mut conn.stream) {
            Ok(window) => {
                self.terminal.window = Some(window);
                handler.screen(Screen::Ours(window));
            }
            Err(error) => {
                let busy = error.kind() == ErrorKind::ResourceBusy;
                self.terminal.wanted = busy;
                if busy {
                    let retry = self.look() + Duration::from_millis(CONSOLE_RETRY_MS);
                    self.console_retry = Some(retry);
                }
                if self.terminal.window.take().is_some() {
                    handler.screen(Screen::Lost);
                }
            }
        }
    }

    /// A stop or a death by signal: first what stands on the screen goes. What was typed before it is
    /// still read, or the shell would take it for its own.
    pub(super) fn leave_terminal<H: Handler>(&mut self, raise: Raise, handler: &mut H) {
        self.terminal.raise = Some(raise);
        self.try_read_console();
        if self.terminal.window.is_some() {
            handler.screen(Screen::Leaving);
        }
    }

    /// Takes the signal's default action once the flush has sent what it could; a screen that takes
    /// nothing holds nothing up. What comes after a stop begins with SIGCONT.
    pub(super) fn raise(&mut self) {
        if !self.flush_unfinished
            && let Some(raise) = self.terminal.raise.take()
        {
            self.os.return_terminal();
            self.os.raise(raise);
        }
    }

    /// The console is closed: the system has given the terminal back.
    pub(super) fn forget_terminal(&mut self) {
        self.terminal = Terminal { raise: self.terminal.raise, ..Terminal::default() };
    }

    /// The handler shows the log's lines.
    pub(super) fn log_is_shown(&self) -> bool {
        self.terminal.window.is_some_and(|window| window.log)
    }
}
