//! What is typed on a terminal: lines to the server, and the words that are the client's own. What is
//! typed into a pipe goes past here.

use super::{AHEAD_BYTES, Client};
use crate::connect::ignore::Ignore;
use crate::handler::{Action, PeerId, Taken};
use crate::terminal::Kind;
use crate::terminal::Typed;
use crate::terminal::seat::{Heard, take_keys};
use crate::wire::{LINE_LEN_MAX, Protocol};
use std::time::Instant;

/// The client's own words, told with the server's.
const HELP: &str = "/ignore [NAME]  hide what NAME says, or show it again; alone: who is hidden";

impl Client {
    /// Keys of a terminal; lines that it edited itself, while it was another job's, read as keys too.
    pub(super) fn receive_keys(&mut self, bytes: &[u8], now: Instant) -> Taken {
        take_keys(self, bytes, Client::seat, |client, typed| {
            let done = match typed {
                Typed::Line(line) => client.hear_line(line, now),
                Typed::TooLong => {
                    client.tell(&format!("a line has at most {LINE_LEN_MAX} bytes; not sent"));
                    true
                }
                Typed::End if client.link.peer().is_some() => {
                    client.actions.push_back(Action::Terminal(false));
                    client.input_over = true;
                    client.act_on_eof();
                    true
                }
                Typed::End => false,
            };
            if done { Heard::Done } else { Heard::Later { hold: client.hold_console() } }
        })
    }

    /// The terminal's end, by a hangup or in the hands of another job: what stands in the line is
    /// one. False where it is to be told again.
    pub(super) fn end_keys(&mut self, now: Instant) -> bool {
        let line = self.screen.seat.screen.unfinished();
        let heard = line.is_empty() || self.hear_line(&line, now);
        if !heard {
            self.screen.seat.screen.put_back(line);
        }
        let ends = heard && self.link.peer().is_some();
        if ends {
            self.input_over = true;
            self.act_on_eof();
        }
        ends || !self.hold_console()
    }

    /// A line that was entered. False where the link takes none now: nothing is lost, keys wait.
    fn hear_line(&mut self, line: &str, now: Instant) -> bool {
        if self.protocol == Protocol::Chat {
            if line.is_empty() {
                return true; // it says nothing
            }
            if let Some(name) = Ignore::arguments(line) {
                self.screen.seat.show_said(line, None);
                let told = self.ignore.obey(name);
                self.answer(&told);
                return true;
            }
        }
        if self.link.peer().is_none() || !self.turns.is_ours() || self.up.len() >= AHEAD_BYTES {
            return false;
        }
        let name = self.session.called().filter(|_| self.protocol == Protocol::Chat);
        self.screen.seat.show_said(line, name);
        match self.protocol {
            Protocol::Raw => self.say(line.as_bytes(), now),
            Protocol::Chat | Protocol::Lines => self.typed(format!("{line}\n").as_bytes(), now),
        }
        if self.protocol == Protocol::Chat && line.trim_end().eq_ignore_ascii_case("/help") {
            self.answer(HELP);
        }
        true
    }

    /// Shows the answer to an own word, however quiet the log is.
    fn answer(&mut self, line: &str) {
        self.screen.show_line(format!("- {line}").as_bytes(), Kind::Told);
    }

    pub(super) fn console_opened(&mut self, peer: PeerId, now: Instant) {
        self.console = Some(peer);
        self.screen.seat.opened(now);
        if self.screen.keys {
            self.actions.push_back(Action::Terminal(true));
        }
    }
}
