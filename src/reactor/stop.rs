//! Stopping: no more accepts, what has arrived is read, everybody is finished, what is left is cut.

use super::Reactor;
use super::conn::Phase;
use super::listener::Listener;
use crate::handler::{CloseReason, FOR_EVER, PeerId};
use crate::os::Os;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Turns in which a stop goes on reading what comes meanwhile, datagrams too: a moment, for they may
/// come without end.
const STOP_TURNS_MAX: u32 = 64;

/// Reads of one peer after which what it sends has no end: 4 MiB, about as much as a receive queue of
/// Linux holds (tcp(7), `tcp_rmem`).
const STOP_READS_MAX: u32 = 64;

/// The part of a stop's time, as a divisor, in which is waited for who is held. The rest is for
/// sending.
const STOP_READING_DIVISOR: u32 = 2;

/// A stop under way.
pub(super) struct Stopping {
    deadline: Option<Instant>,
    /// Who has not been found silent since it began, with the reads that are left to each.
    unread: BTreeMap<PeerId, u32>,
    /// Until then they are waited for.
    read_until: Instant,
    /// Turns left for what comes meanwhile.
    turns: u32,
    /// Every connection has been told to finish.
    finishing: bool,
}

impl Stopping {
    /// What waits in the kernel is to be looked at without waiting for an event.
    pub(super) fn looks_again(&self) -> bool {
        !self.finishing && self.turns > 0
    }

    /// When it goes on by itself.
    pub(super) fn next(&self) -> Option<Instant> {
        let reading = (!self.finishing).then_some(self.read_until);
        [reading, self.deadline].into_iter().flatten().min()
    }

    /// A recv of this peer was made.
    pub(super) fn note_recv(&mut self, peer: PeerId) {
        if let Some(reads) = self.unread.get_mut(&peer) {
            *reads -= 1;
        }
    }
}

impl<O: Os> Reactor<O> {
    /// `within`: all the time there is for it; `None`: nobody is waited for while reading, and
    /// everybody while sending.
    pub(super) fn stop(&mut self, within: Option<Duration>, now: Instant) {
        // What waits in the kernel is looked at once more, whatever the last poll said.
        self.quiet = false;
        self.close_listeners();
        let deadline = within.map(|within| now + within);
        if let Some(stop) = &mut self.stopping {
            stop.deadline = [stop.deadline, deadline].into_iter().flatten().min();
            return;
        }
        let peers = self.peers();
        for &peer in &peers {
            let Some(conn) = self.conn(peer) else { continue };
            conn.readable |= matches!(conn.phase(), Phase::Open);
            self.queue_read(peer);
        }
        self.stopping = Some(Stopping {
            deadline,
            unread: peers.into_iter().map(|peer| (peer, STOP_READS_MAX)).collect(),
            read_until: now + within.unwrap_or_default() / STOP_READING_DIVISOR,
            turns: STOP_TURNS_MAX,
            finishing: false,
        });
    }

    fn close_listeners(&mut self) {
        (0..self.listeners.len()).for_each(|index| self.close_listener(index));
    }

    pub(super) fn close_listener(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index).and_then(Listener::take) {
            self.os.close_listener(listener);
        }
    }

    /// A stop first reads what has arrived, then finishes everybody, then cuts what is left.
    pub(super) fn act_on_stop(&mut self, now: Instant) {
        let Reactor { stopping: Some(stop), conns, .. } = self else { return };
        let overdue = stop.deadline.is_some_and(|deadline| deadline <= now);
        stop.turns = stop.turns.saturating_sub(1);
        stop.unread.retain(|peer, reads| {
            let conn = conns.get(peer.slot as usize).filter(|conn| conn.serial == peer.serial);
            *reads > 0 && conn.is_some_and(|conn| conn.may_have_more())
        });
        let silent = stop.unread.is_empty() || now >= stop.read_until;
        let over = self.quiet && self.readable.is_empty() || stop.turns == 0;
        if overdue && !stop.finishing {
            // At once: nobody is given time, so nobody is blamed for having taken too long.
            stop.finishing = true;
            for peer in self.peers() {
                self.doom(peer, CloseReason::Stopping);
            }
        } else if !stop.finishing && silent && over {
            stop.finishing = true;
            let deadline = stop.deadline;
            for peer in self.peers() {
                self.finish(peer, CloseReason::Stopping, deadline.unwrap_or(now + FOR_EVER));
            }
        }
        let all_doomed = self.doomed.len() == self.conns.len();
        if overdue && !all_doomed {
            self.peers().into_iter().for_each(|peer| self.cut(peer));
        }
    }

    pub(super) fn stopped(&self) -> bool {
        self.stopping.as_ref().is_some_and(|stop| stop.finishing) && self.conns.is_empty()
    }
}
