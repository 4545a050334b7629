//! What the simulation may ask of the loop after a turn: whether it remembers what the kernel will
//! not tell again.

use super::Reactor;
use super::conn::{Conn, Ending, Input, Kept, Output, Phase};
use super::stalls::Stall;
use crate::handler::{CloseReason, PeerId};
use crate::os::{Os, Source};
use std::time::Instant;

/// What the loop knows of a source, for the invariant that no edge is lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// It will read it, or wants nothing to read of it.
    pub(crate) read: bool,
    /// It knows that it can be written to, or will never write to it.
    pub(crate) write: bool,
}

impl<O: Os> Reactor<O> {
    /// What is remembered of a source that is open in the kernel.
    pub(crate) fn memory(&self, source: Source) -> Memory {
        let both = |known| Memory { read: known, write: known };
        match source {
            Source::Peer { slot, serial_low } => {
                let conn = self.conns.get(slot as usize);
                let Some(conn) = conn.filter(|conn| conn.serial as u32 == serial_low) else {
                    panic!("{source:?} is open in the kernel and unknown to the loop");
                };
                let peer = conn.id(slot);
                assert_eq!(
                    conn.in_readable,
                    self.readable.contains(&peer),
                    "{peer}: the flag lies"
                );
                let waits = self.console_retry.is_some() && conn.console;
                let listed = conn.in_readable || conn.held || waits;
                match conn.phase() {
                    Phase::Open => Memory {
                        read: listed || conn.input != Input::Open,
                        write: conn.writable || conn.output == Output::Ended,
                    },
                    Phase::Dialing { .. } => Memory { read: listed, write: listed },
                    Phase::Flushing(_) => Memory { read: conn.readable, write: conn.writable },
                    Phase::Draining(_) => Memory { read: listed, write: true },
                    Phase::Doomed(_) => both(self.doomed.contains(&peer)),
                }
            }
            Source::Listener(index) => {
                both(self.listeners.get(index).is_none_or(|listener| listener.is_ready()))
            }
            // What would block is dropped there, so nobody waits for room.
            Source::Udp(index) => Memory { read: self.udps[index].is_ready(), write: true },
            Source::UnixDgram(index) => {
                Memory { read: self.unix_dgrams[index].is_ready(), write: true }
            }
            Source::Signals => both(false),
            Source::Log => both(self.log_ready),
        }
    }

    /// Asserts that what is counted is what there is, and that whoever is blocked has a clock and
    /// the clock a timer, or a try that is due.
    pub(crate) fn assert_limits(&self) {
        let kept: usize = self.conns.iter().map(|(_, conn)| conn.kept_bytes()).sum();
        assert_eq!(self.kept_bytes, kept, "bytes of kept input");
        for (slot, conn) in &self.conns {
            let peer = conn.id(slot as u32);
            let stall = self.stalls.all().find(|(blocked, _)| *blocked == peer);
            let open = matches!(conn.phase(), Phase::Open) && !conn.console;
            assert!(open || stall.is_none(), "{peer}: a clock for none that is open");
            let Some((_, stall)) = stall else {
                let owed = open && conn.output != Output::Ended;
                assert!(conn.writable || !owed, "{peer}: blocked, and nobody looks at the clock");
                continue;
            };
            // Its timer would try too, a minute late.
            let queued = self.writable.contains(&peer) || self.visiting == Some(peer);
            assert!(!conn.writable || queued, "{peer}: may be written to, and nobody will");
            match stall.armed {
                Some(at) => {
                    assert!(at <= stall.since + self.stalls.timeout, "{peer}: the timer is late");
                    assert!(self.timers.is_armed(peer), "{peer}: no timer");
                }
                None => assert!(conn.writable, "{peer}: neither a timer nor a try"),
            }
        }
        assert!(self.stalls.all().count() <= self.conns.len(), "a clock for one that is gone");
    }

    /// Bytes of memory in the kept input of all connections that a limit may close.
    pub(crate) fn kept_all(&self) -> usize {
        let console = self.conns.iter().find(|(_, conn)| conn.console);
        let kept = console.and_then(|(_, conn)| conn.kept());
        self.kept_bytes - kept.map_or(0, |kept| kept.bytes.capacity())
    }

    /// The most that one connection takes here beside its buffers, in bytes: all of it at once. A
    /// place in an ordered set or map is counted twice, for its nodes may be half empty.
    pub(crate) fn peer_bytes() -> usize {
        let conn = size_of::<Conn<O::Stream>>() + size_of::<Kept>() + size_of::<Ending>();
        let timers = size_of::<(Instant, PeerId)>() * 2;
        let clock = size_of::<(PeerId, Stall)>();
        let lists = size_of::<PeerId>() * 2; // readable, writable
        conn + lists + 2 * (timers + clock)
    }

    /// Who is closed by the next sweep, and why.
    pub(crate) fn doomed(&self) -> Vec<(PeerId, CloseReason)> {
        let why = |peer: &PeerId| match self.conns[peer.slot as usize].phase() {
            Phase::Doomed(why) => (*peer, *why),
            _ => panic!("{peer} is in the list and not doomed"),
        };
        self.doomed.iter().map(why).collect()
    }

    /// The most that one connection keeps of its input, in bytes.
    pub(crate) fn kept_most(&self) -> usize {
        let kept = self.conns.iter().filter_map(|(_, conn)| conn.kept());
        kept.map(|kept| kept.bytes.len()).max().unwrap_or(0)
    }

    /// Listeners and datagram sockets that are open.
    pub(crate) fn fixed(&self) -> usize {
        let listeners = self.listeners.iter().filter(|listener| listener.is_open()).count();
        listeners + self.udps.len() + self.unix_dgrams.len()
    }
}
