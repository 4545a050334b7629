//! The list of connections to read, and for how many turns its entries have stood in it. Pure.
//!
//! First in, first out, so that one number for all that came in one turn is enough: how long
//! anybody waited is known exactly, and a connection that waits costs nothing more.

use crate::handler::PeerId;
use std::collections::VecDeque;

/// Invariant: the counts of `arrivals` add up to the length of `queue`.
#[derive(Default)]
pub(super) struct ReadyList {
    queue: VecDeque<PeerId>,
    /// In which turn the entries of `queue` came, oldest first, and how many in each.
    arrivals: VecDeque<(u64, usize)>,
}

impl ReadyList {
    pub(super) fn push(&mut self, peer: PeerId, turn: u64) {
        self.queue.push_back(peer);
        match self.arrivals.back_mut() {
            Some((arrived, count)) if *arrived == turn => *count += 1,
            _ => self.arrivals.push_back((turn, 1)),
        }
    }

    /// The next one, and the turns that have ended since it came: 0 in the turn that saw it come.
    pub(super) fn pop(&mut self, turn: u64) -> Option<(PeerId, u64)> {
        let peer = self.queue.pop_front()?;
        let (arrived, count) = self.arrivals.front_mut()?;
        let waited = turn - *arrived;
        *count -= 1;
        if *count == 0 {
            self.arrivals.pop_front();
        }
        Some((peer, waited))
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    #[cfg(test)]
    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.queue.contains(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(serial: u64) -> PeerId {
        PeerId { serial, slot: 0 }
    }

    #[test]
    fn who_waits_is_known_with_the_turns_it_waited() {
        let mut list = ReadyList::default();
        list.push(peer(1), 5);
        list.push(peer(2), 5);
        list.push(peer(3), 6);
        assert_eq!(list.pop(5), Some((peer(1), 0)));
        list.push(peer(1), 7);
        assert_eq!(list.pop(7), Some((peer(2), 2)));
        assert_eq!(list.pop(7), Some((peer(3), 1)));
        assert_eq!(list.pop(7), Some((peer(1), 0)));
        assert_eq!(list.pop(8), None);
        assert!(list.is_empty() && list.arrivals.is_empty());
    }
}
