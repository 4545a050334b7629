//! Who was accepted and is not closed, by slot: where each comes from and how far it got; pure. In
//! few bytes, because ten thousand of them say nothing at any moment: what is longer than an address
//! of IPv4, and rarer, stands in a table of its own.

use crate::handler::{Credentials, PeerId, Remote};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a connection comes from: what rules and limits can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// An address, IPv4-mapped ones made plain.
    Ip(IpAddr),
    /// A process of this host, by a Unix socket: the permissions of its path have let it in.
    Unix(Credentials),
}

impl Caller {
    /// The address, where there is one.
    pub(crate) fn ip(self) -> Option<IpAddr> {
        match self {
            Caller::Ip(ip) => Some(ip),
            Caller::Unix(_) => None,
        }
    }

    /// Whether it comes from this host.
    pub(crate) fn is_local(self) -> bool {
        self.ip().is_none_or(|ip| ip.is_loopback())
    }
}

impl From<IpAddr> for Caller {
    fn from(ip: IpAddr) -> Self {
        Caller::Ip(ip.to_canonical())
    }
}

impl From<Remote> for Caller {
    fn from(remote: Remote) -> Self {
        match remote {
            Remote::Ip(at) => at.ip().into(),
            Remote::Unix(credentials) => Caller::Unix(credentials),
        }
    }
}

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
    /// By slot: where the others come from.
    others: BTreeMap<u32, Other>,
}

#[derive(Clone, Copy)]
enum Other {
    Ipv6(Ipv6Addr),
    Unix(Credentials),
}

#[derive(Clone, Copy)]
struct Visitor {
    /// None: it stands in [`Visitors::others`].
    from: Option<Ipv4Addr>,
    stage: Stage,
}

// What each slot takes, also while its peer is silent.
const _: () = assert!(size_of::<Option<Visitor>>() <= 8);

impl Default for Visitors {
    fn default() -> Self {
        Visitors { by_slot: Vec::with_capacity(SLOTS_AT_FIRST), others: BTreeMap::new() }
    }
}

impl Visitors {
    pub(super) fn enter(&mut self, peer: PeerId, from: Caller, stage: Stage) {
        let slot = peer.slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, None);
        }
        let from = match from {
            Caller::Ip(IpAddr::V4(ip)) => Some(ip),
            Caller::Ip(IpAddr::V6(ip)) => {
                self.others.insert(peer.slot, Other::Ipv6(ip));
                None
            }
            Caller::Unix(credentials) => {
                self.others.insert(peer.slot, Other::Unix(credentials));
                None
            }
        };
        self.by_slot[slot] = Some(Visitor { from, stage });
    }

    /// One is gone. Returns what was known of it.
    pub(super) fn take(&mut self, peer: PeerId) -> Option<(Caller, Stage)> {
        let visitor = self.by_slot.get_mut(peer.slot as usize)?.take()?;
        let from = self.caller(peer.slot, visitor);
        self.others.remove(&peer.slot);
        Some((from, visitor.stage))
    }

    pub(super) fn stage(&self, peer: PeerId) -> Option<Stage> {
        Some(self.by_slot.get(peer.slot as usize)?.as_ref()?.stage)
    }

    pub(super) fn caller_of(&self, peer: PeerId) -> Option<Caller> {
        let visitor = *self.by_slot.get(peer.slot as usize)?.as_ref()?;
        Some(self.caller(peer.slot, visitor))
    }

    pub(super) fn set_stage(&mut self, peer: PeerId, stage: Stage) {
        if let Some(Some(visitor)) = self.by_slot.get_mut(peer.slot as usize) {
            visitor.stage = stage;
        }
    }

    /// Slot, origin and stage of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Caller, Stage)> {
        let there = (0..).zip(&self.by_slot).filter_map(|(slot, at)| Some((slot, (*at)?)));
        there.map(|(slot, visitor)| (slot, self.caller(slot, visitor), visitor.stage))
    }

    /// The most that one takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        size_of::<Option<Visitor>>() + 2 * size_of::<(u32, Other)>()
    }

    fn caller(&self, slot: u32, visitor: Visitor) -> Caller {
        let other = || match self.others.get(&slot) {
            Some(&Other::Ipv6(ip)) => Caller::Ip(ip.into()),
            Some(&Other::Unix(credentials)) => Caller::Unix(credentials),
            None => unreachable!("enter has put it there, and take removes both"),
        };
        visitor.from.map_or_else(other, |ip| Caller::Ip(ip.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_of_every_family_come_back_and_nothing_is_left_of_who_is_gone() {
        let mut visitors = Visitors::default();
        let ip = |from: &str| Caller::from(from.parse::<IpAddr>().unwrap());
        let unix = Caller::Unix(Credentials { pid: 1, uid: 2, gid: 3 });
        let froms = [ip("192.0.2.1"), ip("2001:db8::1"), unix];
        for _ in 0..2 {
            for (slot, from) in (3..).zip(froms) {
                visitors.enter(PeerId { serial: 1, slot }, from, Stage::Outside);
            }
            let peer = PeerId { serial: 1, slot: 4 };
            visitors.set_stage(peer, Stage::Inside);
            let there: Vec<_> = visitors.iter().collect();
            assert_eq!(
                there,
                [
                    (3, froms[0], Stage::Outside),
                    (4, froms[1], Stage::Inside),
                    (5, froms[2], Stage::Outside),
                ]
            );
            assert_eq!(visitors.take(peer), Some((froms[1], Stage::Inside)));
            let taken = visitors.take(PeerId { serial: 1, slot: 3 });
            assert_eq!(taken, Some((froms[0], Stage::Outside)));
            let taken = visitors.take(PeerId { serial: 1, slot: 5 });
            assert_eq!(taken, Some((froms[2], Stage::Outside)));
            assert_eq!((visitors.iter().count(), visitors.others.len()), (0, 0));
        }
    }
}
