//! The gate: who may come in, who is still to say the secret, who is turned away and why; pure.
//! It decides about addresses and lines and knows no socket, no room and no name. What a refused
//! peer is told, and how it is closed, is the server's business.

pub mod access;
pub(crate) mod bans;
pub(crate) mod sources;

use crate::handler::{CloseReason, PeerId};
use crate::secret::Secret;
use crate::timers::Timers;
use access::{Access, Wrong};
use bans::Bans;
use sources::{Crowd, Sources};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a peer may take to say the secret: a person types it.
pub const SECRET_WITHIN: Duration = Duration::from_secs(30);

/// How often it may be wrong. A program does not slip; a person does, twice.
pub const SECRET_TRIES: u8 = 3;

/// Refused connections that are told why and closed in order. Each has a descriptor for some
/// seconds, of the 64 that the default of `--peers-max` leaves; who is refused beyond is closed at
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
    /// By slot: every connection that was accepted and is not closed.
    there: Vec<Option<Visitor>>,
    /// When those who are to say the secret must have said it.
    due: Timers<PeerId>,
    refused: usize,
    /// Datagrams that were not answered because of where they came from.
    pub(crate) datagrams_refused: u64,
}

struct Visitor {
    from: IpAddr,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Inside,
    /// It is to say the secret.
    Outside {
        tries: u8,
        until: Instant,
    },
    /// On its way out. `counted`: it was let in to say the secret, and counts as a peer until it is
    /// closed.
    Refused {
        counted: bool,
    },
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
            there: Vec::new(),
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
        let denied = |visitor: &&Visitor| {
            !matches!(visitor.stage, Stage::Refused { .. }) && !self.access.admits(visitor.from)
        };
        let denied = self.there.iter().flatten().filter(denied).count();
        Ok((self.access.len(), denied))
    }

    /// A connection was accepted; [`Gate::gone`] is to follow.
    pub(crate) fn knock(&mut self, peer: PeerId, from: IpAddr, now: Instant) -> Entry {
        let from = from.to_canonical();
        let entered =
            self.admits(from, now).and_then(|()| self.sources.enter(from, &self.crowd, now));
        let (stage, entry) = match entered {
            Ok(()) if self.secret.is_some() => {
                let until = now + SECRET_WITHIN;
                self.due.arm(until, peer);
                (Stage::Outside { tries: SECRET_TRIES, until }, Entry::Secret)
            }
            Ok(()) => (Stage::Inside, Entry::In),
            Err(why) => {
                self.refused += 1;
                let told = self.refused <= REFUSED_MAX;
                let stage = Stage::Refused { counted: false };
                (stage, if told { Entry::Refused(why) } else { Entry::Shut(why) })
            }
        };
        let slot = peer.slot as usize;
        if self.there.len() <= slot {
            self.there.resize_with(slot + 1, || None);
        }
        self.there[slot] = Some(Visitor { from, stage });
        entry
    }

    /// A connection is closed.
    pub(crate) fn gone(&mut self, peer: PeerId, now: Instant) {
        let visitor = self.there.get_mut(peer.slot as usize).and_then(Option::take);
        let Some(Visitor { from, stage }) = visitor else { return };
        match stage {
            Stage::Refused { counted: false } => self.refused -= 1,
            Stage::Inside | Stage::Refused { counted: true } => self.sources.left(from, now),
            Stage::Outside { until, .. } => {
                self.due.disarm(until, peer);
                self.sources.left(from, now);
            }
        }
    }

    /// Whether an address may come in, whoever else is there.
    fn admits(&self, from: IpAddr, now: Instant) -> Result<(), CloseReason> {
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
        matches!(self.stage(peer), Some(Stage::Outside { .. }))
    }

    /// True for who was refused: nothing that it says is of interest.
    pub(crate) fn is_refused(&self, peer: PeerId) -> bool {
        matches!(self.stage(peer), Some(Stage::Refused { .. }))
    }

    /// A line, without its ending, of a peer that is to say the secret.
    pub(crate) fn hear(&mut self, peer: PeerId, line: &[u8]) -> Heard {
        let right = self.secret.as_ref().is_none_or(|secret| secret.is(line));
        let visitor = self.there.get_mut(peer.slot as usize).and_then(Option::as_mut);
        let Some(Visitor { stage, .. }) = visitor else { return Heard::Refused };
        let Stage::Outside { tries, until } = stage else { return Heard::Refused };
        if right {
            self.due.disarm(*until, peer);
            *stage = Stage::Inside;
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
        let visitor = self.there.get_mut(peer.slot as usize).and_then(Option::as_mut);
        let Some(Visitor { stage, .. }) = visitor else { return Heard::Refused };
        if let Stage::Outside { until, .. } = *stage {
            self.due.disarm(until, peer);
            *stage = Stage::Refused { counted: true };
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

    /// Slots of those from an address that fits.
    pub(crate) fn slots_in(&self, fits: impl Fn(IpAddr) -> bool) -> impl Iterator<Item = u32> {
        let there = self.there.iter().enumerate();
        let fitting =
            there.filter(move |(_, at)| at.as_ref().is_some_and(|visitor| fits(visitor.from)));
        fitting.map(|(slot, _)| slot as u32)
    }

    /// Connections that were accepted and are not closed.
    pub(crate) fn connections(&self) -> usize {
        self.sources.peers() + self.refused
    }

    fn stage(&self, peer: PeerId) -> Option<Stage> {
        Some(self.there.get(peer.slot as usize)?.as_ref()?.stage)
    }
}

#[cfg(test)]
mod tests;
