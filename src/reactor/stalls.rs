//! Who takes nothing: the clocks of connections whose socket took less than it was offered. Pure.
//!
//! Only a blocked connection has a clock; the idle and the quick cost nothing. Its timer is lazy, as
//! nginx' idle timer is: progress moves the clock and not the timer, which is armed anew when it
//! fires too early. It fires for one more try, not for the end: Linux tells that a socket is
//! writable only when a third of its queue is free (`sk_stream_is_writeable`), so a slow reader may
//! have taken bytes that no event told of.

use crate::handler::PeerId;
use crate::timers::Timers;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) struct Stalls {
    pub(super) timeout: Duration,
    blocked: BTreeMap<PeerId, Stall>,
}

/// One clock.
#[derive(Clone, Copy)]
pub(super) struct Stall {
    /// The last send that took a byte, or the first that took none.
    pub(super) since: Instant,
    /// The timer that is armed; none between its firing and the try.
    pub(super) armed: Option<Instant>,
}

impl Stalls {
    pub(super) fn new(timeout: Duration) -> Self {
        Stalls { timeout, blocked: BTreeMap::new() }
    }

    /// A send took bytes: starts the clock where it took fewer than it was offered (`short`), and
    /// starts it anew where it runs.
    pub(super) fn took(
        &mut self,
        peer: PeerId,
        short: bool,
        now: Instant,
        timers: &mut Timers<PeerId>,
    ) {
        if short {
            self.blocked.entry(peer).or_insert(Stall { since: now, armed: None });
        }
        if let Some(stall) = self.blocked.get_mut(&peer) {
            stall.since = now;
            stall.arm(peer, self.timeout, timers);
        }
    }

    /// A send took nothing: starts the clock, or lets it run. True where it has run out.
    pub(super) fn refused(
        &mut self,
        peer: PeerId,
        now: Instant,
        timers: &mut Timers<PeerId>,
    ) -> bool {
        let stall = self.blocked.entry(peer).or_insert(Stall { since: now, armed: None });
        stall.arm(peer, self.timeout, timers);
        now >= stall.since + self.timeout
    }

    /// Nothing is pending, or it is somebody else's deadline now: stops the clock.
    #[inline(always)]
    pub(super) fn clear(&mut self, peer: PeerId, timers: &mut Timers<PeerId>) {
        if self.blocked.is_empty() {
            return; // after most sends, so it is asked for first
        }
        if let Some(Stall { armed: Some(at), .. }) = self.blocked.remove(&peer) {
            timers.disarm(at, peer);
        }
    }

    /// Its timer has fired. True where the clock has run out: try to send once more.
    pub(super) fn is_due(
        &mut self,
        peer: PeerId,
        now: Instant,
        timers: &mut Timers<PeerId>,
    ) -> bool {
        let Some(stall) = self.blocked.get_mut(&peer) else { return false };
        stall.armed = None;
        let due = now >= stall.since + self.timeout;
        if !due {
            stall.arm(peer, self.timeout, timers);
        }
        due
    }

    /// Who has been blocked for longest.
    pub(super) fn longest(&self) -> Option<PeerId> {
        let blocked = self.blocked.iter().min_by_key(|(_, stall)| stall.since);
        blocked.map(|(&peer, _)| peer)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = (PeerId, Stall)> + '_ {
        self.blocked.iter().map(|(&peer, &stall)| (peer, stall))
    }
}

impl Stall {
    fn arm(&mut self, peer: PeerId, timeout: Duration, timers: &mut Timers<PeerId>) {
        if self.armed.is_none() {
            let at = self.since + timeout;
            self.armed = Some(at);
            timers.arm(at, peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { serial: 1, slot: 0 };
    const OTHER: PeerId = PeerId { serial: 2, slot: 1 };

    struct World {
        start: Instant,
        stalls: Stalls,
        timers: Timers<PeerId>,
    }

    impl World {
        fn new() -> Self {
            let stalls = Stalls::new(Duration::from_millis(100));
            World { start: Instant::now(), stalls, timers: Timers::new() }
        }

        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn took(&mut self, peer: PeerId, short: bool, ms: u64) {
            let now = self.at(ms);
            self.stalls.took(peer, short, now, &mut self.timers);
        }

        fn refused(&mut self, peer: PeerId, ms: u64) -> bool {
            let now = self.at(ms);
            self.stalls.refused(peer, now, &mut self.timers)
        }

        /// Who is to be tried once more.
        fn expire(&mut self, ms: u64) -> Vec<PeerId> {
            let now = self.at(ms);
            let mut due = Vec::new();
            while let Some(peer) = self.timers.expire(now) {
                if self.stalls.is_due(peer, now, &mut self.timers) {
                    due.push(peer);
                }
            }
            due
        }
    }

    #[test]
    fn a_whole_send_starts_no_clock() {
        let mut world = World::new();
        world.took(PEER, false, 0);
        assert!(world.timers.is_empty() && world.stalls.longest().is_none());
    }

    #[test]
    fn the_clock_runs_from_the_last_byte_and_its_timer_is_lazy() {
        let mut world = World::new();
        world.took(PEER, true, 0);
        assert!(!world.refused(PEER, 50), "which is no progress");
        world.took(PEER, true, 60);
        assert_eq!(world.timers.next(), Some(world.at(100)), "not moved");
        assert_eq!(world.expire(100), []);
        assert_eq!(world.timers.next(), Some(world.at(160)), "moved when it fired");
        assert_eq!(world.expire(160), [PEER]);
        assert!(world.refused(PEER, 160));
    }

    #[test]
    fn the_last_try_may_succeed() {
        let mut world = World::new();
        world.refused(PEER, 0);
        assert_eq!(world.expire(100), [PEER]);
        world.took(PEER, false, 100);
        assert!(!world.refused(PEER, 199));
        assert_eq!(world.expire(200), [PEER]);
    }

    #[test]
    fn who_is_owed_nothing_has_no_clock_and_no_timer() {
        let mut world = World::new();
        world.took(PEER, true, 0);
        let World { stalls, timers, .. } = &mut world;
        stalls.clear(PEER, timers);
        assert!(world.timers.is_empty());
        assert!(!world.refused(PEER, 500), "a new clock");
    }

    #[test]
    fn the_longest_is_who_made_no_progress_for_longest() {
        let mut world = World::new();
        world.refused(PEER, 0);
        world.refused(OTHER, 10);
        assert_eq!(world.stalls.longest(), Some(PEER));
        world.took(PEER, true, 20);
        assert_eq!(world.stalls.longest(), Some(OTHER));
    }
}
