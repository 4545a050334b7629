//! What each peer is owed, and what has been sent: the chat's side of the loop's flush.

use super::Chat;
use super::room::Slow;
use crate::handler::{Action, CloseReason, PeerId, Slices};
use std::time::Instant;

impl Chat {
    /// A peer that may be owed something, until none is left. A reader that fell off the log is
    /// not offered but closed here, where the policy says so.
    pub fn next_dirty(&mut self) -> Option<PeerId> {
        if let Some(peer) = self.answered.pop_front() {
            return Some(peer);
        }
        while let Some(index) = self.rooms.next_dirty() {
            let Chat { rooms, peers, actions, .. } = self;
            let at = |slot: u32| peers[slot as usize].as_ref().map_or(u64::MAX, |p| p.cursor.at());
            let room = rooms.get_mut(index);
            let Some(slot) = room.next_dirty(at, actions) else {
                rooms.swept();
                continue;
            };
            let first = room.log.first();
            let Some(state) = &peers[slot as usize] else { continue };
            let peer = PeerId { serial: state.serial, slot };
            if state.cursor.at() >= first || !self.close_if_lagged(peer) {
                return Some(peer);
            }
        }
        None
    }

    /// Where nothing may be skipped a reader sees a gapless prefix, then the end.
    fn close_if_lagged(&mut self, peer: PeerId) -> bool {
        if self.rules.slow == Slow::Skip || self.console == Some(peer) {
            return false;
        }
        let Some(state) = self.get(peer) else { return false };
        let log = &self.rooms.get(state.room).log;
        let lagged = state.cursor.at() < log.first() && !state.cursor.is_done(state.until(log));
        if lagged {
            self.close(peer, CloseReason::Lagged, format_args!("closed: reading too slowly"));
        }
        lagged
    }

    /// What a peer is owed: its outbox, then the log from its cursor. A peer that fell behind
    /// (skip) goes on at the oldest message, after one line that says how many it missed.
    pub fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        let Some(state) = self.get(peer) else { return };
        if state.cursor.at() < self.rooms.get(state.room).log.first() {
            self.skip(peer);
        }
        let Chat { peers, rooms, buffered, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return };
        let log = &rooms.get(state.room).log;
        let until = state.until(log);
        if let Some(outbox) = &mut state.outbox {
            if outbox.sent == outbox.bytes.len() && outbox.missed > 0 {
                let before = outbox.bytes.len();
                outbox.tell_missed();
                *buffered += outbox.bytes.len() - before;
            }
            slices.push(&outbox.bytes[outbox.sent..]);
            if outbox.missed > 0 {
                // The receipt comes behind what is in the outbox and before the log goes on.
                return;
            }
        }
        state.cursor.pending(log, peer.serial, until, slices);
    }

    /// The log has dropped what a peer was to read.
    fn skip(&mut self, peer: PeerId) {
        self.close_if_lagged(peer);
        let Chat { peers, rooms, counts, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return };
        if let Some(missed) = state.skip(&rooms.get(state.room).log)
            && missed > 0
        {
            counts.missed += u64::from(missed);
            state.outbox.get_or_insert_default().missed += u64::from(missed);
        }
    }

    /// The kernel took `n` bytes of what `pending` gave last.
    pub fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        let Some(state) = self.get(peer) else { return };
        let n = if state.outbox.is_some() { self.sent_of_outbox(peer, n) } else { n };
        let Chat { peers, rooms, buffered, counts, delivery, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize).filter(|_| n > 0) else { return };
        let index = state.room;
        let room = rooms.get_mut(index);
        let before = state.cursor;
        room.log.set_clock(now);
        let waited = room.log.age_us(before.at());
        let until = state.until(&room.log);
        if let Some(rest) = state.cursor.sent(&room.log, peer.serial, until, n as u64) {
            *buffered += state.keep_rest(&room.log, rest);
        }
        counts.delivered += state.cursor.passed_since(&before);
        match waited {
            _ if state.fresh => state.fresh = state.cursor.at() < room.log.end(),
            Some(waited) => delivery.add(waited),
            None => {}
        }
        if room.moved() {
            rooms.queue(index);
        }
    }

    /// Of `n` bytes that were sent the outbox's go first. Returns those of the log.
    fn sent_of_outbox(&mut self, peer: PeerId, n: usize) -> usize {
        let Chat { peers, buffered, actions, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return 0 };
        let Some(outbox) = &mut state.outbox else { return n };
        let own = n.min(outbox.bytes.len() - outbox.sent);
        outbox.sent += own;
        if outbox.sent < outbox.bytes.len() {
            *buffered -= outbox.trim();
            return 0;
        }
        *buffered -= outbox.bytes.len();
        outbox.empty();
        if std::mem::take(&mut outbox.holds) {
            actions.push_back(Action::Resume(peer));
        }
        if outbox.is_idle() {
            state.outbox = None;
        }
        n - own
    }

    /// For a reader that copies: what is meant for it alone, then whole messages (author, two
    /// halves) from its cursor on, each handed to `take` while that returns true. Returns how many
    /// messages it missed before them.
    pub fn read(
        &mut self,
        peer: PeerId,
        mut take: impl FnMut(Option<u64>, [&[u8]; 2]) -> bool,
    ) -> u32 {
        let Chat { peers, rooms, buffered, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return 0 };
        let index = state.room;
        if let Some(outbox) = state.outbox.as_mut().filter(|outbox| !outbox.bytes.is_empty()) {
            *buffered -= outbox.bytes.len();
            let more = take(None, [&outbox.bytes, &[]]);
            outbox.empty();
            if !more {
                return 0;
            }
        }
        let log = &rooms.get(index).log;
        let missed = state.skip(log);
        let until = state.until(log);
        while let Some(at) = state.cursor.pass(log, peer.serial, until) {
            if !take(Some(log.author(at)), log.bytes(log.offset(at)..log.offset(at + 1))) {
                break;
            }
        }
        if rooms.get_mut(index).moved() {
            rooms.queue(index);
        }
        missed.unwrap_or(0)
    }
}
