//! The operator's console: words in, what peers say out. One more reader of the room, which copies
//! whole messages into one bounded screen buffer and only when that is empty; so a terminal that is
//! stopped, or a pipe that nobody reads, costs one buffer and delays nobody. On a terminal the log's
//! lines go the same way. What is drawn there is `terminal`'s business.

use super::Options;
use crate::chat::Chat;
use crate::handler::{PeerId, Screen, Slices};
use crate::log_queue::LogQueue;
use crate::terminal::{self, SCREEN_BYTES, Terminal};
use crate::visible::{visible, visible_into};
use crate::wire::{self, Protocol, Refused};
use std::io::Write as _;
use std::time::Instant;

/// The operator's name, as peers see it.
const OPERATOR: &str = "operator";

/// What stdin and stdout are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleMode {
    /// Left alone.
    Off,
    /// Commands are read, their answers are shown.
    Commands,
    /// The operator talks and hears.
    Chat,
}

/// The console of a server.
pub(super) struct Console {
    pub(super) peer: PeerId,
    mode: ConsoleMode,
    protocol: Protocol,
    /// stdout is a terminal: bytes are made visible before they reach it.
    terminal: bool,
    pub(super) screen: Terminal,
    /// A moment that is past.
    opened: Instant,
    /// The log's lines are shown here.
    shows_log: bool,
    /// The loop knows that some wait, and has not asked for bytes since.
    log_offered: bool,
    /// Keys are left alone until the screen has taken what was typed.
    held: bool,
    /// Ctrl-D.
    ended: bool,
    /// A line that was too long, until its end.
    pub(super) refused: Refused,
}

impl Console {
    pub(super) fn new(peer: PeerId, options: &Options, now: Instant) -> Self {
        let screen = Terminal::new(terminal::Options {
            prompt: "> ".to_owned(),
            line_len_max: options.rules.line_len_max,
            color: options.color,
            own: OPERATOR.to_owned(),
        });
        Console {
            peer,
            mode: options.console,
            protocol: options.rules.protocol,
            terminal: options.stdout_is_terminal,
            screen,
            opened: now,
            shows_log: false,
            log_offered: false,
            held: false,
            ended: false,
            refused: Refused::default(),
        }
    }

    /// True where the operator hears and is heard.
    pub(super) fn talks(&self) -> bool {
        self.mode == ConsoleMode::Chat
    }

    /// What the loop tells of the terminal.
    pub(super) fn on_screen(&mut self, screen: Screen) {
        match screen {
            Screen::Ours(window) => self.shows_log = window.log,
            Screen::Leaving => {}
            Screen::Lost => self.shows_log = false,
        }
        self.screen.screen(screen);
    }

    /// Whether keys may be taken; where not, `sent` tells when.
    pub(super) fn takes_keys(&mut self) -> bool {
        self.held = self.screen.is_full();
        !self.held && !self.ended
    }

    /// No more keys; what is said is still shown.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.screen.hide();
    }

    /// Shows an own line, which the log of the room does not give to who said it. A terminal that is
    /// not ours has shown it already.
    pub(super) fn show_typed(&mut self, line: &str) {
        if !self.screen.is_ours() || line.is_empty() {
            return;
        }
        match line.strip_prefix('/') {
            Some(said) if !said.starts_with('/') => self.screen.show_typed(line),
            _ if !self.talks() || self.protocol != Protocol::Chat => self.screen.show_typed(line),
            said => {
                let said = visible(said.unwrap_or(line));
                self.screen.show_own(&format!("<{OPERATOR}> {said}\n"));
            }
        }
    }

    /// True where there is something to write that the loop does not know of.
    pub(super) fn wants_look(&mut self, log: &LogQueue) -> bool {
        let logged = self.shows_at(log).is_some();
        self.log_offered |= logged;
        self.screen.take_news() || logged
    }

    /// When the log's lines are to be shown: a moment that is past, where some wait.
    pub(super) fn shows_at(&self, log: &LogQueue) -> Option<Instant> {
        (self.shows_log && !self.log_offered && !log.is_empty()).then_some(self.opened)
    }

    pub(super) fn pending<'a>(
        &'a mut self,
        chat: &mut Chat,
        log: &LogQueue,
        slices: &mut Slices<'a>,
    ) {
        self.log_offered = false;
        if self.screen.is_empty() {
            self.fill(chat, log);
        }
        self.screen.pending(slices);
    }

    /// So many bytes are written. True where keys were left alone for want of room that is there now.
    pub(super) fn sent(&mut self, n: usize) -> bool {
        self.screen.sent(n);
        self.held && !self.screen.is_full() && std::mem::take(&mut self.held)
    }

    fn fill(&mut self, chat: &mut Chat, log: &LogQueue) {
        let Console { screen, terminal, protocol, .. } = self;
        if self.shows_log {
            let mut lines = Vec::new();
            log.take_lines(&mut lines, SCREEN_BYTES);
            if !lines.is_empty() {
                screen.show(&lines);
            }
        }
        let missed = chat.read(self.peer, |author, halves| {
            match (*protocol, *terminal, author) {
                // The chat has made its text visible before it entered the log; so it did with
                // its answers to the operator, which have no author.
                (Protocol::Chat, ..) | (_, false, _) | (.., None) => screen.show(&halves.concat()),
                (Protocol::Lines | Protocol::Raw, true, Some(author)) => {
                    let mut line = Vec::new();
                    let _ = write!(line, "#{author} ");
                    visible_into(wire::text(&halves.concat()), &mut line);
                    line.push(b'\n');
                    screen.show(&line);
                }
            }
            !screen.has_enough()
        });
        if missed > 0 {
            log::warn!("the console missed {missed} messages: stdout takes them too slowly");
        }
    }
}
