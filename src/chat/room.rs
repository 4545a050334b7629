//! One room: its log, its members, and the sweep that offers the log to each of them.
//!
//! The promise to readers rests here. In a sweep every member is offered all there is; the log
//! drops nothing that has not been through a whole sweep; and between the ends of two sweeps the
//! room takes in at most a quarter of its log. So only a peer whose socket was full when its turn
//! came can fall behind.

use super::log::{BroadcastLog, ENTRY_BYTES};
use crate::handler::PeerId;

/// Parts of its log that a room takes in during one sweep, as a divisor. What has not been
/// through a whole sweep is then at most half the log; the rest is the time that a full socket
/// has to drain.
const INTAKE_DIVISOR: usize = 4;

pub(super) struct Room {
    pub(super) log: BroadcastLog,
    /// Slots of the members.
    pub(super) members: Vec<u32>,
    size_max: usize,
    /// The place in `members` that the sweep under way looks at next.
    sweep: Option<Sweep>,
    /// Every message before this one was offered to every member that could be written to.
    offered: u64,
    /// Bytes said since the last sweep ended.
    intake: usize,
    /// A message was refused: nobody is read until the sweep ends.
    full: bool,
    /// Who is not read because the room is full, in the order they came.
    held: Vec<PeerId>,
}

struct Sweep {
    next: usize,
    /// The log's end when it began.
    end: u64,
}

impl Room {
    /// `size_max`: bytes of the log with its entries; at least four times the longest message.
    pub(super) fn new(size_max: usize) -> Self {
        Room {
            log: BroadcastLog::new(),
            members: Vec::new(),
            size_max,
            sweep: None,
            offered: 0,
            intake: 0,
            full: false,
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

    /// Takes in what somebody said. False where the room is full: hold the talker and say it again.
    pub(super) fn say(&mut self, author: u64, parts: &[&[u8]]) -> bool {
        let size = parts.iter().map(|part| part.len()).sum::<usize>() + ENTRY_BYTES;
        let crowded = self.intake > 0 && self.intake + size > self.size_max / INTAKE_DIVISOR;
        if crowded || !self.append(author, parts, size) {
            self.full = true;
            return false;
        }
        self.intake += size;
        true
    }

    /// Takes in a notice, unless the log could only make room for it by dropping what somebody
    /// has not been offered: then the notice is lost. Says whether it was taken.
    pub(super) fn notice(&mut self, text: &[u8]) -> bool {
        self.append(super::log::NOBODY, &[text], text.len() + ENTRY_BYTES)
    }

    /// The one point of decision about a full log: old messages go, but only offered ones.
    fn append(&mut self, author: u64, parts: &[&[u8]], size: usize) -> bool {
        while self.log.size() + size > self.size_max {
            if self.log.first() >= self.offered {
                return false;
            }
            self.log.drop_first();
        }
        self.log.append(author, parts);
        true
    }

    /// The next member to offer the log to: one for whom `owed(slot)`. When a sweep ends, what was
    /// held for it goes to `released`.
    pub(super) fn next_dirty(
        &mut self,
        owed: impl Fn(u32, &BroadcastLog) -> bool,
        released: &mut Vec<PeerId>,
    ) -> Option<u32> {
        while self.offered < self.log.end() || self.sweep.is_some() {
            let end = self.log.end();
            let sweep = self.sweep.get_or_insert(Sweep { next: 0, end });
            while let Some(&slot) = self.members.get(sweep.next) {
                sweep.next += 1;
                if owed(slot, &self.log) {
                    return Some(slot);
                }
            }
            self.offered = sweep.end;
            self.sweep = None;
            self.intake = 0;
            self.full = false;
            released.append(&mut self.held);
        }
        None
    }

    /// Adds a member and returns its place.
    pub(super) fn join(&mut self, slot: u32) -> u32 {
        self.members.push(slot);
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
        let mut room = Room::new(1_000);
        (0..members).for_each(|slot| assert_eq!(room.join(slot), slot));
        room
    }

    fn everybody(_: u32, _: &BroadcastLog) -> bool {
        true
    }

    #[test]
    fn a_member_that_leaves_in_the_middle_of_a_sweep_makes_it_miss_nobody() {
        for seen in 0..=6 {
            for leaver in 0..6u32 {
                let mut room = room_of(6);
                assert!(room.say(99, &[b"x\n"]));
                let mut offered: Vec<u32> = (0..seen)
                    .map(|_| room.next_dirty(everybody, &mut Vec::new()).expect("six members"))
                    .collect();
                let mut places: Vec<u32> = (0..6).collect();
                for (slot, place) in room.leave(leaver) {
                    places[slot as usize] = place;
                }
                for (place, &slot) in room.members.iter().enumerate() {
                    assert_eq!(places[slot as usize], place as u32, "places are told");
                }
                while let Some(slot) = room.next_dirty(everybody, &mut Vec::new()) {
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
        assert!(room.say(7, &[&line]));
        assert!(room.say(7, &[&line]));
        assert!(!room.say(7, &[&line]), "a quarter of 1,000 bytes is 250");
        assert!(room.is_full());
        room.hold(talker);
        let mut released = Vec::new();
        assert!(room.next_dirty(everybody, &mut released).is_some());
        assert!(room.next_dirty(everybody, &mut released).is_some());
        assert!(released.is_empty() && room.is_full());
        assert_eq!(room.next_dirty(everybody, &mut released), None);
        assert_eq!(released, [talker]);
        assert!(room.say(7, &[&line]));
    }

    #[test]
    fn nothing_is_dropped_before_a_whole_sweep_has_offered_it() {
        let mut room = room_of(3);
        let line = [b'x'; 76];
        let mut taken = 0;
        let mut unoffered_from = 0;
        for _ in 0..200 {
            while room.say(7, &[&line]) {
                taken += 1;
            }
            assert!(room.log.first() <= unoffered_from, "dropped what was not offered");
            let before = room.log.end();
            // One member a turn: talkers come in between.
            if room.next_dirty(everybody, &mut Vec::new()).is_none() || room.sweep.is_none() {
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
