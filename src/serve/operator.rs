//! What the operator types: keys and lines to words, and what is shown of them. Which words there are
//! is in `chat::words`, what they do in `desk`.

use super::console::Console;
use super::server::Server;
use crate::chat::Said;
use crate::chat::words::{self, Parsed, Speaker};
use crate::count::Count;
use crate::handler::{Action, PeerId, Taken};
use crate::terminal::Typed;
use crate::terminal::seat::{Heard, Seat, take_keys};
use crate::wire::{self, Lines, Protocol};
use std::time::Instant;

impl Server {
    /// Whether the console's input is to be read: not behind its end, nor while its screen is full
    /// of what was typed.
    pub(super) fn takes_keys(&mut self) -> bool {
        self.seat().is_some_and(Seat::takes_keys)
    }

    pub(super) fn seat(&mut self) -> Option<&mut Seat> {
        self.console.as_mut().map(|console| &mut console.seat)
    }

    /// Keys of a terminal; lines that it edited itself, while it was another job's, read as keys too.
    pub(super) fn receive_keys(&mut self, peer: PeerId, bytes: &[u8], now: Instant) -> Taken {
        take_keys(self, bytes, Server::seat, |server, typed| {
            match typed {
                Typed::Line(line) if !server.hear_word(peer, line.as_bytes(), now) => {
                    return Heard::Later { hold: server.chat.holds(peer) };
                }
                Typed::Line(line) => {
                    if let Some(console) = &mut server.console {
                        console.show_typed(line);
                    }
                    server.show_status();
                }
                Typed::TooLong => server.tell_too_long(),
                // As the end of a pipe: the words end, not the server, nor what is shown.
                Typed::End => server.actions.push_back(Action::Terminal(false)),
            }
            Heard::Done
        })
    }

    /// What stood behind the last newline when the input ended. False where the room is full.
    pub(super) fn hear_rest(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        let Some(console) = &mut self.console else { return true };
        let line = console.seat.screen.unfinished().into_bytes();
        let rest = if line.is_empty() { console.refused.rest(rest) } else { &line };
        let heard = rest.is_empty() || self.hear_word(peer, rest, now) || !self.chat.holds(peer);
        if !heard && let Some(console) = &mut self.console {
            console.seat.screen.put_back(String::from_utf8_lossy(&line).into_owned());
        }
        heard
    }

    fn tell_too_long(&self) {
        log::warn!("stdin: line too long: at most {} bytes", self.chat.line_len_max());
    }

    /// Lines of a pipe or a file, or of a terminal that was never ours.
    pub(super) fn receive_words(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
        seen: usize,
        now: Instant,
    ) -> Taken {
        let len_max = self.chat.line_len_max();
        let Some(console) = &mut self.console else { return Taken { consumed: 0, hold: false } };
        let mut refused = console.refused;
        let mut lines = Lines::skipping(bytes, seen, len_max, &mut refused);
        let mut hold = false;
        while let Some(line) = lines.next() {
            match line {
                Ok(line) => {
                    if !self.hear_word(peer, line, now) {
                        lines.put_back();
                        hold = self.chat.holds(peer);
                        break;
                    }
                }
                Err(wire::TooLong) => self.tell_too_long(),
            }
        }
        let consumed = lines.consumed();
        if let Some(console) = &mut self.console {
            console.refused = refused;
        }
        Taken { consumed, hold }
    }

    /// One line of the operator. False where the room is full: it is to be heard again.
    fn hear_word(&mut self, peer: PeerId, line: &[u8], now: Instant) -> bool {
        let text = wire::text(line);
        // The tutorial's server ends on an empty message; a chat must not, by an accident.
        if text.is_empty() {
            if self.protocol == Protocol::Raw {
                self.stop("an empty message");
            }
            return true;
        }
        let said = match words::parse(&String::from_utf8_lossy(text), Speaker::Operator) {
            Parsed::Order(order) => {
                self.operate(peer, &order, now);
                return true;
            }
            Parsed::Wrong(hint) => {
                log::warn!("{hint}");
                return true;
            }
            Parsed::Said(_) if !self.console.as_ref().is_some_and(Console::talks) => {
                log::warn!("only commands are read here (--console commands)");
                return true;
            }
            Parsed::Said(_) => {
                // The bytes as they were typed, less the slash of a `//`.
                let text = text.strip_prefix(b"/").unwrap_or(text);
                match self.protocol {
                    Protocol::Lines => self.chat.say(peer, &[text, b"\n"].concat(), now),
                    Protocol::Chat | Protocol::Raw => self.chat.say(peer, text, now),
                }
            }
        };
        if said == Said::TooLong {
            self.tell_too_long();
        }
        said != Said::Hold
    }

    /// The row above what is typed: where we listen, who is there, where the operator is.
    pub(super) fn show_status(&mut self) {
        let Server { console: Some(console), listening, gate, chat, protocol, .. } = self else {
            return;
        };
        let mut parts: Vec<String> = listening.iter().map(ToString::to_string).collect();
        parts.push(Count(gate.connections(), "peer").to_string());
        if *protocol == Protocol::Chat && console.talks() {
            parts.extend(chat.room_of(console.peer));
        } else {
            parts.push(protocol.word().to_owned());
        }
        console.seat.screen.set_status(&parts.join("  "));
    }
}
