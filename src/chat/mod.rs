//! The chat: who is there, in which room, who said what, and who is owed which bytes. Pure: it
//! knows no socket and no clock, and hands out [`Action`]s instead of acting.
//!
//! What peers say goes into their room's [`log::BroadcastLog`] once; each peer has a
//! [`cursor::Cursor`] in it. What is meant for one peer alone (greetings, answers, receipts, the
//! rest of a message that a short write cut) stands in that peer's small private outbox, which is
//! sent first. The same core relays for `--protocol lines` and `raw`, which have one room, no names
//! and no notices: nothing may be put into a stream there.
//!
//! Who is where is in this file, who stands aside in `aside`, what is said in `saying`, what is owed
//! in `delivery`, what peers ask for in `talk`, what the operator does in `office`.

mod aside;
pub mod cursor;
mod delivery;
pub mod log;
pub mod names;
mod office;
mod peer;
mod register;
mod ring;
mod room;
mod rooms;
mod saying;
mod talk;
pub mod words;

pub use peer::ANSWERS_BYTES_MAX;
pub use room::Slow;

use crate::count::Count;
use crate::handler::{Action, CloseReason, PeerId};
use crate::histogram::Histogram;
use crate::wire::Protocol;
use peer::{NOT_A_MEMBER, Peer};
use register::Register;
use room::Room;
use rooms::{LOBBY, RoomIndex, Rooms};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Arguments;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Size of a room's log in bytes, entries included. 1 MiB holds some ten thousand lines of a
/// talk, which gives a slow reader time, once for all peers together.
pub const LOG_BYTES: usize = 1024 * 1024;

/// Up to so many members a room tells joins, leaves and renames. A crowd of N that arrives would
/// cost the square of N; from here on the count would be all that anybody reads anyway.
pub const NOTICE_PEERS_MAX: usize = 128;

/// Peers that there is room for at first: a table of pages that are not used yet, for the same
/// reason as the loop's.
const PEERS_AT_FIRST: usize = 8 * 1024;

/// How long a peer that is closed by our decision has to take the last words.
pub const LAST_WORDS: Duration = Duration::from_secs(2);

/// Longest prefix that a message gets: `<`, a name of 32 letters of at most 4 bytes, `> `, and the
/// line's end.
const PREFIX_LEN_MAX: usize = 132;

/// The longest line, in bytes of text, that a log of `log_bytes` has room for: a room takes in at
/// most a quarter of its log a sweep, so that is what one message may be.
pub const fn line_len_limit(log_bytes: usize) -> usize {
    Room::message_len_max(log_bytes).saturating_sub(PREFIX_LEN_MAX)
}

/// What holds for a whole server.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What a message is.
    pub protocol: Protocol,
    /// Bytes of a line's text, at most [`line_len_limit`] of `log_bytes`.
    pub line_len_max: usize,
    /// Bytes of each room's log, entries included.
    pub log_bytes: usize,
    /// Rooms at once, the lobby included; at least 1.
    pub rooms_max: u16,
    /// Messages that a newcomer to a room gets (chat only); 0 for none.
    pub history: usize,
    /// What is done for a slow reader; not [`Slow::Skip`] in `lines` and `raw`.
    pub slow: Slow,
    /// With [`Slow::Pause`] the time in which a reader that holds others up must take 4 KiB.
    pub stall_timeout: Duration,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It was taken in.
    Yes,
    /// It could not be taken in now: say it again after `Action::Resume`.
    Hold,
    /// With its control bytes made visible it is longer than a line may be.
    TooLong,
}

impl Said {
    /// Of one message after the other until one is not taken in: what became of that one.
    pub fn of(mut messages: impl Iterator<Item = Said>) -> Said {
        messages.find(|&said| said != Said::Yes).unwrap_or(Said::Yes)
    }
}

/// All peers of a server and what they say to each other.
pub struct Chat {
    rules: Rules,
    /// By slot.
    peers: Vec<Option<Peer>>,
    rooms: Rooms,
    names: Register,
    /// Reads whole messages, is never closed, is told what it missed by its owner.
    console: Option<PeerId>,
    /// Other peers through which the operator speaks; they stand aside.
    desks: Vec<PeerId>,
    /// Peers whose outbox was filled since they were offered last.
    answered: VecDeque<PeerId>,
    actions: VecDeque<Action>,
    /// A message while it is put together.
    draft: Vec<u8>,
    /// Bytes in all outboxes.
    buffered: usize,
    /// What was counted since the start.
    pub counts: Counts,
    /// How long the oldest message of each send had waited since it was said.
    pub delivery: Histogram,
    /// How much each peer said since `/top` was asked last.
    spoke: BTreeMap<PeerId, u64>,
    /// Of that the last speaker's latest share: mostly the next line is the same peer's.
    speaking: (PeerId, u64),
    top_since: Option<Instant>,
}

/// What a chat counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages said.
    pub said: u64,
    /// Messages and notices of a log sent to peers, summed over them; not those to the console.
    pub delivered: u64,
    /// Messages that readers missed, summed over the readers.
    pub missed: u64,
    /// Notices for which a log had no room.
    pub notices_lost: u64,
    /// Private messages that found a full outbox.
    pub undelivered: u64,
}

impl Chat {
    /// An empty lobby.
    pub fn new(rules: Rules) -> Self {
        let limit = line_len_limit(rules.log_bytes);
        assert!(rules.line_len_max <= limit, "the log has room for a message");
        Chat {
            rules,
            peers: Vec::with_capacity(PEERS_AT_FIRST),
            rooms: Rooms::new(rules.log_bytes, rules.slow),
            names: Register::default(),
            console: None,
            desks: Vec::new(),
            answered: VecDeque::new(),
            actions: VecDeque::new(),
            draft: Vec::new(),
            buffered: 0,
            counts: Counts::default(),
            delivery: Histogram::default(),
            spoke: BTreeMap::new(),
            speaking: (PeerId { serial: 0, slot: 0 }, 0),
            top_since: None,
        }
    }

    /// A peer comes into the lobby, from outside where it waited there: it is greeted, the others
    /// are told (chat), it gets the last of what was said, and hears what is said from now on.
    pub fn join(&mut self, peer: PeerId) {
        let history = if self.is_chat() { self.rules.history } else { 0 };
        self.notice_of(LOBBY, format_args!("guest{} joined", peer.serial));
        self.admit(peer, history);
        if self.is_chat() {
            self.tell(peer, format_args!("you are guest{}", peer.serial));
        }
    }

    fn admit(&mut self, peer: PeerId, history: usize) {
        let slot = peer.slot as usize;
        if self.peers.len() <= slot {
            self.peers.resize_with(slot + 1, || None);
        }
        let mut outbox = self.peers[slot].take().and_then(|waited| {
            debug_assert_eq!(waited.serial, peer.serial, "the slot's last tenant was closed");
            waited.outbox
        });
        if let Some(outbox) = &mut outbox {
            outbox.until = None;
        }
        let room = self.rooms.get_mut(LOBBY);
        let cursor = room.begin(peer.serial, history);
        let place = room.join(peer.slot, cursor.at());
        let (serial, room) = (peer.serial, LOBBY);
        let fresh = self.rooms.get(room).log.end() > cursor.at();
        self.peers[slot] = Some(Peer { serial, cursor, outbox, place, room, muted: false, fresh });
    }

    /// A peer goes from its room to another one, at once: what was still pending from the old room
    /// is dropped, and told in a receipt.
    fn change_room(&mut self, peer: PeerId, to: RoomIndex) {
        let name = self.name_of(peer);
        let Some(state) = self.get_mut(peer) else { return };
        let from = state.room;
        let cursor = state.cursor;
        let place = std::mem::replace(&mut state.place, NOT_A_MEMBER);
        let carried = state.outbox.as_mut().map_or(0, |outbox| std::mem::take(&mut outbox.missed));
        let old = self.rooms.get_mut(from);
        let missed = carried + u64::from(cursor.behind(&old.log));
        let old_name = old.name.clone();
        self.unseat(from, place);
        self.notice_of(from, format_args!("{name} left"));
        if missed > 0 {
            self.counts.missed += missed - carried;
            let missed = Count(missed, "message");
            self.tell(peer, format_args!("you missed {missed}: you left {old_name}"));
        }
        self.notice_of(to, format_args!("{name} joined"));
        let history = self.rules.history;
        let room = self.rooms.get_mut(to);
        let cursor = room.begin(peer.serial, history);
        let place = room.join(peer.slot, cursor.at());
        let fresh = room.log.end() > cursor.at();
        if let Some(state) = self.get_mut(peer) {
            (state.cursor, state.room, state.place, state.fresh) = (cursor, to, place, fresh);
        }
        self.rooms.release(from);
    }

    /// A notice to one peer alone: chat only, but the operator is told in every protocol.
    pub fn tell(&mut self, peer: PeerId, notice: Arguments<'_>) {
        self.answer(peer, format_args!("* {notice}"));
    }

    /// One line to one peer alone.
    fn answer(&mut self, peer: PeerId, line: Arguments<'_>) {
        if !self.is_chat() && !self.is_operator(peer) {
            return;
        }
        let Some(state) = self.get_mut(peer) else { return };
        let outbox = state.outbox.get_or_insert_default();
        let before = outbox.bytes.len();
        let _ = writeln!(outbox.bytes, "{line}");
        let added = outbox.bytes.len() - before;
        self.buffered += added;
        self.answered.push_back(peer);
    }

    /// A notice to everybody in every room; chat only.
    pub fn tell_all(&mut self, notice: &str) {
        for room in self.rooms.indexes() {
            self.notice(room, format_args!("{notice}"));
        }
    }

    /// A notice to a room; chat only.
    fn notice(&mut self, room: RoomIndex, notice: Arguments<'_>) {
        if self.is_chat() {
            self.draft.clear();
            let _ = writeln!(self.draft, "* {notice}");
            let taken = self.rooms.get_mut(room).notice(&self.draft);
            self.counts.notices_lost += u64::from(!taken);
            self.rooms.queue(room);
        }
    }

    /// A notice about a member, which a crowd is spared.
    fn notice_of(&mut self, room: RoomIndex, notice: Arguments<'_>) {
        if self.tells_of(room) {
            self.notice(room, notice);
        }
    }

    /// Whether a room hears of its members' comings and goings.
    fn tells_of(&self, room: RoomIndex) -> bool {
        self.is_chat() && self.rooms.get(room).members.len() <= NOTICE_PEERS_MAX
    }

    /// A peer goes: it is owed what was said until now and hears nothing more; the others are told.
    pub fn leave(&mut self, peer: PeerId, reason: Option<&str>) {
        let Some(state) = self.get(peer) else { return };
        let log = &self.rooms.get(state.room).log;
        let end = (log.end(), log.said_before(log.end()));
        self.take_out(peer, end, reason);
    }

    /// A peer is closed by our decision: it gets the rest of a cut message and the last words
    /// (chat), and of its room's log nothing more.
    pub fn close(&mut self, peer: PeerId, why: CloseReason, last_words: Arguments<'_>) {
        self.tell(peer, last_words);
        self.take_out(peer, (0, 0), None);
        self.actions.push_back(Action::Finish { peer, why, within: LAST_WORDS });
    }

    fn take_out(&mut self, peer: PeerId, until: (u64, u32), reason: Option<&str>) {
        let Some(state) = self.get_mut(peer) else { return };
        let outbox = state.outbox.get_or_insert_default();
        outbox.until = Some(outbox.until.map_or(until, |before| before.min(until)));
        let room = state.room;
        let place = std::mem::replace(&mut state.place, NOT_A_MEMBER);
        if place == NOT_A_MEMBER {
            return;
        }
        self.unseat(room, place);
        // A name is put together for those alone who hear it.
        if self.console != Some(peer) && self.tells_of(room) {
            let name = self.name_of(peer);
            match reason {
                Some(reason) => self.notice(room, format_args!("{name} left: {reason}")),
                None => self.notice(room, format_args!("{name} left")),
            }
        }
        self.names.give_back(peer);
    }

    /// Frees a place among a room's members.
    fn unseat(&mut self, room: RoomIndex, place: u32) {
        let Chat { rooms, peers, .. } = self;
        for (slot, place) in rooms.get_mut(room).leave(place) {
            if let Some(Some(moved)) = peers.get_mut(slot as usize) {
                moved.place = place;
            }
        }
        if rooms.get_mut(room).moved() {
            rooms.queue(room);
        }
    }

    /// The connection is gone.
    pub fn gone(&mut self, peer: PeerId) {
        self.settle_spoke();
        self.spoke.remove(&peer);
        if self.get(peer).is_some() {
            if self.is_here(peer) {
                self.leave(peer, None);
            }
            if let Some(state) = self.peers[peer.slot as usize].take() {
                self.buffered -= state.outbox.map_or(0, |outbox| outbox.bytes.len());
                self.rooms.release(state.room);
            }
        }
        if self.console == Some(peer) {
            self.console = None;
        }
        self.desks.retain(|&desk| desk != peer);
    }

    /// When a room is to be looked at whose slowest reader holds the others up.
    pub fn next_deadline(&self) -> Option<Instant> {
        let since = self.rooms.held_up().map(|(_, held_up)| held_up.since).min()?;
        Some(since + self.rules.stall_timeout)
    }

    /// Closes readers that hold a room up and make no progress worth the name.
    pub fn expired(&mut self, now: Instant) {
        let timeout = self.rules.stall_timeout;
        let due = self.rooms.held_up().filter(|(_, held_up)| held_up.since + timeout <= now);
        let due: Vec<_> = due.map(|(index, held_up)| (index, held_up.wanted)).collect();
        for (index, wanted) in due {
            let room = self.rooms.let_go(index);
            if !room.is_full() {
                continue; // nobody waits any more
            }
            let stalled: Vec<PeerId> = room
                .members
                .iter()
                .filter_map(|&slot| Some((slot, self.peers[slot as usize].as_ref()?)))
                .filter(|(_, state)| room.is_held_up_by(state.cursor.at(), wanted))
                .map(|(slot, state)| PeerId { serial: state.serial, slot })
                .collect();
            for peer in stalled {
                if self.console != Some(peer) {
                    self.close(
                        peer,
                        CloseReason::Stalled,
                        format_args!("closed: reading too slowly"),
                    );
                }
            }
        }
    }

    /// True until it has left, or was told to go.
    pub fn is_here(&self, peer: PeerId) -> bool {
        self.get(peer).is_some_and(Peer::is_member)
    }

    /// What holds now.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Bytes that a line's text may have.
    pub fn line_len_max(&self) -> usize {
        self.rules.line_len_max
    }

    /// Changes after how long a reader that holds a room up is closed.
    pub fn set_stall_timeout(&mut self, timeout: Duration) {
        self.rules.stall_timeout = timeout;
    }

    /// The next wish.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Bytes in all outboxes together.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// What a peer is called.
    pub fn name_of(&self, peer: PeerId) -> String {
        let mut name = Vec::new();
        self.push_name(&mut name, peer);
        String::from_utf8(name).expect("names are text")
    }

    /// The same behind what is in `into`: each line begins with a name, so no string is made for it.
    fn push_name(&self, into: &mut Vec<u8>, peer: PeerId) {
        match self.names.name_of(peer) {
            _ if self.is_operator(peer) => into.extend_from_slice(b"operator"),
            Some(name) => into.extend_from_slice(name.written().as_bytes()),
            None => {
                let _ = write!(into, "guest{}", peer.serial);
            }
        }
    }

    fn is_chat(&self) -> bool {
        self.rules.protocol == Protocol::Chat
    }

    /// Bytes of the greatest log with its entries.
    #[cfg(test)]
    pub(crate) fn log_size(&self) -> usize {
        self.rooms.iter().map(|room| room.log.size()).max().unwrap_or(0)
    }

    /// The most that one peer takes here beside its outbox's text, in bytes: its place, its name
    /// twice (here and in the register), its places in lists and counters.
    #[cfg(test)]
    pub(crate) fn peer_bytes() -> usize {
        let name = size_of::<names::Name>() + 2 * 4 * names::NAME_LEN_MAX;
        let counted = size_of::<(PeerId, u64)>();
        let lists = size_of::<PeerId>() * 3 + size_of::<u32>();
        size_of::<Option<Peer>>() + size_of::<peer::Outbox>() + 2 * name + lists + 2 * counted
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

#[cfg(test)]
mod tests;
