//! The operator's console: words in, what peers say out. One more reader of the room, which copies
//! whole messages into one bounded screen buffer and only when that is empty; so a terminal that is
//! stopped, or a pipe that nobody reads, costs one buffer and delays nobody.

use crate::chat::Chat;
use crate::handler::{PeerId, Slices};
use crate::visible::visible_into;
use crate::wire::{self, Protocol, Refused};
use std::io::Write as _;

/// The screen buffer is filled until it holds so much. A pipe takes 64 KiB at once.
const SCREEN_BYTES: usize = 64 * 1024;

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
    screen: Vec<u8>,
    sent: usize,
    /// A line that was too long, until its end.
    pub(super) refused: Refused,
}

impl Console {
    pub(super) fn new(peer: PeerId, mode: ConsoleMode, protocol: Protocol, terminal: bool) -> Self {
        let screen = Vec::new();
        let refused = Refused::default();
        Console { peer, mode, protocol, terminal, screen, sent: 0, refused }
    }

    /// True where the operator hears and is heard.
    pub(super) fn talks(&self) -> bool {
        self.mode == ConsoleMode::Chat
    }

    pub(super) fn pending<'a>(&'a mut self, chat: &mut Chat, slices: &mut Slices<'a>) {
        if self.sent == self.screen.len() {
            self.fill(chat);
        }
        slices.push(&self.screen[self.sent..]);
    }

    pub(super) fn sent(&mut self, n: usize) {
        self.sent += n;
        if self.sent == self.screen.len() {
            self.screen = Vec::new();
            self.sent = 0;
        }
    }

    fn fill(&mut self, chat: &mut Chat) {
        let Console { screen, terminal, protocol, .. } = self;
        let missed = chat.read(self.peer, |author, halves| {
            match (*protocol, *terminal, author) {
                // The chat has made its text visible before it entered the log; so it did with
                // its answers to the operator, which have no author.
                (Protocol::Chat, ..) | (_, false, _) | (.., None) => screen.extend(halves.concat()),
                (Protocol::Lines | Protocol::Raw, true, Some(author)) => {
                    let _ = write!(screen, "#{author} ");
                    visible_into(wire::text(&halves.concat()), screen);
                    screen.push(b'\n');
                }
            }
            screen.len() < SCREEN_BYTES
        });
        if missed > 0 {
            log::warn!("the console missed {missed} messages: stdout takes them too slowly");
        }
    }
}
