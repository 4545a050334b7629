//! What peers say: into their room's log once, or held back where the room is full.

use super::peer::ANSWERS_BYTES_MAX;
use super::rooms::RoomIndex;
use super::{Chat, Said};
use crate::handler::PeerId;
use crate::visible::visible_into;
use std::iter;
use std::time::Instant;

impl Chat {
    /// A message: a line's text in chat, a line with its ending in lines, what one recv brought in
    /// raw. Everybody else in the room is owed it.
    #[inline]
    pub fn say(&mut self, peer: PeerId, message: &[u8], now: Instant) -> Said {
        self.say_all(peer, iter::once(message), now)
    }

    /// Messages that came together. What is the same for all of them is looked up once. Where not
    /// all are taken in, the last that was asked of `messages` is the one that was not.
    #[inline]
    pub fn say_all<'m>(
        &mut self,
        peer: PeerId,
        messages: impl Iterator<Item = &'m [u8]>,
        now: Instant,
    ) -> Said {
        let Some(state) = self.get(peer).filter(|state| state.is_member()) else {
            messages.for_each(drop);
            return Said::Yes;
        };
        let room = state.room;
        if state.muted {
            return Said::of(messages.map(|_| self.say_muted(peer)));
        }
        self.say_in(room, peer, messages, now)
    }

    fn say_muted(&mut self, peer: PeerId) -> Said {
        if self.get(peer).is_some_and(|state| state.answers() >= ANSWERS_BYTES_MAX) {
            return Said::Hold;
        }
        self.tell(peer, format_args!("you are muted"));
        Said::Yes
    }

    /// Messages in a room of which the speaker need not be a member.
    #[inline]
    pub(super) fn say_in<'m>(
        &mut self,
        room: RoomIndex,
        peer: PeerId,
        messages: impl Iterator<Item = &'m [u8]>,
        now: Instant,
    ) -> Said {
        if !self.is_chat() {
            return self.take_in(room, peer, messages, now);
        }
        Said::of(messages.map(|message| self.say_by_name(room, peer, message, now)))
    }

    /// A message behind its speaker's name, fit for a terminal.
    fn say_by_name(&mut self, room: RoomIndex, peer: PeerId, message: &[u8], now: Instant) -> Said {
        let mut draft = std::mem::take(&mut self.draft);
        draft.clear();
        draft.push(b'<');
        self.push_name(&mut draft, peer);
        draft.extend_from_slice(b"> ");
        let prefix = draft.len();
        visible_into(message, &mut draft);
        let said = if draft.len() - prefix > self.rules.line_len_max {
            Said::TooLong
        } else {
            draft.push(b'\n');
            self.take_in(room, peer, iter::once(&draft[..]), now)
        };
        self.draft = draft;
        said
    }

    /// Messages as everybody else gets them.
    #[inline]
    fn take_in<'m>(
        &mut self,
        index: RoomIndex,
        peer: PeerId,
        messages: impl Iterator<Item = &'m [u8]>,
        now: Instant,
    ) -> Said {
        let operator = self.is_operator(peer);
        let Chat { rooms, peers, counts, .. } = self;
        let room = rooms.queue(index);
        let before = room.log.end();
        let said = room.say(peer.serial, messages, operator, now);
        let taken = room.log.end() - before;
        if taken > 0 {
            counts.said += taken;
            if let Some(Some(state)) = peers.get_mut(peer.slot as usize)
                && state.room == index
            {
                state.cursor.own_appended(&room.log, taken);
            }
            self.note_spoke(peer, taken);
        }
        self.rooms.note_said(index);
        if said { Said::Yes } else { Said::Hold }
    }

    /// True where this peer must not be read now; it is then resumed by an action.
    pub fn holds(&mut self, peer: PeerId) -> bool {
        let Chat { peers, rooms, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return false };
        let room = rooms.get_mut(state.room);
        // Who stands aside says nothing there, and is not to wait for who does.
        if room.is_full() && state.is_member() {
            room.hold(peer);
            return true;
        }
        let full = state.answers() >= ANSWERS_BYTES_MAX;
        if let Some(outbox) = &mut state.outbox {
            outbox.holds |= full;
        }
        full
    }
}
