//! The operator's console: words in, what peers say out. One more reader of the room, which copies
//! whole messages into one bounded screen buffer and only when that is empty; so a terminal that is
//! stopped, or a pipe that nobody reads, costs one buffer and delays nobody. On a terminal the log's
//! lines go the same way. What is drawn there is `terminal`'s business.

use super::Options;
use crate::chat::Chat;
use crate::handler::{PeerId, Slices};
use crate::log_queue::LogQueue;
use crate::terminal::seat::Seat;
use crate::terminal::{self, Kind};
use crate::visible::visible_into;
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
    pub(super) seat: Seat,
    /// A line that was too long, until its end.
    pub(super) refused: Refused,
}

impl Console {
    pub(super) fn new(peer: PeerId, options: &Options, log: &LogQueue, now: Instant) -> Self {
        let screen = terminal::Options {
            prompt: "> ".to_owned(),
            line_len_max: options.rules.line_len_max,
            color: options.color,
            own: OPERATOR.to_owned(),
            stamp: None,
        };
        let mut seat = Seat::new(screen, log);
        seat.opened(now);
        Console {
            peer,
            mode: options.console,
            protocol: options.rules.protocol,
            terminal: options.stdout_is_terminal,
            seat,
            refused: Refused::default(),
        }
    }

    /// True where the operator hears and is heard.
    pub(super) fn talks(&self) -> bool {
        self.mode == ConsoleMode::Chat
    }

    /// Shows an own line, which the log of the room does not give to who said it.
    pub(super) fn show_typed(&mut self, line: &str) {
        let names = self.talks() && self.protocol == Protocol::Chat;
        self.seat.show_said(line, names.then_some(OPERATOR));
    }

    pub(super) fn pending<'a>(&'a mut self, chat: &mut Chat, slices: &mut Slices<'a>) {
        let Console { peer, terminal, protocol, seat, .. } = self;
        seat.pending(slices, |screen| {
            let missed = chat.read(*peer, |author, halves| {
                match (*protocol, *terminal, author) {
                    // The chat has made its text visible before it entered the log; so it did with
                    // its answers to the operator, which have no author.
                    (Protocol::Chat, ..) | (_, false, _) | (.., None) => {
                        screen.show(&halves.concat(), Kind::Chat);
                    }
                    (Protocol::Lines | Protocol::Raw, true, Some(author)) => {
                        let mut line = Vec::new();
                        let _ = write!(line, "#{author} ");
                        visible_into(wire::text(&halves.concat()), &mut line);
                        line.push(b'\n');
                        screen.show(&line, Kind::Text);
                    }
                }
                !screen.has_enough()
            });
            if missed > 0 {
                log::warn!("the console missed {missed} messages: stdout takes them too slowly");
            }
        });
    }
}
