//! The chat: who is there, who said what, and who is owed which bytes. Pure: it knows no socket
//! and no clock, and hands out [`Action`]s instead of acting.
//!
//! What peers say goes into the room's [`log::BroadcastLog`] once; each peer has a
//! [`cursor::Cursor`] in it. What is meant for one peer alone (greetings, answers, receipts, the
//! rest of a message that a short write cut) stands in that peer's small private outbox, which is
//! sent first. The same core relays for `--protocol lines` and `raw`, which have no names and no
//! notices: nothing may be put into a stream there.

pub mod cursor;
pub mod log;
mod room;

use crate::handler::{Action, CloseReason, PeerId, Slices};
use crate::visible::visible_into;
use crate::wire::Protocol;
use cursor::Cursor;
use room::Room;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

/// Size of a room's log in bytes, entries included. 1 MiB holds some ten thousand lines of a
/// talk, which gives a slow reader time, once for all peers together.
pub const LOG_BYTES: usize = 1024 * 1024;

/// Up to so many members a room tells joins and leaves. A crowd of N that arrives would cost the
/// square of N; from here on the count would be all that anybody reads anyway.
pub const NOTICE_PEERS_MAX: usize = 128;

/// How long a peer that is closed by our decision has to take the last words.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// Longest prefix that a message gets: `<guest` and a 64-bit number, `> `, and the line's end.
const PREFIX_LEN_MAX: usize = 32;

/// The longest line, in bytes of text, that a log of `log_bytes` has room for: a room takes in at
/// most a quarter of its log a sweep, so that is what one message may be.
pub const fn line_len_limit(log_bytes: usize) -> usize {
    Room::message_len_max(log_bytes).saturating_sub(PREFIX_LEN_MAX)
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is in the log.
    Yes,
    /// The room is full until its sweep ends: say it again after `Action::Resume`.
    Hold,
    /// With its control bytes made visible it is longer than a line may be.
    TooLong,
}

/// All peers of a server and what they say to each other.
pub struct Chat {
    protocol: Protocol,
    line_len_max: usize,
    /// By slot.
    peers: Vec<Option<Peer>>,
    lobby: Room,
    /// Reads whole messages, is never closed, is told what it missed by its owner.
    console: Option<PeerId>,
    /// Peers whose outbox was filled since they were offered last.
    answered: VecDeque<PeerId>,
    /// Talkers to read again.
    released: Vec<PeerId>,
    actions: VecDeque<Action>,
    /// A message while it is put together.
    draft: Vec<u8>,
    notices_lost: u64,
}

/// One peer.
struct Peer {
    serial: u64,
    cursor: Cursor,
    outbox: Option<Box<Outbox>>,
    /// Its place among the room's members; `NOT_A_MEMBER` once it has left.
    place: u32,
}

const NOT_A_MEMBER: u32 = u32::MAX;

/// What is meant for one peer alone, and what is rare. Given back when it is empty.
#[derive(Default)]
struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
    /// Messages missed and not told yet.
    missed: u64,
    /// For who has left: where the log ends for it, and how much was said before that.
    until: Option<(u64, u32)>,
}

impl Chat {
    /// An empty room. `line_len_max`: bytes of a line's text, at most [`line_len_limit`].
    pub fn new(protocol: Protocol, line_len_max: usize, log_bytes: usize) -> Self {
        assert!(line_len_max <= line_len_limit(log_bytes), "the log has room for a message");
        Chat {
            protocol,
            line_len_max,
            peers: Vec::new(),
            lobby: Room::new(log_bytes),
            console: None,
            answered: VecDeque::new(),
            released: Vec::new(),
            actions: VecDeque::new(),
            draft: Vec::new(),
            notices_lost: 0,
        }
    }

    /// A peer comes in: it is greeted, the others are told (chat), and it hears what is said from
    /// now on.
    pub fn join(&mut self, peer: PeerId) {
        self.notice_of(peer, "joined");
        self.admit(peer);
        if self.protocol == Protocol::Chat {
            self.tell(peer, format_args!("you are guest{}", peer.serial));
        }
    }

    /// The console comes in, unannounced.
    pub fn join_console(&mut self, peer: PeerId) {
        self.console = Some(peer);
        self.admit(peer);
    }

    fn admit(&mut self, peer: PeerId) {
        let slot = peer.slot as usize;
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        debug_assert!(self.peers[slot].is_none(), "the slot's last tenant was closed");
        let cursor = Cursor::at_end(&self.lobby.log);
        let place = self.lobby.join(peer.slot);
        self.peers[slot] = Some(Peer { serial: peer.serial, cursor, outbox: None, place });
    }

    /// A message: a line without its ending in chat, with it in lines, what one recv brought in
    /// raw. Everybody else is owed it.
    pub fn say(&mut self, peer: PeerId, message: &[u8]) -> Said {
        if self.get(peer).is_none_or(|state| state.place == NOT_A_MEMBER) {
            return Said::Yes;
        }
        self.draft.clear();
        if self.protocol == Protocol::Chat {
            if self.console == Some(peer) {
                self.draft.extend_from_slice(b"<operator> ");
            } else {
                let _ = write!(Text(&mut self.draft), "<guest{}> ", peer.serial);
            }
            let prefix = self.draft.len();
            visible_into(message, &mut self.draft);
            if self.draft.len() - prefix > self.line_len_max {
                return Said::TooLong;
            }
            self.draft.push(b'\n');
        } else {
            self.draft.extend_from_slice(message);
        }
        if !self.lobby.say(peer.serial, &[&self.draft]) {
            return Said::Hold;
        }
        let log = &self.lobby.log;
        if let Some(Some(state)) = self.peers.get_mut(peer.slot as usize) {
            state.cursor.own_appended(log);
        }
        Said::Yes
    }

    /// True where this peer must not be read now; it is then resumed by an action.
    pub fn holds(&mut self, peer: PeerId) -> bool {
        let full = self.lobby.is_full();
        if full {
            self.lobby.hold(peer);
        }
        full
    }

    /// A notice to one peer alone; chat only.
    pub fn tell(&mut self, peer: PeerId, notice: std::fmt::Arguments<'_>) {
        if self.protocol != Protocol::Chat {
            return;
        }
        if let Some(state) = self.get_mut(peer) {
            let outbox = state.outbox.get_or_insert_default();
            let _ = writeln!(Text(&mut outbox.bytes), "* {notice}");
            self.answered.push_back(peer);
        }
    }

    /// A notice to everybody; chat only.
    pub fn tell_all(&mut self, notice: &str) {
        if self.protocol == Protocol::Chat {
            self.draft.clear();
            let _ = writeln!(Text(&mut self.draft), "* {notice}");
            self.notices_lost += u64::from(!self.lobby.notice(&self.draft));
        }
    }

    /// A peer goes: it is owed what was said until now and hears nothing more; the others are told.
    pub fn leave(&mut self, peer: PeerId) {
        let end = self.lobby.log.end();
        self.take_out(peer, (end, self.lobby.log.said_before(end)));
    }

    /// A peer is thrown out: of the log it is owed nothing more, only what its outbox holds.
    pub fn throw_out(&mut self, peer: PeerId) {
        self.take_out(peer, (0, 0));
    }

    fn take_out(&mut self, peer: PeerId, until: (u64, u32)) {
        let Some(state) = self.get_mut(peer) else { return };
        let outbox = state.outbox.get_or_insert_default();
        outbox.until = Some(outbox.until.map_or(until, |before| before.min(until)));
        let place = std::mem::replace(&mut state.place, NOT_A_MEMBER);
        if place == NOT_A_MEMBER {
            return;
        }
        for (slot, place) in self.lobby.leave(place) {
            if let Some(Some(moved)) = self.peers.get_mut(slot as usize) {
                moved.place = place;
            }
        }
        if self.console != Some(peer) {
            self.notice_of(peer, "left");
        }
    }

    /// The connection is gone.
    pub fn gone(&mut self, peer: PeerId) {
        if self.get(peer).is_some() {
            self.leave(peer);
            self.peers[peer.slot as usize] = None;
        }
        if self.console == Some(peer) {
            self.console = None;
        }
    }

    fn notice_of(&mut self, peer: PeerId, what: &str) {
        if self.lobby.members.len() <= NOTICE_PEERS_MAX {
            self.tell_all(&format!("guest{} {what}", peer.serial));
        }
    }

    /// A peer that may be owed something, until none is left. A reader in `lines` or `raw` that
    /// fell off the log is not offered but closed here.
    pub fn next_dirty(&mut self) -> Option<PeerId> {
        if let Some(peer) = self.answered.pop_front() {
            return Some(peer);
        }
        loop {
            let Chat { lobby, peers, released, actions, .. } = self;
            let owed = |slot: u32, log: &log::BroadcastLog| {
                let state = peers[slot as usize].as_ref();
                state.is_some_and(|state| !state.cursor.is_done(log.end()))
            };
            let slot = lobby.next_dirty(owed, released);
            actions.extend(released.drain(..).map(Action::Resume));
            let slot = slot?;
            let serial = self.peers[slot as usize].as_ref().map_or(0, |state| state.serial);
            let peer = PeerId { serial, slot };
            if !self.close_if_lagged(peer) {
                return Some(peer);
            }
        }
    }

    /// In `lines` and `raw` a reader sees a gapless prefix, then the end.
    fn close_if_lagged(&mut self, peer: PeerId) -> bool {
        let first = self.lobby.log.first();
        let lagged = self.protocol != Protocol::Chat
            && self.console != Some(peer)
            && self.get(peer).is_some_and(|state| {
                let until = state.until(&self.lobby.log).0;
                state.cursor.at() < first && !state.cursor.is_done(until)
            });
        if lagged {
            self.throw_out(peer);
            let why = CloseReason::Lagged;
            self.actions.push_back(Action::Finish { peer, why, within: LAST_WORDS });
        }
        lagged
    }

    /// The next wish.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What a peer is owed: its outbox, then the log from its cursor. A peer that fell behind
    /// (chat) goes on at the oldest message, after one line that says how many it missed.
    pub fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        self.close_if_lagged(peer);
        let Chat { peers, lobby, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return };
        if state.serial != peer.serial {
            return;
        }
        let (until, until_said) = state.until(&lobby.log);
        if let Some(missed) = state.cursor.skip(&lobby.log, peer.serial, until, until_said)
            && missed > 0
        {
            state.outbox.get_or_insert_default().missed += u64::from(missed);
        }
        if let Some(outbox) = &mut state.outbox {
            if outbox.sent == outbox.bytes.len() && outbox.missed > 0 {
                outbox.tell_missed();
            }
            slices.push(&outbox.bytes[outbox.sent..]);
            if outbox.missed > 0 {
                // The receipt comes behind what is in the outbox and before the log goes on.
                return;
            }
        }
        state.cursor.pending(&lobby.log, peer.serial, until, slices);
    }

    /// The kernel took `n` bytes of what `pending` gave last.
    pub fn sent(&mut self, peer: PeerId, n: usize) {
        let Chat { peers, lobby, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return };
        let (until, _) = state.until(&lobby.log);
        let mut n = n;
        if let Some(outbox) = &mut state.outbox {
            let own = n.min(outbox.bytes.len() - outbox.sent);
            outbox.sent += own;
            n -= own;
            if outbox.sent < outbox.bytes.len() {
                return;
            }
            outbox.bytes.clear();
            outbox.sent = 0;
            if outbox.missed == 0 && outbox.until.is_none() {
                state.outbox = None;
            }
        }
        if n == 0 {
            return;
        }
        if let Some(rest) = state.cursor.sent(&lobby.log, peer.serial, until, n as u64) {
            let outbox = state.outbox.get_or_insert_default();
            lobby.log.bytes(rest).iter().for_each(|half| outbox.bytes.extend_from_slice(half));
        }
    }

    /// For a reader that copies: hands whole messages (author, two halves) to `take` from the
    /// peer's cursor on, while it returns true. Returns how many messages it missed before them.
    pub fn read(&mut self, peer: PeerId, mut take: impl FnMut(u64, [&[u8]; 2]) -> bool) -> u32 {
        let Chat { peers, lobby, .. } = self;
        let Some(Some(state)) = peers.get_mut(peer.slot as usize) else { return 0 };
        let (until, until_said) = state.until(&lobby.log);
        let log = &lobby.log;
        let missed = state.cursor.skip(log, peer.serial, until, until_said);
        while let Some(at) = state.cursor.pass(log, peer.serial, until) {
            if !take(log.author(at), log.bytes(log.offset(at)..log.offset(at + 1))) {
                break;
            }
        }
        missed.unwrap_or(0)
    }

    /// Bytes of the room's log with its entries.
    #[cfg(test)]
    pub(crate) fn log_size(&self) -> usize {
        self.lobby.log.size()
    }

    fn get(&self, peer: PeerId) -> Option<&Peer> {
        let state = self.peers.get(peer.slot as usize)?.as_ref();
        state.filter(|state| state.serial == peer.serial)
    }

    fn get_mut(&mut self, peer: PeerId) -> Option<&mut Peer> {
        let state = self.peers.get_mut(peer.slot as usize)?.as_mut();
        state.filter(|state| state.serial == peer.serial)
    }
}

impl Peer {
    /// Where the log ends for this peer, and how much was said before that.
    fn until(&self, log: &log::BroadcastLog) -> (u64, u32) {
        let left = self.outbox.as_ref().and_then(|outbox| outbox.until);
        left.unwrap_or_else(|| (log.end(), log.said_before(log.end())))
    }
}

impl Outbox {
    fn tell_missed(&mut self) {
        self.bytes.clear();
        self.sent = 0;
        let missed = std::mem::take(&mut self.missed);
        let messages = if missed == 1 { "message" } else { "messages" };
        let _ =
            writeln!(Text(&mut self.bytes), "* you missed {missed} {messages}: reading too slowly");
    }
}

/// Formats straight into bytes; cannot fail.
struct Text<'a>(&'a mut Vec<u8>);

impl std::fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
