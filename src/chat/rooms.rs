//! The rooms there are: a table whose places never move while somebody is in them, the list of
//! those that have something to offer, and the set of those that a slow reader holds up.

use super::room::{HeldUp, Room, Slow};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A room's place in the table. Two bytes: each peer has one, and 65,535 rooms have logs enough to
/// fill a machine's memory.
pub(super) type RoomIndex = u16;

/// The place of the room in which everybody starts, and which is never gone.
pub(super) const LOBBY: RoomIndex = 0;

/// Its name.
pub(super) const LOBBY_NAME: &str = "#lobby";

pub(super) struct Rooms {
    table: Vec<Option<Room>>,
    /// Places in it that are empty.
    free: Vec<RoomIndex>,
    by_name: BTreeMap<Box<str>, RoomIndex>,
    /// Rooms to sweep, each once; the one whose turn it is at the back.
    dirty: VecDeque<RoomIndex>,
    /// Rooms whose `held_up` is set, so that nobody looks for them among all.
    held_up: BTreeSet<RoomIndex>,
    log_bytes: usize,
    slow: Slow,
}

impl Rooms {
    pub(super) fn new(log_bytes: usize, slow: Slow) -> Self {
        let mut rooms = Rooms {
            table: Vec::new(),
            free: Vec::new(),
            by_name: BTreeMap::new(),
            dirty: VecDeque::new(),
            held_up: BTreeSet::new(),
            log_bytes,
            slow,
        };
        rooms.make(LOBBY_NAME);
        rooms
    }

    /// The room at a place that a peer points at, or the lobby: those exist.
    pub(super) fn get(&self, index: RoomIndex) -> &Room {
        self.table[index as usize].as_ref().expect("a room with tenants is never gone")
    }

    pub(super) fn get_mut(&mut self, index: RoomIndex) -> &mut Room {
        self.table[index as usize].as_mut().expect("a room with tenants is never gone")
    }

    pub(super) fn find(&self, name: &str) -> Option<RoomIndex> {
        self.by_name.get(name).copied()
    }

    /// Makes a room that does not exist yet.
    pub(super) fn make(&mut self, name: &str) -> RoomIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.table.push(None);
            (self.table.len() - 1) as RoomIndex
        });
        self.table[index as usize] = Some(Room::new(name, self.log_bytes, self.slow));
        self.by_name.insert(name.into(), index);
        index
    }

    /// One peer less points at a room; a room without any is gone, but for the lobby.
    pub(super) fn release(&mut self, index: RoomIndex) {
        let room = self.get_mut(index);
        room.tenants -= 1;
        if room.tenants == 0 && index != LOBBY {
            let name = room.name.clone();
            self.by_name.remove(&name);
            self.dirty.retain(|&dirty| dirty != index);
            self.held_up.remove(&index);
            self.table[index as usize] = None;
            self.free.push(index);
        }
    }

    /// Another size for each room's log, from its next message on.
    pub(super) fn resize(&mut self, log_bytes: usize) {
        self.log_bytes = log_bytes;
        self.table.iter_mut().flatten().for_each(|room| room.size_max = log_bytes);
    }

    /// A room has something to offer.
    pub(super) fn queue(&mut self, index: RoomIndex) -> &mut Room {
        let Rooms { table, dirty, .. } = self;
        let room = table[index as usize].as_mut().expect("a room with tenants is never gone");
        if !std::mem::replace(&mut room.queued, true) {
            dirty.push_back(index);
        }
        room
    }

    /// The room to sweep now; they take turns, a peer each.
    pub(super) fn next_dirty(&mut self) -> Option<RoomIndex> {
        let index = self.dirty.pop_front()?;
        self.dirty.push_back(index);
        Some(index)
    }

    /// The room that `next_dirty` has just named is swept.
    pub(super) fn swept(&mut self) {
        let index = self.dirty.pop_back().expect("it was named");
        self.get_mut(index).queued = false;
    }

    /// Something was said in a room, taken in or not: it may be held up now, or no more.
    pub(super) fn note_said(&mut self, index: RoomIndex) {
        if self.get(index).held_up.is_some() {
            self.held_up.insert(index);
        } else if !self.held_up.is_empty() {
            self.held_up.remove(&index);
        }
    }

    /// The rooms that their slowest readers hold up.
    pub(super) fn held_up(&self) -> impl Iterator<Item = (RoomIndex, &HeldUp)> {
        self.held_up.iter().filter_map(|&index| Some((index, self.get(index).held_up.as_ref()?)))
    }

    /// Who held a room up has had its time: the clock starts anew where it is still so.
    pub(super) fn let_go(&mut self, index: RoomIndex) -> &mut Room {
        self.held_up.remove(&index);
        let room = self.get_mut(index);
        room.held_up = None;
        room
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// All rooms, by their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.by_name.values().map(|&index| self.get(index))
    }

    pub(super) fn indexes(&self) -> Vec<RoomIndex> {
        let there = self.table.iter().enumerate().filter(|(_, room)| room.is_some());
        there.map(|(index, _)| index as RoomIndex).collect()
    }
}
