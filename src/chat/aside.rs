//! Who stands aside: peers that are told what is meant for them alone, and hear nothing of any room.
//! Those that wait outside, those that are refused, the console that only takes commands, and the
//! operator's other desks.

use super::Chat;
use super::peer::NOT_A_MEMBER;
use crate::handler::{CloseReason, PeerId};
use std::fmt::Arguments;

impl Chat {
    /// A peer does not come in: it is told why (chat) and closed.
    pub fn refuse(&mut self, peer: PeerId, why: CloseReason, last_words: Arguments<'_>) {
        self.keep_outside(peer);
        self.close(peer, why, last_words);
    }

    /// A peer waits outside: it is told what is meant for it alone and hears nothing of any room.
    pub fn keep_outside(&mut self, peer: PeerId) {
        self.admit(peer, 0);
        self.stand_aside(peer);
    }

    /// The console comes in, unannounced; into the lobby only where it `talks`.
    pub fn join_console(&mut self, peer: PeerId, talks: bool) {
        self.console = Some(peer);
        self.admit(peer, 0);
        if !talks {
            self.stand_aside(peer);
        }
    }

    /// One more desk of the operator's: it orders and is answered as the console is, in every
    /// protocol, and is in no room.
    pub fn open_desk(&mut self, peer: PeerId) {
        self.desks.push(peer);
        self.keep_outside(peer);
    }

    /// The line that ends an answer to a desk: bare, as no other line to it is.
    pub fn end_answer(&mut self, desk: PeerId, word: &str) {
        self.answer(desk, format_args!("{word}"));
    }

    /// True for the console and for desks: who speaks there is the operator.
    pub fn is_operator(&self, peer: PeerId) -> bool {
        self.console == Some(peer) || self.desks.contains(&peer)
    }

    /// Is owed nothing of any log, only answers.
    fn stand_aside(&mut self, peer: PeerId) {
        let Some(state) = self.get_mut(peer) else { return };
        state.outbox.get_or_insert_default().until = Some((0, 0));
        let (room, place) = (state.room, std::mem::replace(&mut state.place, NOT_A_MEMBER));
        self.unseat(room, place);
    }
}
