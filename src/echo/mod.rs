//! The echo service: which datagram is answered and which is not, and why. Pure: no socket, and
//! `now` is an argument.
//!
//! RFC 862: one answering datagram a datagram, with the same data. Never more than came in, so it
//! multiplies nothing. What is left to fear is answering somebody who did not ask: another echo
//! service, which answers in turn (VU#417980, CVE-2024-2169), or a victim whose address a stranger
//! wrote into his datagrams. Four looks stand in front of an answer, the cheap ones first: at the
//! source, at the address that was hit, at the rate of the source's prefix (`prefixes`), and at
//! whether the same bytes come back again and again (`loops`).
//!
//! A sender's name in the Unix domain proves as little: the sender binds a path, and what stands at
//! that path when the answer leaves is another question. So its datagrams pass the same looks.

mod hash;
mod loops;
mod prefixes;

use crate::handler::{Datagram, Hit, UnixAddress, UnixDatagram};
use loops::Loops;
use prefixes::{Prefix, Prefixes};
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// The default of `--udp-rate`: more than a person or a probe sends, and from one victim's point of
/// view a trickle. Datagrams a second and prefix.
pub const RATE: u32 = 1_000;

/// The default of `--udp-burst`: one second's worth at once.
pub const BURST: u32 = 1_000;

/// Ports below this belong to services of the system; many of them answer whatever they get
/// (echo, chargen, DNS, NTP, TFTP), and no client sends from there by itself.
const SERVICE_PORTS: u16 = 1_024;

/// How often a loop is told on stderr, at most: the counter has all of them.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// `--udp-any-port`: source ports below 1024 are answered too.
    pub any_port: bool,
    /// `--udp-rate`: answers a second to one source prefix, loopback excepted; 0 for no limit.
    pub rate: u32,
    /// `--udp-burst`: answers at once to a prefix that was silent; not 0.
    pub burst: u32,
    /// `--udp-group`: what hit a multicast group is answered.
    pub groups: bool,
    /// `--udp-broadcast`: what hit a broadcast address is answered.
    pub broadcast: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { any_port: false, rate: RATE, burst: BURST, groups: false, broadcast: false }
    }
}

/// Why a datagram was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It came from a port, or a name in the Unix domain, that one of our own sockets has.
    OwnPort,
    /// It came from a port below 1024.
    LowPort,
    /// It came from an address that is nobody's: multicast, broadcast, 0.0.0.0/8, `::`; or from a
    /// relative path, which means another file here than there.
    Source,
    /// It hit a multicast group, and `--udp-group` was not given.
    Group,
    /// It hit a broadcast address, and `--udp-broadcast` was not given.
    Broadcast,
    /// Its source's prefix, or its name, is over its rate.
    Limited,
    /// The same bytes came from the same source again and again.
    Muted,
}

/// Datagrams by what became of them, all since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Answered, as far as the echo goes; the loop counts those that the socket did not take.
    pub answered: u64,
    /// [`Refusal::OwnPort`].
    pub own_port: u64,
    /// [`Refusal::LowPort`].
    pub low_port: u64,
    /// [`Refusal::Source`].
    pub source: u64,
    /// [`Refusal::Group`].
    pub group: u64,
    /// [`Refusal::Broadcast`].
    pub broadcast: u64,
    /// [`Refusal::Limited`].
    pub limited: u64,
    /// [`Refusal::Muted`].
    pub muted: u64,
    /// Loops that were recognised: how often a mute began.
    pub loops: u64,
}

impl Counts {
    /// Refused for where they came from or what they hit.
    pub fn guarded(&self) -> u64 {
        self.own_port + self.low_port + self.source + self.group + self.broadcast
    }

    fn count(&mut self, refusal: Refusal) {
        *match refusal {
            Refusal::OwnPort => &mut self.own_port,
            Refusal::LowPort => &mut self.low_port,
            Refusal::Source => &mut self.source,
            Refusal::Group => &mut self.group,
            Refusal::Broadcast => &mut self.broadcast,
            Refusal::Limited => &mut self.limited,
            Refusal::Muted => &mut self.muted,
        } += 1;
    }
}

/// The echo of one process.
#[derive(Debug)]
pub struct Echo {
    rules: Rules,
    /// Ports that this process's UDP sockets are bound to.
    ports: Vec<u16>,
    /// Names that its datagram sockets of the Unix domain are bound to, as the kernel tells them.
    names: Vec<UnixAddress>,
    prefixes: Prefixes,
    loops: Loops,
    counts: Counts,
    /// No loop is told before.
    tell_after: Option<Instant>,
}

impl Echo {
    /// An echo without sockets.
    pub fn new(rules: Rules) -> Self {
        Echo {
            rules,
            ports: Vec::new(),
            names: Vec::new(),
            prefixes: Prefixes::new(rules.rate, rules.burst),
            loops: Loops::new(),
            counts: Counts::default(),
            tell_after: None,
        }
    }

    /// Tells of a socket of our own.
    pub fn bound(&mut self, at: SocketAddr) {
        self.ports.push(at.port());
    }

    /// Tells of a datagram socket of our own in the Unix domain.
    pub fn bound_unix(&mut self, at: UnixAddress) {
        self.names.push(at);
    }

    /// Whether a datagram is answered, with its own bytes and to its own sender. Counts it.
    pub fn answers(&mut self, datagram: &Datagram<'_>, now: Instant) -> bool {
        let Datagram { from, bytes, .. } = *datagram;
        let refusal = self.guard(datagram).or_else(|| {
            let prefix = (!from.ip().is_loopback()).then(|| Prefix::of(from.ip()));
            self.restrain(&from, hash::of_socket(from), prefix, bytes, now)
        });
        self.count(refusal)
    }

    /// The same of the Unix domain, where every sender has a rate: it names whom it likes.
    pub fn answers_unix(&mut self, datagram: &UnixDatagram<'_>, now: Instant) -> bool {
        let UnixDatagram { from, bytes, .. } = *datagram;
        let refusal = self.guard_unix(from).or_else(|| {
            let name = hash::of_name(from);
            self.restrain(from, name, Some(Prefix::Name(name)), bytes, now)
        });
        self.count(refusal)
    }

    fn count(&mut self, refusal: Option<Refusal>) -> bool {
        match refusal {
            None => self.counts.answered += 1,
            Some(refusal) => self.counts.count(refusal),
        }
        refusal.is_none()
    }

    /// What became of the datagrams.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The looks that need no memory.
    fn guard(&self, datagram: &Datagram<'_>) -> Option<Refusal> {
        let Datagram { from, hit, .. } = *datagram;
        // Wherever it comes from: our own other socket, or a sibling on another host at the port
        // that it has by default too. Either would answer our answer.
        if self.ports.contains(&from.port()) {
            Some(Refusal::OwnPort)
        } else if from.port() == 0 || (from.port() < SERVICE_PORTS && !self.rules.any_port) {
            Some(Refusal::LowPort) // and nothing can be sent to port 0
        } else if is_nobodys(from.ip()) {
            Some(Refusal::Source)
        } else if hit == Hit::Multicast && !self.rules.groups {
            Some(Refusal::Group)
        } else if hit == Hit::Broadcast && !self.rules.broadcast {
            Some(Refusal::Broadcast)
        } else {
            None
        }
    }

    /// The same of the Unix domain. A relative path is looked up in our directory, not in the
    /// sender's: there it may be our own socket, or one of a service that trusts us.
    fn guard_unix(&self, from: &UnixAddress) -> Option<Refusal> {
        match from {
            _ if self.names.contains(from) => Some(Refusal::OwnPort),
            UnixAddress::Path(path) if !path.is_absolute() => Some(Refusal::Source),
            _ => None,
        }
    }

    /// The looks that remember. `source` is a hash of `from`; without a `prefix` there is no rate.
    fn restrain(
        &mut self,
        from: &dyn Display,
        source: u64,
        prefix: Option<Prefix>,
        bytes: &[u8],
        now: Instant,
    ) -> Option<Refusal> {
        if prefix.is_some_and(|prefix| !self.prefixes.admits(prefix, now)) {
            return Some(Refusal::Limited);
        }
        match self.loops.look(source, bytes, now) {
            loops::Look::Fine => return None,
            loops::Look::Muted => {}
            loops::Look::Found => {
                self.counts.loops += 1;
                self.tell(from, bytes.len(), now);
            }
        }
        Some(Refusal::Muted)
    }

    fn tell(&mut self, from: &dyn Display, len: usize, now: Instant) {
        if self.tell_after.is_none_or(|after| after <= now) {
            self.tell_after = Some(now + TELL_EVERY);
            log::warn!(
                "echo: the same {len} bytes came from {from} {} times without a pause, as an \
                 echo service there would send them: not answered for a while",
                loops::RETURNS_MAX
            );
        }
    }
}

/// Addresses that no host has, so that an answer would go to many or to none. A subnet's broadcast
/// address is not told by looking at it; the kernel lets none pass as a source (RFC 1812, 5.3.7).
fn is_nobodys(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip == Ipv4Addr::BROADCAST || ip.octets()[0] == 0,
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests;
