//! The control socket: the operator's words from scripts, answered as the console's are. Each line is
//! an order, with or without its slash; its answer is the lines that the console would show, then a
//! bare `ok` or `refused`. docs/CONTROL.md has the grammar.
//!
//! A control peer is a desk of the chat: its answers stand in an outbox there and are sent by the
//! ordinary flush. It is in no room, and no peer to the gate. One order a turn and peer, and none
//! while its answers are not read: so a script can hold nobody up.

use super::desk::Done;
use super::server::Server;
use crate::chat::LAST_WORDS;
use crate::chat::words::{self, Parsed, Speaker};
use crate::handler::{Action, CloseReason, PeerId, Taken};
use crate::wire::{self, Lines, Refused};
use std::time::{Duration, Instant};

/// Control peers at once. Each is a script or a person of the one user that may connect.
pub const CONTROL_PEERS_MAX: usize = 8;

/// Those beyond, that are told so and closed in order; who comes when as many are, is closed at once.
pub(in crate::serve) const TURNED_AWAY_MAX: usize = 4;

/// The line that ends the answer to an order that was obeyed.
pub const OK: &str = "ok";

/// The line that ends the answer to one that was not.
pub const REFUSED: &str = "refused";

/// Who has said nothing for so long gives its place to one that comes when there is none: long enough
/// for a person who thinks, and no script waits so long.
const GIVES_WAY_AFTER: Duration = Duration::from_secs(60);

/// How long a control peer that ended its input has to take its answers.
const LEAVE_FLUSH: Duration = Duration::from_secs(5);

/// Who orders over the control socket.
#[derive(Debug, Default)]
pub(in crate::serve) struct Control {
    there: Vec<ControlPeer>,
}

#[derive(Debug)]
struct ControlPeer {
    peer: PeerId,
    /// A line that was too long, until its end.
    refused: Refused,
    /// It is one too many, or has given way: nothing that it says is of interest.
    turned_away: bool,
    /// When it said something last, or came.
    heard: Instant,
}

impl Control {
    /// How many may order; who is turned away takes nobody's place.
    pub(in crate::serve) fn count(&self) -> usize {
        self.there.iter().filter(|control| !control.turned_away).count()
    }

    /// True for one of them.
    pub(in crate::serve) fn has(&self, peer: PeerId) -> bool {
        self.there.iter().any(|control| control.peer == peer)
    }

    /// The connection is gone; says whether it was one of them.
    pub(in crate::serve) fn gone(&mut self, peer: PeerId) -> bool {
        let before = self.there.len();
        self.there.retain(|control| control.peer != peer);
        self.there.len() < before
    }

    /// Takes the place of the one that has been silent longest, if that was long enough.
    fn take_place(&mut self, now: Instant) -> Option<PeerId> {
        let there = self.there.iter_mut().filter(|control| !control.turned_away);
        let silent = there.min_by_key(|control| control.heard)?;
        if now.saturating_duration_since(silent.heard) < GIVES_WAY_AFTER {
            return None;
        }
        silent.turned_away = true;
        Some(silent.peer)
    }

    fn get_mut(&mut self, peer: PeerId) -> Option<&mut ControlPeer> {
        self.there.iter_mut().find(|control| control.peer == peer)
    }
}

impl Server {
    /// A connection to the control socket.
    pub(in crate::serve) fn open_control(&mut self, peer: PeerId, now: Instant) {
        let count = self.control.count();
        let full = count >= CONTROL_PEERS_MAX;
        let all_told = self.control.there.len() - count >= TURNED_AWAY_MAX;
        let gives_way = if full && !all_told { self.control.take_place(now) } else { None };
        let turned_away = full && gives_way.is_none();
        let control = ControlPeer { peer, refused: Refused::default(), turned_away, heard: now };
        self.control.there.push(control);
        if turned_away && all_told {
            self.actions.push_back(Action::Close(peer, CloseReason::Full));
            return;
        }
        self.chat.open_desk(peer);
        if let Some(silent) = gives_way {
            let seconds = GIVES_WAY_AFTER.as_secs();
            let words = format!("silent for {seconds} s, and another has come");
            self.turn_away(silent, CloseReason::Idle, &words);
        }
        if turned_away {
            let words = format!("there are {CONTROL_PEERS_MAX} control peers already");
            self.turn_away(peer, CloseReason::Full, &words);
        }
    }

    fn turn_away(&mut self, peer: PeerId, why: CloseReason, words: &str) {
        let done = self.refused(peer, words);
        self.end_answer(peer, done);
        self.actions.push_back(Action::Finish { peer, why, within: LAST_WORDS });
    }

    /// Bytes of a control peer: one order, then the others' turn.
    pub(in crate::serve) fn receive_orders(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
        seen: usize,
        now: Instant,
    ) -> Taken {
        if self.chat.holds(peer) {
            return Taken { consumed: 0, hold: true };
        }
        let len_max = self.chat.line_len_max();
        let Some(control) = self.control.get_mut(peer).filter(|control| !control.turned_away)
        else {
            return Taken { consumed: bytes.len(), hold: false };
        };
        control.heard = now;
        let mut lines = Lines::skipping(bytes, seen, len_max, &mut control.refused);
        let line =
            lines.find(|line| line.is_err() || line.is_ok_and(|line| !wire::text(line).is_empty()));
        let consumed = lines.consumed();
        match line {
            Some(Ok(line)) => self.hear_order(peer, wire::text(line), now),
            Some(Err(wire::TooLong)) => {
                let done = self.refused(peer, &format!("line too long: at most {len_max} bytes"));
                self.end_answer(peer, done);
            }
            None => return Taken { consumed, hold: false },
        }
        Taken { consumed, hold: true }
    }

    /// Its input has ended; what no newline ended is an order all the same. False where it is to be
    /// told again.
    pub(in crate::serve) fn end_orders(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        if self.chat.holds(peer) {
            return false;
        }
        let control = self.control.get_mut(peer).filter(|control| !control.turned_away);
        let rest = control.map_or(&[][..], |control| control.refused.rest(rest));
        if !wire::text(rest).is_empty() {
            self.hear_order(peer, wire::text(rest), now);
        }
        // Behind the loop's counters, where they were asked for.
        let (why, within) = (CloseReason::Left, LEAVE_FLUSH);
        self.actions.push_back(Action::Finish { peer, why, within });
        true
    }

    /// One order.
    fn hear_order(&mut self, peer: PeerId, line: &[u8], now: Instant) {
        let line = String::from_utf8_lossy(line);
        let line = if line.starts_with('/') { line } else { format!("/{line}").into() };
        let done = match words::parse(&line, Speaker::Operator) {
            Parsed::Order(order) => self.operate(peer, &order, now),
            Parsed::Wrong(hint) => self.refused(peer, &hint),
            Parsed::Said(_) => {
                self.refused(peer, "nothing is said here; /all TEXT says it in every room")
            }
        };
        self.end_answer(peer, done);
    }

    /// The end of an answer, where the desk is a control peer: it may order again.
    pub(in crate::serve) fn end_answer(&mut self, desk: PeerId, done: Done) {
        let word = match done {
            Done::Yes => OK,
            Done::No => REFUSED,
            Done::Later => return,
        };
        if self.control.has(desk) {
            self.chat.end_answer(desk, word);
            self.actions.push_back(Action::Resume(desk));
        }
    }
}

#[cfg(test)]
mod tests;
