//! Who was accepted and is not closed, by slot: where each comes from and how far it got; pure. In
//! few bytes, because ten thousand of them say nothing at any moment: addresses of 16 bytes, which
//! are rarer, stand in a table of their own.

use crate::handler::PeerId;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Inside,
    /// It is to say the secret.
    Outside,
    /// On its way out. `counted`: it was let in to say the secret, and counts as a peer until it is
    /// closed.
    Refused {
        counted: bool,
    },
}

/// Slots that there is room for at first: 160 KiB, which malloc takes from the system, for the same
/// reason as the loop's table of connections.
const SLOTS_AT_FIRST: usize = 20 * 1024;

/// Every connection that was accepted and is not closed.
pub(super) struct Visitors {
    by_slot: Vec<Option<Visitor>>,
    /// By slot: where those of IPv6 come from.
    ipv6: BTreeMap<u32, Ipv6Addr>,
}

#[derive(Clone, Copy)]
struct Visitor {
    /// None: it stands in [`Visitors::ipv6`].
    from: Option<Ipv4Addr>,
    stage: Stage,
}

// What each slot takes, also while its peer is silent.
const _: () = assert!(size_of::<Option<Visitor>>() <= 8);

impl Default for Visitors {
    fn default() -> Self {
        Visitors { by_slot: Vec::with_capacity(SLOTS_AT_FIRST), ipv6: BTreeMap::new() }
    }
}

impl Visitors {
    pub(super) fn enter(&mut self, peer: PeerId, from: IpAddr, stage: Stage) {
        let slot = peer.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, None);
        }
        let from = match from {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(ip) => {
                self.ipv6.insert(peer.slot, ip);
                None
            }
        };
        self.by_slot[slot] = Some(Visitor { from, stage });
    }

    /// One is gone. Returns what was known of it.
    pub(super) fn take(&mut self, peer: PeerId) -> Option<(IpAddr, Stage)> {
        let visitor = self.by_slot.get_mut(peer.slot as usize)?.take()?;
        let from = self.address(peer.slot, visitor);
        self.ipv6.remove(&peer.slot);
        Some((from, visitor.stage))
    }

    pub(super) fn stage(&self, peer: PeerId) -> Option<Stage> {
        Some(self.by_slot.get(peer.slot as usize)?.as_ref()?.stage)
    }

    pub(super) fn address_of(&self, peer: PeerId) -> Option<IpAddr> {
        let visitor = *self.by_slot.get(peer.slot as usize)?.as_ref()?;
        Some(self.address(peer.slot, visitor))
    }

    pub(super) fn set_stage(&mut self, peer: PeerId, stage: Stage) {
        if let Some(Some(visitor)) = self.by_slot.get_mut(peer.slot as usize) {
            visitor.stage = stage;
        }
    }

    /// Slot, address and stage of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, IpAddr, Stage)> {
        let there = (0..).zip(&self.by_slot).filter_map(|(slot, at)| Some((slot, (*at)?)));
        there.map(|(slot, visitor)| (slot, self.address(slot, visitor), visitor.stage))
    }

    /// The most that one takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        size_of::<Option<Visitor>>() + 2 * size_of::<(u32, Ipv6Addr)>()
    }

    fn address(&self, slot: u32, visitor: Visitor) -> IpAddr {
        let ipv6 = || self.ipv6.get(&slot).copied().unwrap_or(Ipv6Addr::UNSPECIFIED).into();
        visitor.from.map_or_else(ipv6, IpAddr::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_both_families_come_back_and_nothing_is_left_of_who_is_gone() {
        let mut visitors = Visitors::default();
        let froms = ["192.0.2.1", "2001:db8::1"].map(|from| from.parse::<IpAddr>().unwrap());
        for _ in 0..2 {
            for (slot, from) in (3..).zip(froms) {
                visitors.enter(PeerId { serial: 1, slot }, from, Stage::Outside);
            }
            let peer = PeerId { serial: 1, slot: 4 };
            visitors.set_stage(peer, Stage::Inside);
            let there: Vec<_> = visitors.iter().collect();
            assert_eq!(there, [(3, froms[0], Stage::Outside), (4, froms[1], Stage::Inside)]);
            assert_eq!(visitors.take(peer), Some((froms[1], Stage::Inside)));
            let taken = visitors.take(PeerId { serial: 1, slot: 3 });
            assert_eq!(taken, Some((froms[0], Stage::Outside)));
            assert_eq!((visitors.iter().count(), visitors.ipv6.len()), (0, 0));
        }
    }
}
