//! One room: its log, its members, the sweep that offers the log to each of them, and the one
//! point of decision about a full log.
//!
//! The promise to readers rests here. In a sweep every member is offered all there is; the log
//! drops nothing that has not been through a whole sweep; and between the ends of two sweeps the
//! room takes in at most a quarter of its log. So only a peer whose socket was full when its turn
//! came can fall behind. With [`Slow::Pause`] the log drops nothing that a member has not been
//! sent, either, and talkers wait instead.

use super::cursor::Cursor;
use super::log::{BroadcastLog, ENTRY_BYTES, NOBODY};
use crate::handler::{Action, PeerId};
use std::collections::VecDeque;
use std::time::Instant;

/// Parts of its log that a room takes in during one sweep, as a divisor. What has not been
/// through a whole sweep is then at most half the log; the rest is the time that a full socket
/// has to drain.
const INTAKE_DIVISOR: usize = 4;

/// With [`Slow::Pause`] the part of the log, as a divisor, that talkers leave for notices and for
/// the operator, who would otherwise be silenced by the slowest reader.
const RESERVE_DIVISOR: usize = 16;

/// With [`Slow::Pause`]: a reader that takes less than this in the stall timeout while it holds
/// others up is closed, so that nobody can stop a room by being slow on purpose.
const PROGRESS_BYTES_MIN: u64 = 4 * 1024;

/// What is done for a reader that is slower than the room. docs/PROTOCOL.md has the promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slow {
    /// It skips what the log has dropped and is told how many messages that were. Chat only.
    Skip,
    /// It is closed: what it got is a gapless prefix.
    Disconnect,
    /// Nothing is dropped: who talks is not read until the slowest has caught up.
    Pause,
}

impl Slow {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Slow::Skip => "skip",
            Slow::Disconnect => "disconnect",
            Slow::Pause => "pause",
        }
    }
}

pub(super) struct Room {
    /// With its `#`.
    pub(super) name: Box<str>,
    pub(super) log: BroadcastLog,
    /// Slots of the members.
    pub(super) members: Vec<u32>,
    /// Peers that point at this room: the members, and who has left and is still owed something.
    pub(super) tenants: usize,
    /// Stands in the chat's list of rooms to sweep.
    pub(super) queued: bool,
    /// Bytes of its log; a smaller one is reached as messages come.
    pub(super) size_max: usize,
    slow: Slow,
    /// The place in `members` that the sweep under way looks at next.
    sweep: Option<Sweep>,
    /// Every message before this one was offered to every member that could be written to. Without
    /// `Slow::Pause` that leaves out what is history for newcomers.
    offered: u64,
    /// Every message before this one was sent to every member; only kept with `Slow::Pause`.
    floor: u64,
    /// Somebody was sent something since the floor was found.
    floor_stale: bool,
    /// Talkers wait for a floor that is stale: a sweep is to find it again.
    floor_wanted: bool,
    /// Bytes said since the last sweep ended.
    intake: usize,
    /// A message was refused: nobody is read until the sweep ends.
    full: bool,
    /// The slowest reader holds the others up.
    pub(super) held_up: Option<HeldUp>,
    /// Who is not read because the room is full, in the order they came.
    held: Vec<PeerId>,
}

pub(super) struct HeldUp {
    pub(super) since: Instant,
    /// The offset that every reader is to have reached when the stall timeout is over: some way from
    /// where the slowest stood, or else the end.
    pub(super) wanted: u64,
}

struct Sweep {
    next: usize,
    /// The log's end when it began.
    end: u64,
    /// The least cursor seen.
    floor: u64,
}

impl Room {
    /// `size_max`: bytes of the log with its entries; at least four times the longest message.
    pub(super) fn new(name: &str, size_max: usize, slow: Slow) -> Self {
        Room {
            name: name.into(),
            log: BroadcastLog::new(),
            members: Vec::new(),
            tenants: 0,
            queued: false,
            size_max,
            slow,
            sweep: None,
            offered: 0,
            floor: 0,
            floor_stale: false,
            floor_wanted: false,
            intake: 0,
            full: false,
            held_up: None,
            held: Vec::new(),
        }
    }

    /// The longest message, in bytes, that a room with a log of `size_max` can take.
    pub(super) const fn message_len_max(size_max: usize) -> usize {
        (size_max / INTAKE_DIVISOR).saturating_sub(ENTRY_BYTES)
    }

    /// True where talkers are to be held until the sweep ends.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn hold(&mut self, peer: PeerId) {
        self.held.push(peer);
    }

    /// Takes in what somebody said, message by message. False where the room is full: hold the talker
    /// and say the last one that was asked for again.
    #[inline]
    pub(super) fn say<'m>(
        &mut self,
        author: u64,
        mut messages: impl Iterator<Item = &'m [u8]>,
        operator: bool,
        now: Instant,
    ) -> bool {
        self.log.set_clock(now);
        let reserve = match self.slow {
            Slow::Pause if !operator => self.size_max / RESERVE_DIVISOR,
            _ => 0,
        };
        messages.all(|message| self.take(author, message, reserve, now))
    }

    #[inline]
    fn take(&mut self, author: u64, message: &[u8], reserve: usize, now: Instant) -> bool {
        let size = message.len() + ENTRY_BYTES;
        let crowded = self.intake > 0 && self.intake + size > self.size_max / INTAKE_DIVISOR;
        if crowded || !self.append(author, message, size, reserve) {
            self.refuse(crowded, now);
            return false;
        }
        if self.held_up.is_some() {
            self.note_progress();
        }
        self.intake += size;
        true
    }

    /// There is no place for a message: for the next one neither, until a sweep has ended. `crowded`:
    /// not for want of log.
    #[cold]
    fn refuse(&mut self, crowded: bool, now: Instant) {
        self.full = true;
        self.floor_wanted |= self.floor_stale;
        if self.slow == Slow::Pause && !crowded && self.held_up.is_none() {
            let end = self.log.offset(self.log.end());
            let wanted = (self.slowest() + PROGRESS_BYTES_MIN).min(end);
            self.held_up = Some(HeldUp { since: now, wanted });
        }
    }

    /// The slowest reader may hold nobody up any more.
    #[cold]
    fn note_progress(&mut self) {
        let slowest = self.slowest();
        self.held_up.take_if(|held_up| slowest >= held_up.wanted);
    }

    /// Whether a member that stands at this message has been offered more, and has not reached the
    /// offset that is `wanted` of it. Who took all it was offered waits for us: the sweep has not come
    /// to it, as where the machine stood still.
    pub(super) fn is_held_up_by(&self, at: u64, wanted: u64) -> bool {
        at < self.offered && self.log.offset(at.max(self.log.first())) < wanted
    }

    /// The offset that every reader had reached when the floor was found.
    fn slowest(&self) -> u64 {
        self.log.offset(self.floor.max(self.log.first()))
    }

    /// Takes in a notice, unless the log could only make room for it by dropping what somebody is
    /// still promised: then the notice is lost. Says whether it was taken.
    pub(super) fn notice(&mut self, text: &[u8]) -> bool {
        self.append(NOBODY, text, text.len() + ENTRY_BYTES, 0)
    }

    /// The one point of decision about a full log: old messages go, but only those that nobody is
    /// promised any more.
    #[inline]
    fn append(&mut self, author: u64, message: &[u8], size: usize, reserve: usize) -> bool {
        let promised = match self.slow {
            Slow::Skip | Slow::Disconnect => self.offered,
            Slow::Pause => self.floor,
        };
        while self.log.size() + size > self.size_max - reserve {
            if self.log.first() >= promised {
                return false;
            }
            self.log.drop_first();
        }
        self.log.append(author, &[message]);
        true
    }

    /// The next member to offer the log to: one whose cursor, `at(slot)`, is not at the end. When a
    /// sweep ends, whoever was held for it is resumed by `actions`.
    pub(super) fn next_dirty(
        &mut self,
        at: impl Fn(u32) -> u64,
        actions: &mut VecDeque<Action>,
    ) -> Option<u32> {
        while self.offered < self.log.end() || self.sweep.is_some() || self.floor_wanted {
            let end = self.log.end();
            if self.sweep.is_none() {
                self.sweep = Some(Sweep { next: 0, end, floor: end });
                self.floor_stale = false;
                self.floor_wanted = false;
            }
            let Some(sweep) = &mut self.sweep else { unreachable!("just made") };
            while let Some(&slot) = self.members.get(sweep.next) {
                sweep.next += 1;
                let at = at(slot);
                sweep.floor = sweep.floor.min(at);
                if at < end {
                    return Some(slot);
                }
            }
            self.offered = sweep.end;
            self.floor = sweep.floor;
            self.sweep = None;
            self.intake = 0;
            self.full = false;
            actions.extend(self.held.drain(..).map(Action::Resume));
        }
        None
    }

    /// A member was sent something, or is gone. Says whether talkers wait for that, so that the
    /// room must be swept.
    pub(super) fn moved(&mut self) -> bool {
        self.floor_stale |= self.slow == Slow::Pause;
        self.floor_wanted |= self.floor_stale && self.full;
        self.floor_wanted
    }

    /// Where a newcomer begins: `history` messages back, but at most half of what a log may be,
    /// so that nobody falls behind at once.
    pub(super) fn begin(&self, author: u64, history: usize) -> Cursor {
        Cursor::with_history(&self.log, author, history, self.size_max / 2)
    }

    /// Adds a member and returns its place.
    pub(super) fn join(&mut self, slot: u32, cursor: u64) -> u32 {
        self.members.push(slot);
        self.tenants += 1;
        // It may begin with history that the others have been sent.
        self.floor = self.floor.min(cursor);
        // Elsewhere the log goes by this one, and a crowd that comes would stop the talkers.
        if self.slow == Slow::Pause {
            self.offered = self.offered.min(cursor);
        }
        if let Some(sweep) = &mut self.sweep {
            sweep.floor = sweep.floor.min(cursor);
        }
        self.members.len() as u32 - 1
    }

    /// Removes the member at `place` without letting the sweep under way miss anybody. Returns
    /// who moved, as (slot, its new place).
    pub(super) fn leave(&mut self, place: u32) -> Vec<(u32, u32)> {
        let place = place as usize;
        let mut moved = Vec::with_capacity(2);
        let mut hole = place;
        if let Some(sweep) = &mut self.sweep
            && place < sweep.next
        {
            // The last one that was looked at fills the hole, so that the last of all, which was
            // not, comes to stand where the sweep goes on.
            sweep.next -= 1;
            hole = sweep.next;
            self.members.swap(place, hole);
            if place != hole {
                moved.push((self.members[place], place as u32));
            }
        }
        self.members.swap_remove(hole);
        if let Some(&slot) = self.members.get(hole) {
            moved.push((slot, hole as u32));
        }
        moved
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    fn room_of(members: u32) -> Room {
        let mut room = Room::new("#lobby", 1_000, Slow::Skip);
        (0..members).for_each(|slot| assert_eq!(room.join(slot, 0), slot));
        room
    }

    /// Nobody has been sent anything.
    fn everybody(_: u32) -> u64 {
        0
    }

    fn say(room: &mut Room, message: &[u8]) -> bool {
        room.say(7, std::iter::once(message), false, Instant::now())
    }

    #[test]
    fn a_member_that_leaves_in_the_middle_of_a_sweep_makes_it_miss_nobody() {
        for seen in 0..=6 {
            for leaver in 0..6u32 {
                let mut room = room_of(6);
                assert!(say(&mut room, b"x\n"));
                let mut offered: Vec<u32> = (0..seen)
                    .map(|_| room.next_dirty(everybody, &mut VecDeque::new()).expect("six members"))
                    .collect();
                let mut places: Vec<u32> = (0..6).collect();
                for (slot, place) in room.leave(leaver) {
                    places[slot as usize] = place;
                }
                for (place, &slot) in room.members.iter().enumerate() {
                    assert_eq!(places[slot as usize], place as u32, "places are told");
                }
                while let Some(slot) = room.next_dirty(everybody, &mut VecDeque::new()) {
                    offered.push(slot);
                }
                offered.retain(|&slot| slot != leaver);
                offered.sort_unstable();
                let others: Vec<u32> = (0..6).filter(|&slot| slot != leaver).collect();
                assert_eq!(offered, others, "each once; left after {seen}: {leaver}");
            }
        }
    }

    #[test]
    fn a_full_room_holds_its_talkers_until_the_sweep_ends() {
        let mut room = room_of(2);
        let talker = PeerId { serial: 7, slot: 0 };
        let line = [b'x'; 76];
        assert!(say(&mut room, &line));
        assert!(say(&mut room, &line));
        assert!(!say(&mut room, &line), "a quarter of 1,000 bytes is 250");
        assert!(room.is_full());
        room.hold(talker);
        let mut released = VecDeque::new();
        assert!(room.next_dirty(everybody, &mut released).is_some());
        assert!(room.next_dirty(everybody, &mut released).is_some());
        assert!(released.is_empty() && room.is_full());
        assert_eq!(room.next_dirty(everybody, &mut released), None);
        assert_eq!(released, [Action::Resume(talker)]);
        assert!(say(&mut room, &line));
    }

    #[test]
    fn nothing_is_dropped_before_a_whole_sweep_has_offered_it() {
        let mut room = room_of(3);
        let line = [b'x'; 76];
        let mut taken = 0;
        let mut unoffered_from = 0;
        for _ in 0..200 {
            while say(&mut room, &line) {
                taken += 1;
            }
            assert!(room.log.first() <= unoffered_from, "dropped what was not offered");
            let before = room.log.end();
            // One member a turn: talkers come in between.
            if room.next_dirty(everybody, &mut VecDeque::new()).is_none() || room.sweep.is_none() {
                unoffered_from = before.min(room.offered);
            }
            unoffered_from = unoffered_from.max(room.offered);
        }
        assert!(taken > 50 && room.log.first() > 0, "the log turned over");
    }

    #[test]
    fn a_notice_that_finds_no_room_is_lost_and_drops_nothing() {
        let mut room = room_of(1);
        let mut taken = 0;
        while room.notice(&[b'n'; 76]) {
            taken += 1;
        }
        assert_eq!((taken, room.log.first()), (10, 0));
    }
}
