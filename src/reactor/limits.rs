//! Limits over the whole of a connection's life and over all connections: how long one may take
//! nothing, and how much memory they may hold together.
//!
//! A bound on each buffer is no bound on ten thousand of them: Redis had its
//! `client-output-buffer-limit` for ten years before `maxmemory-clients` came beside it.

use super::Reactor;
use crate::handler::{CloseReason, Handler, PeerId};
use crate::os::Os;
use std::time::Duration;

/// How long a connection may take nothing of what it is owed: a minute is longer than any pause of
/// a network that comes back, and short enough that a dead one does not stay for hours (TCP itself
/// gives up after some 15 minutes, `tcp_retries2`).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// What all connections' buffers may hold together: enough for two thousand peers that each stand
/// in the middle of the longest line, and a quarter of a small server's memory.
pub const BUFFERS_TOTAL: usize = 256 * 1024 * 1024;

/// What connections may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A connection that takes no byte for so long while something is pending is closed.
    pub stall_timeout: Duration,
    /// Bytes of kept input and of the handler's private outboxes together. Past it nobody else is
    /// read until those who were closed have given back theirs; where that is not enough, one more
    /// goes, and so on. It is exceeded by one read at most, and by what the handler sets aside while
    /// one turn's bytes are sent.
    pub buffers_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { stall_timeout: STALL_TIMEOUT, buffers_total: BUFFERS_TOTAL }
    }
}

/// Ends that the operator should hear of are warnings; the others are daily life.
pub(super) fn level_of(why: CloseReason) -> log::Level {
    match why {
        CloseReason::TooLong
        | CloseReason::Lagged
        | CloseReason::Stalled
        | CloseReason::Buffers
        | CloseReason::LineTimeout
        | CloseReason::Flood
        | CloseReason::NotFlushed => log::Level::Warn,
        _ => log::Level::Info,
    }
}

impl<O: Os> Reactor<O> {
    /// Other limits, from now on. A clock that runs keeps the timer that it has.
    pub fn set_limits(&mut self, limits: Limits) {
        self.stalls.timeout = limits.stall_timeout;
        self.buffers_total = limits.buffers_total;
    }

    /// All buffers together hold more than they may.
    pub(super) fn is_over_total<H: Handler>(&self, handler: &H) -> bool {
        self.kept_bytes + handler.buffered() > self.buffers_total
    }

    /// Memory is short, and who was closed has not given back its part yet: until then nobody comes in
    /// and nobody is read, or those who are refused meanwhile would keep the sweep busy for ever.
    pub(super) fn waits_for_room<H: Handler>(&self, handler: &H) -> bool {
        !self.doomed.is_empty() && self.is_over_total(handler)
    }

    /// The end of the sweep phase, when all that are to be closed have given back theirs: where it
    /// is still too much, one more goes.
    pub(super) fn relieve<H: Handler>(&mut self, handler: &H) {
        if self.doomed.is_empty()
            && self.is_over_total(handler)
            && let Some(peer) = self.costliest(handler.buffered())
        {
            self.doom(peer, CloseReason::Buffers);
        }
    }

    /// Where outboxes hold the most: who has taken nothing for longest. Where input does: whoever
    /// has the most of it, for who is blocked may hold none, and its end would free nothing.
    fn costliest(&self, outboxes: usize) -> Option<PeerId> {
        let blocked = self.stalls.longest();
        let largest = || {
            let conns =
                self.conns.iter().filter(|(_, conn)| conn.kept().is_some() && !conn.console);
            let largest = conns.max_by_key(|(_, conn)| conn.kept_bytes());
            largest.map(|(slot, conn)| conn.id(slot as u32))
        };
        match outboxes >= self.kept_bytes {
            true => blocked.or_else(largest),
            false => largest().or(blocked),
        }
    }

    /// A connection on its way out has no clock of its own any more and keeps no input.
    pub(super) fn let_go(&mut self, peer: PeerId) {
        self.stalls.clear(peer, &mut self.timers);
        let conn = &mut self.conns[peer.slot as usize];
        self.kept_bytes -= conn.kept_bytes();
        conn.keep(None);
    }
}
