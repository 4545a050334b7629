//! What the server does about single peers that are silent, slow to end a line, or say too much,
//! and how much memory all of them may take: the use of `clocks`, `flood` and `memory`.

use super::Options;
use super::clocks::{Clocks, Due};
use super::flood::{Allowance, Flood, FloodLimits};
use super::memory::Ceiling;
use super::server::Server;
use crate::chat::Said;
use crate::handler::{Action, CloseReason, PeerId};
use crate::wire::Protocol;
use std::time::{Duration, Instant};

/// Names of those cut at a stop's deadline that are told: a line that can be read.
const CUT_NAMES_MAX: usize = 20;

/// Limits of a server, and what they need to remember.
pub(super) struct Bounds {
    /// Who is silent, and whose line has no end yet.
    pub(super) clocks: Clocks,
    /// Who says too much.
    pub(super) flood: Flood,
    flood_limits: FloodLimits,
    line_timeout: Duration,
    idle_timeout: Option<Duration>,
    /// How long a stop waits for the peers.
    pub(super) stop_timeout: Duration,
    /// Who was cut at a stop's deadline, the first [`CUT_NAMES_MAX`] of them, and how many in all.
    cut: (Vec<String>, usize),
}

impl Bounds {
    pub(super) fn new(options: &Options) -> Self {
        let protocol = options.rules.protocol;
        let line_timeout = (protocol != Protocol::Raw).then_some(options.line_timeout);
        Bounds {
            clocks: Clocks::new(line_timeout, options.idle_timeout, protocol == Protocol::Chat),
            flood: Flood::new(options.flood),
            flood_limits: options.flood,
            line_timeout: options.line_timeout,
            idle_timeout: options.idle_timeout,
            stop_timeout: options.stop_timeout,
            cut: (Vec::new(), 0),
        }
    }

    /// The most that one peer takes here, in bytes.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        Clocks::peer_bytes() + Flood::peer_bytes()
    }

    /// The nearest moment at which one of them may be reached.
    pub(super) fn next(&self) -> Option<Instant> {
        [self.clocks.next(), self.flood.next()].into_iter().flatten().min()
    }
}

impl Server {
    /// One message, where the peer may say it now; `limited`: it must be asked.
    #[inline]
    pub(super) fn say_if_allowed(
        &mut self,
        peer: PeerId,
        message: &[u8],
        limited: bool,
        now: Instant,
    ) -> Said {
        if limited && !self.is_allowed(peer, now) {
            return Said::Hold;
        }
        let said = self.say(peer, message, now);
        if limited && said == Said::Yes {
            self.bounds.flood.took(peer, message.len(), now);
        }
        said
    }

    /// True for a peer whose words are measured. At a stop nobody's are: what has arrived is
    /// delivered.
    pub(super) fn is_limited(&self, peer: PeerId) -> bool {
        if self.stopping {
            return false;
        }
        let from = self.gate.caller_of(peer);
        from.is_some_and(|from| self.bounds.flood.applies(from.is_local()))
    }

    /// Whether a measured peer may say one more message. Who goes on flooding is closed.
    fn is_allowed(&mut self, peer: PeerId, now: Instant) -> bool {
        match self.bounds.flood.ask(peer, now) {
            Allowance::Yes => return true,
            Allowance::Throttled { first: true } => {
                let limits = self.bounds.flood_limits;
                self.chat.tell(peer, format_args!("slow down: you are read at {limits} a second"));
            }
            Allowance::Throttled { first: false } => {}
            Allowance::Close => self.close(peer, CloseReason::Flood, "closed: flooding"),
        }
        false
    }

    /// Ends a peer by our decision; not while a stop lets it take what it is owed.
    fn close(&mut self, peer: PeerId, why: CloseReason, last_words: &str) {
        self.bounds.clocks.forget(peer);
        if self.chat.is_here(peer) && !self.stopping {
            self.chat.close(peer, why, format_args!("{last_words}"));
        }
    }

    /// Whether a peer is not to be read now. Then its line may not be finished because of us: its
    /// clocks stand still.
    pub(super) fn holds(&mut self, peer: PeerId, now: Instant) -> bool {
        let limited = self.is_limited(peer);
        let holds = self.chat.holds(peer) || (limited && !self.is_allowed(peer, now));
        if holds {
            self.bounds.clocks.set_running(peer, false, now);
        }
        holds
    }

    /// Closes whose clock has run out, and reads the throttled again.
    pub(super) fn expire_bounds(&mut self, now: Instant) {
        while let Some(due) = self.bounds.clocks.expire(now) {
            match due {
                Due::Hint(peer) => {
                    let hint = "no newline yet: end the line, or ask for --protocol raw";
                    self.chat.tell(peer, format_args!("{hint}"));
                }
                Due::Line(peer) => {
                    let words = format!(
                        "closed: no newline for {} s",
                        self.bounds.line_timeout.as_secs_f64()
                    );
                    self.close(peer, CloseReason::LineTimeout, &words);
                }
                Due::Idle(peer) => {
                    let most = self.bounds.idle_timeout.unwrap_or_default().as_secs_f64();
                    let words = format!("closed: nothing sent for {most} s");
                    self.close(peer, CloseReason::Idle, &words);
                }
            }
        }
        while let Some(peer) = self.bounds.flood.resume(now) {
            self.actions.push_back(Action::Resume(peer));
        }
    }

    /// A stop begins: who was throttled is read to the end of what has arrived.
    pub(super) fn lift_bounds(&mut self) {
        while let Some(peer) = self.bounds.flood.release() {
            self.actions.push_back(Action::Resume(peer));
        }
    }

    /// A connection is gone.
    pub(super) fn note_end(&mut self, peer: PeerId, why: CloseReason) {
        self.bounds.clocks.forget(peer);
        self.bounds.flood.forget(peer);
        if self.stopping && why == CloseReason::NotFlushed && !self.is_console(peer) {
            let (names, count) = &mut self.bounds.cut;
            *count += 1;
            if names.len() < CUT_NAMES_MAX {
                names.push(format!("{} {peer}", self.chat.name_of(peer)));
            }
        }
    }

    /// What memory peers may take, with the limits of now.
    pub(super) fn ceiling(&self) -> Ceiling {
        let rules = self.chat.rules();
        // Where there are no rooms, the lobby is the one.
        let rooms = if self.protocol == Protocol::Chat { usize::from(rules.rooms_max) } else { 1 };
        let (log_bytes, buffers_total) = (rules.log_bytes, self.buffers_total);
        let connections = self.gate.connections_max() + self.desks_max();
        Ceiling { rooms, log_bytes, buffers_total, connections }
    }

    /// The limits on time, for `/limits`.
    pub(super) fn timeouts(&self) -> [String; 2] {
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
        let idle = self.bounds.idle_timeout.map_or("off".to_owned(), seconds);
        [
            format!("idle-timeout {idle}"),
            format!("line-timeout {}", seconds(self.bounds.line_timeout)),
        ]
    }

    /// Tells whom a stop's deadline cut.
    pub(super) fn tell_cut(&self) {
        let (names, count) = &self.bounds.cut;
        if *count > 0 {
            let more = match count - names.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            log::warn!("{count} cut at the deadline: {}{more}", names.join(", "));
        }
    }
}
