//! The gate: who may come in, who is still to say the secret, who is turned away and why; pure.
//! It decides about addresses and lines and knows no socket, no room and no name. What a refused
//! peer is told, and how it is closed, is the server's business.

pub mod access;
pub(crate) mod bans;
pub(crate) mod sources;
mod visitors;

use crate::handler::{CloseReason, PeerId};
use crate::secret::Secret;
use crate::timers::Timers;
use access::{Access, Wrong};
use bans::Bans;
use sources::{Crowd, Sources};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
pub(crate) use visitors::Caller;
use visitors::{Stage, Visitors};

/// How long a peer may take to say the secret: a person types it.
pub const SECRET_WITHIN: Duration = Duration::from_secs(30);

/// How often it may be wrong. A program does not slip; a person does, twice.
pub const SECRET_TRIES: u8 = 3;

/// Refused connections that are told why and closed in order. Each has a descriptor for some
/// seconds, of those that the default of `--peers-max` leaves; who is refused beyond is closed at
/// once.
pub(crate) const REFUSED_MAX: usize = 32;

/// What `serve` needs to know of who may come in, checked.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    /// The rules of the flags.
    pub access: Access,
    /// The file with more rules.
    pub access_file: Option<PathBuf>,
    /// How many, and how fast.
    pub crowd: Crowd,
    /// The file with the secret.
    pub secret_file: Option<PathBuf>,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It comes in.
    In,
    /// It is to say the secret first.
    Secret,
    /// It is told why and closed.
    Refused(CloseReason),
    /// It is closed at once: too many are being told why.
    Shut(CloseReason),
}

/// What became of a line of a peer that is to say the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It comes in.
    Right,
    /// It may try again, so often.
    Wrong(u8),
    /// It is to be closed.
    Refused,
}

/// Who is at the gate and who has passed it.
pub(crate) struct Gate {
    /// The rules of the flags, which the file's are added to.
    flags: Access,
    access: Access,
    pub(crate) bans: Bans,
    pub(crate) crowd: Crowd,
    sources: Sources,
    secret: Option<Secret>,
    /// Every connection that was accepted and is not closed.
    there: Visitors,
    /// What is left to those who are to say the secret.
    chances: BTreeMap<PeerId, Chance>,
    /// When they must have said it.
    due: Timers<PeerId>,
    refused: usize,
    /// Datagrams that were not answered because of where they came from.
    pub(crate) datagrams_refused: u64,
}

/// What is left to a peer that is to say the secret.
struct Chance {
    tries: u8,
    until: Instant,
}

impl Gate {
    /// Nobody is there. The rules of the file come with [`Gate::set_rules`].
    pub(crate) fn new(admission: &Admission) -> Self {
        Gate {
            flags: admission.access.clone(),
            access: admission.access.clone(),
            bans: Bans::default(),
            crowd: admission.crowd,
            sources: Sources::default(),
            secret: None,
            there: Visitors::default(),
            chances: BTreeMap::new(),
            due: Timers::new(),
            refused: 0,
            datagrams_refused: 0,
        }
    }

    /// From now on each newcomer must say it.
    pub(crate) fn set_secret(&mut self, secret: Secret) {
        self.secret = Some(secret);
    }

    /// The rules of an access file take the place of those before; the flags' stay. An error
    /// changes nothing. Who is inside stays there. Returns how many rules there are now, and how
    /// many of those inside could not come in again.
    pub(crate) fn set_rules(&mut self, text: &[u8]) -> Result<(usize, usize), Wrong> {
        self.access = self.flags.with(access::parse(text)?)?;
        let denied = |&(_, from, stage): &(u32, Caller, Stage)| {
            let refused = matches!(stage, Stage::Refused { .. });
            !refused && from.ip().is_some_and(|ip| !self.access.admits(ip))
        };
        let denied = self.there.iter().filter(denied).count();
        Ok((self.access.len(), denied))
    }

    /// A connection was accepted; [`Gate::gone`] is to follow.
    pub(crate) fn knock(&mut self, peer: PeerId, from: impl Into<Caller>, now: Instant) -> Entry {
        let from = from.into();
        let ip = from.ip();
        let admitted = ip.map_or(Ok(()), |ip| self.admits(ip, now));
        let entered = admitted.and_then(|()| self.sources.enter(ip, &self.crowd, now));
        let (stage, entry) = match entered {
            Ok(()) if self.secret.is_some() => {
                let until = now + SECRET_WITHIN;
                self.due.arm(until, peer);
                self.chances.insert(peer, Chance { tries: SECRET_TRIES, until });
                (Stage::Outside, Entry::Secret)
            }
            Ok(()) => (Stage::Inside, Entry::In),
            Err(why) => {
                self.refused += 1;
                let told = self.refused <= REFUSED_MAX;
                let stage = Stage::Refused { counted: false };
                (stage, if told { Entry::Refused(why) } else { Entry::Shut(why) })
            }
        };
        self.there.enter(peer, from, stage);
        entry
    }

    /// A connection is closed.
    pub(crate) fn gone(&mut self, peer: PeerId, now: Instant) {
        let Some((from, stage)) = self.there.take(peer) else { return };
        self.end_chance(peer);
        match stage {
            Stage::Refused { counted: false } => self.refused -= 1,
            Stage::Inside | Stage::Outside | Stage::Refused { counted: true } => {
                self.sources.left(from.ip(), now);
            }
        }
    }

    fn end_chance(&mut self, peer: PeerId) {
        if let Some(Chance { until, .. }) = self.chances.remove(&peer) {
            self.due.disarm(until, peer);
        }
    }

    /// Whether an address may come in, whoever else is there.
    pub(crate) fn admits(&self, from: IpAddr, now: Instant) -> Result<(), CloseReason> {
        if self.bans.hit(from, now) {
            return Err(CloseReason::Banned);
        }
        if self.access.admits(from) { Ok(()) } else { Err(CloseReason::Denied) }
    }

    /// Whether newcomers are to say a secret.
    pub(crate) fn asks(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether there are rules.
    pub(crate) fn restricts(&self) -> bool {
        !self.access.is_empty()
    }

    /// Whether a datagram from there may be answered: by bans and rules alone.
    pub(crate) fn hears(&mut self, from: IpAddr, now: Instant) -> bool {
        let hears = self.admits(from.to_canonical(), now).is_ok();
        self.datagrams_refused += u64::from(!hears);
        hears
    }

    /// True for who is still to say the secret.
    pub(crate) fn is_outside(&self, peer: PeerId) -> bool {
        self.there.stage(peer) == Some(Stage::Outside)
    }

    /// True for who was refused: nothing that it says is of interest.
    pub(crate) fn is_refused(&self, peer: PeerId) -> bool {
        matches!(self.there.stage(peer), Some(Stage::Refused { .. }))
    }

    /// A line, without its ending, of a peer that is to say the secret.
    pub(crate) fn hear(&mut self, peer: PeerId, line: &[u8]) -> Heard {
        let right = self.secret.as_ref().is_none_or(|secret| secret.is(line));
        let Some(Chance { tries, .. }) = self.chances.get_mut(&peer) else {
            return Heard::Refused;
        };
        if right {
            self.end_chance(peer);
            self.there.set_stage(peer, Stage::Inside);
            return Heard::Right;
        }
        *tries -= 1;
        match *tries {
            0 => self.turn_away(peer),
            left => Heard::Wrong(left),
        }
    }

    /// A peer that is to say the secret is to be closed instead.
    pub(crate) fn turn_away(&mut self, peer: PeerId) -> Heard {
        if self.is_outside(peer) {
            self.end_chance(peer);
            self.there.set_stage(peer, Stage::Refused { counted: true });
        }
        Heard::Refused
    }

    /// One peer whose time for the secret is over, the earliest first. It is turned away.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<PeerId> {
        let peer = self.due.expire(now)?;
        self.turn_away(peer);
        Some(peer)
    }

    /// When [`Gate::expire`] is wanted.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Where a connection comes from that was accepted and is not closed.
    pub(crate) fn caller_of(&self, peer: PeerId) -> Option<Caller> {
        self.there.caller_of(peer)
    }

    /// Slots of those from an address that fits.
    pub(crate) fn slots_in(&self, fits: impl Fn(IpAddr) -> bool) -> impl Iterator<Item = u32> {
        let there = self.there.iter();
        there.filter(move |&(_, from, _)| from.ip().is_some_and(&fits)).map(|(slot, ..)| slot)
    }

    /// Connections that were accepted and are not closed.
    pub(crate) fn connections(&self) -> usize {
        self.sources.peers() + self.refused
    }

    /// The most that there may be of them, but for those that are closed as soon as they come.
    pub(crate) fn connections_max(&self) -> usize {
        self.crowd.peers_max.saturating_add(REFUSED_MAX)
    }

    /// The most that one connection takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(crate) fn peer_bytes() -> usize {
        let chance = size_of::<(PeerId, Chance)>() + size_of::<(Instant, PeerId)>();
        Visitors::peer_bytes() + Sources::peer_bytes() + 2 * chance
    }
}

#[cfg(test)]
mod tests;
