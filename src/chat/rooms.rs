//! The rooms there are: a table whose places never move while somebody is in them, and the list of
//! those that have something to offer.

use super::room::{Room, Slow};
use std::collections::{BTreeMap, VecDeque};

/// A room's place in the table. Two bytes: each peer has one, and 65,535 rooms have logs enough to
/// fill a machine's memory.
pub(super) type RoomIndex = u16;

/// The place of the room in which everybody starts, and which is never gone.
pub(super) const LOBBY: RoomIndex = 0;

/// Its name.
pub(super) const LOBBY_NAME: &str = "#lobby";

pub(super) struct Rooms {
    table: Vec<Option<Room>>,
    by_name: BTreeMap<Box<str>, RoomIndex>,
    /// Rooms to sweep, each once.
    dirty: VecDeque<RoomIndex>,
    log_bytes: usize,
    slow: Slow,
}

impl Rooms {
    pub(super) fn new(log_bytes: usize, slow: Slow) -> Self {
        let mut rooms = Rooms {
            table: Vec::new(),
            by_name: BTreeMap::new(),
            dirty: VecDeque::new(),
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
        let room = Some(Room::new(name, self.log_bytes, self.slow));
        let index = match self.table.iter().position(Option::is_none) {
            Some(free) => {
                self.table[free] = room;
                free
            }
            None => {
                self.table.push(room);
                self.table.len() - 1
            }
        } as RoomIndex;
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
            self.table[index as usize] = None;
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
        let index = *self.dirty.front()?;
        if self.dirty.len() > 1 {
            self.dirty.rotate_left(1);
        }
        Some(index)
    }

    /// A room has been swept.
    pub(super) fn swept(&mut self, index: RoomIndex) {
        self.get_mut(index).queued = false;
        self.dirty.retain(|&dirty| dirty != index);
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Room> {
        self.table.iter().flatten()
    }

    pub(super) fn indexes(&self) -> Vec<RoomIndex> {
        let there = self.table.iter().enumerate().filter(|(_, room)| room.is_some());
        there.map(|(index, _)| index as RoomIndex).collect()
    }
}
