//! Stopping: no more accepts, what has arrived is read, everybody is finished, what is left is cut.

use super::Reactor;
use super::listener::Listener;
use crate::handler::{CloseReason, FOR_EVER};
use crate::os::Os;
use std::time::Instant;

/// Turns that a stop goes on reading what had arrived. Who sends without end must not hold the
/// stop up; 64 turns read 4 MiB of one peer.
const STOP_TURNS_MAX: u32 = 64;

/// A stop under way.
pub(super) struct Stopping {
    pub(super) deadline: Option<Instant>,
    /// Turns left in which what has arrived is still read.
    pub(super) turns: u32,
    /// Every connection has been told to finish.
    pub(super) finishing: bool,
}

impl<O: Os> Reactor<O> {
    pub(super) fn stop(&mut self, deadline: Option<Instant>) {
        // What waits in the kernel is looked at once more, whatever the last poll said.
        self.quiet = false;
        self.close_listeners();
        match &mut self.stopping {
            Some(stop) => stop.deadline = [stop.deadline, deadline].into_iter().flatten().min(),
            None => {
                self.stopping =
                    Some(Stopping { deadline, turns: STOP_TURNS_MAX, finishing: false });
            }
        }
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
        let Some(stop) = &mut self.stopping else { return };
        let overdue = stop.deadline.is_some_and(|deadline| deadline <= now);
        stop.turns = stop.turns.saturating_sub(1);
        let read_up = self.quiet && self.readable.is_empty();
        if overdue && !stop.finishing {
            // At once: nobody is given time, so nobody is blamed for having taken too long.
            stop.finishing = true;
            for peer in self.peers() {
                self.doom(peer, CloseReason::Stopping);
            }
        } else if !stop.finishing && (read_up || stop.turns == 0) {
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
