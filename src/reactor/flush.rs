//! The flush phase: the one place that writes to connections.
//!
//! A peer is visited until nothing is pending or its socket is full; only then does the handler's
//! sweep go on to the next. So when a sweep has ended, every peer whose socket took bytes has been
//! offered all there was at its start: that is what lets a log drop old messages safely.

use super::conn::{Ending, Input, Output, Phase};
use super::{DRAIN_MS_MAX, Reactor};
use crate::handler::{Call, CloseReason, Handler, PeerId, Slices};
use crate::os::Os;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// How a visit ended.
enum Visit {
    /// Nothing is pending, or the socket is full, or the peer is gone.
    Over,
    /// The turn's sends are used up in the middle of it.
    OutOfBudget,
}

/// What is left of a turn's sends, and when one of them was last timed.
struct Left {
    sends: usize,
    /// The last look at the clock, and how many sends it is still good for.
    looked: Option<(Instant, usize)>,
}

impl Left {
    /// When the send was made that was just made.
    fn now(&mut self, sends_a_look: usize, os: &mut impl Os) -> Instant {
        let (now, sends) = match self.looked {
            Some((looked, sends)) if sends > 0 => (looked, sends - 1),
            _ => (os.now(), sends_a_look - 1),
        };
        self.looked = Some((now, sends));
        now
    }
}

impl<O: Os> Reactor<O> {
    pub(super) fn flush<H: Handler>(&mut self, handler: &mut H) {
        let mut left = Left { sends: self.budgets.sends, looked: None };
        self.flush_unfinished = true;
        for _ in 0..self.budgets.visits {
            let next = self.visiting.take().or_else(|| self.writable.pop_front());
            let Some(peer) = next.or_else(|| handler.next_dirty()) else {
                self.flush_unfinished = false;
                break;
            };
            if let Visit::OutOfBudget = self.visit(peer, &mut left, handler) {
                self.visiting = Some(peer);
                break;
            }
        }
        self.raise();
    }

    /// Inlined, so that no frame is returned through between two sends (`os/stream.rs`).
    #[inline(always)]
    fn visit<H: Handler>(&mut self, peer: PeerId, left: &mut Left, handler: &mut H) -> Visit {
        let Reactor { os, conns, stats, stalls, timers, budgets, .. } = self;
        let Some(conn) = conns.get_mut(peer.slot as usize) else { return Visit::Over };
        let may_write = matches!(conn.phase(), Phase::Open | Phase::Flushing(_));
        if conn.serial != peer.serial || !may_write {
            return Visit::Over;
        }
        if conn.output == Output::Ended {
            // Nothing can follow the FIN; an end that was asked for behind it goes on.
            self.flushed(peer);
            return Visit::Over;
        }
        // Who is finishing has a deadline already, and a screen that nobody looks at is no peer.
        let clocked = matches!(conn.phase(), Phase::Open) && !conn.console;
        while conn.writable {
            let mut slices = Slices::new();
            handler.pending(peer, &mut slices);
            let (offered, all) = (slices.bytes(), slices.are_all());
            if offered == 0 {
                self.flushed(peer);
                return Visit::Over;
            }
            if left.sends == 0 {
                return Visit::OutOfBudget;
            }
            left.sends -= 1;
            stats.sends += 1;
            let sent = os.send(&mut conn.stream, slices.runs());
            let now = left.now(budgets.sends_a_look, os);
            match sent {
                Ok(n) => {
                    stats.bytes_out += n as u64;
                    conn.writable = n == offered;
                    stats.sends_blocked += u64::from(n < offered);
                    handler.sent(peer, n, now);
                    if all && n == offered {
                        self.flushed(peer);
                        return Visit::Over;
                    }
                    if clocked {
                        stalls.took(peer, n < offered, now, timers);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    conn.writable = false;
                    stats.sends_blocked += 1;
                    if clocked && stalls.refused(peer, now, timers) {
                        self.doom(peer, CloseReason::Stalled);
                        return Visit::Over;
                    }
                }
                Err(error) => {
                    self.doom(peer, CloseReason::failed(Call::Send, &error));
                    return Visit::Over;
                }
            }
        }
        Visit::Over
    }

    /// Nothing is pending for this peer: its end may go on, if there is one.
    #[inline(always)]
    fn flushed(&mut self, peer: PeerId) {
        let Reactor { conns, stalls, timers, .. } = self;
        stalls.clear(peer, timers);
        let conn = &conns[peer.slot as usize];
        if conn.output != Output::Open || !matches!(conn.phase(), Phase::Open) {
            self.go_on_ending(peer);
        }
    }

    fn go_on_ending(&mut self, peer: PeerId) {
        let Reactor { os, conns, .. } = self;
        let conn = &mut conns[peer.slot as usize];
        let finishing = match conn.phase() {
            Phase::Flushing(ending) => Some(ending.why),
            _ => None,
        };
        // The close itself sends the FIN of who has nothing more to say: a call less for each peer
        // that leaves.
        if let Some(why) = finishing
            && (conn.input == Input::Ended || conn.console)
        {
            return self.doom(peer, why);
        }
        let ends = conn.output == Output::Ending || finishing.is_some();
        if ends && conn.output != Output::Ended {
            conn.output = Output::Ended;
            os.shutdown(&mut conn.stream);
        }
        if let Some(why) = finishing {
            let deadline = os.now() + Duration::from_millis(DRAIN_MS_MAX);
            let ending = Ending { why, deadline, dropped: 0 };
            self.enter(peer, Phase::Draining(ending));
            self.queue_read(peer);
        }
    }

    /// Lets stderr have what it takes; never waits for it. Leaves the lines to the handler where
    /// they would tear what it draws.
    pub(super) fn flush_log(&mut self) {
        if self.log_is_shown() {
            return;
        }
        let Reactor { os, log, log_ready, .. } = self;
        if !*log_ready || log.is_empty() {
            return;
        }
        match log.drain(|bytes| os.write_log(bytes)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => *log_ready = false,
            // Nobody reads stderr any more, or its disk is full: no reason to stop. The queue
            // drops and counts what it cannot hold, and the next turn tries again.
            Ok(()) | Err(_) => {}
        }
    }
}
