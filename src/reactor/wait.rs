//! The wait phase: how long to sleep, when not to, and when to look again first. It decides nothing
//! about what came.

use super::Reactor;
use super::listener::Listener;
use super::stop::Stopping;
use super::udp::UdpSocket;
use super::unix_dgram::UnixSocket;
use crate::handler::Handler;
use crate::os::Os;
use std::io;
use std::time::{Duration, Instant};

impl<O: Os> Reactor<O> {
    pub(super) fn wait<H: Handler>(&mut self, handler: &mut H) -> io::Result<()> {
        if self.next_action.is_none() {
            self.next_action = handler.next_action(self.now);
        }
        let work = self.has_work();
        let stop_reads = self.stopping.as_ref().is_some_and(Stopping::looks_again);
        let due = if work || stop_reads { Some(self.now) } else { self.next_deadline(handler) };
        // Looks again for as long as the pace says, then sleeps until something comes or is due.
        loop {
            let looks = self.pace.stays_awake(self.now) && due.is_none_or(|due| self.now < due);
            let left = due.map(|due| due.saturating_duration_since(self.now));
            let timeout = if looks { Some(Duration::ZERO) } else { left };
            self.os.poll(&mut self.events, timeout)?;
            if !looks || !self.events.is_empty() {
                break;
            }
            self.look();
        }
        self.quiet = self.events.is_empty() && !work;
        Ok(())
    }

    /// True where waiting would delay something that can be done now.
    fn has_work(&self) -> bool {
        !self.readable.is_empty()
            || !self.doomed.is_empty()
            || self.pace.deadline().is_none() && self.has_writes()
            || self.next_action.is_some()
            || self.listeners.iter().any(Listener::wants_accept)
            || self.udps.iter().any(UdpSocket::is_ready)
            || self.unix_dgrams.iter().any(UnixSocket::is_ready)
    }

    fn has_writes(&self) -> bool {
        !self.writable.is_empty() || self.visiting.is_some() || self.flush_unfinished
    }

    fn next_deadline<H: Handler>(&self, handler: &H) -> Option<Instant> {
        let pause = self.listeners.iter().filter_map(Listener::deadline).min();
        let stop = self.stopping.as_ref().and_then(Stopping::next);
        let (timer, pace) = (self.timers.next(), self.pace.deadline());
        let all = [pause, stop, timer, pace, self.console_retry, handler.next_deadline()];
        all.into_iter().flatten().min()
    }
}
