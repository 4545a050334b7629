//! The clocks of single peers: how long a line may stay without its end, and how long a peer may
//! send nothing. Pure; what is done when one has run out is the server's affair.
//!
//! Both stand still while the server itself does not read the peer: who is held cannot send. Only a
//! peer in the middle of a line has a line clock, and without an idle timeout nobody has an idle
//! clock, so that the silent cost nothing. Timers are lazy, as nginx' idle timer is: a clock that
//! is set back keeps the timer that it has, and is armed anew when that fires too early.

use crate::handler::PeerId;
use crate::timers::Timers;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a line may take from its first byte to its end (`--line-timeout`): nobody types that
/// long without a newline, and who sends a byte a second must not hold a buffer for a day.
pub const LINE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a text may stand without a newline until its sender is told that chat wants lines.
/// Nobody pauses so long in the middle of a paste; who waits for an answer does.
const NEWLINE_HINT_AFTER: Duration = Duration::from_secs(2);

/// What has run out for a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is to be told that a line needs an end; once in its life.
    Hint(PeerId),
    /// Its line has taken too long.
    Line(PeerId),
    /// It has sent nothing for too long.
    Idle(PeerId),
}

/// What is timed, and for whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Line(PeerId),
    Idle(PeerId),
}

/// All clocks of a server.
pub(super) struct Clocks {
    /// None where there are no lines.
    line_timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
    /// Peers are told that chat wants lines.
    hints: bool,
    clocks: BTreeMap<Key, Clock>,
    timers: Timers<Key>,
}

/// One clock.
#[derive(Clone, Copy, Default)]
struct Clock {
    /// What it showed when it was stopped last.
    shown: Duration,
    /// Since when it runs; none while it stands still.
    since: Option<Instant>,
    /// It stands still because the peer is held.
    held: bool,
    /// The timer that is armed.
    armed: Option<Instant>,
    /// The hint was given: what is left of a line clock when its line has ended.
    hinted: bool,
}

impl Clocks {
    pub(super) fn new(
        line_timeout: Option<Duration>,
        idle_timeout: Option<Duration>,
        hints: bool,
    ) -> Self {
        let (clocks, timers) = (BTreeMap::new(), Timers::new());
        Clocks { line_timeout, idle_timeout, hints, clocks, timers }
    }

    /// A peer is here, or has sent something.
    pub(super) fn heard(&mut self, peer: PeerId, now: Instant) {
        if self.idle_timeout.is_some() {
            self.restart(Key::Idle(peer), now);
        }
    }

    /// What a read of a peer left: a line without its end or none. `anew`: it began in this read.
    pub(super) fn note_line(&mut self, peer: PeerId, unfinished: bool, anew: bool, now: Instant) {
        let key = Key::Line(peer);
        if !unfinished {
            self.forget_line(key);
        } else if self.line_timeout.is_some() {
            let runs = self.clocks.get(&key).is_some_and(|clock| clock.since.is_some());
            if anew || !runs {
                self.restart(key, now);
            }
        }
    }

    /// The peer is held, or read again.
    pub(super) fn set_running(&mut self, peer: PeerId, running: bool, now: Instant) {
        for key in [Key::Line(peer), Key::Idle(peer)] {
            let Some(clock) = self.clocks.get_mut(&key) else { continue };
            match clock.since {
                Some(since) if !running => {
                    clock.shown += now.saturating_duration_since(since);
                    (clock.since, clock.held) = (None, true);
                }
                None if running && clock.held => {
                    (clock.since, clock.held) = (Some(now), false);
                    self.arm(key);
                }
                _ => {}
            }
        }
    }

    /// The peer has no clock any more.
    pub(super) fn forget(&mut self, peer: PeerId) {
        for key in [Key::Line(peer), Key::Idle(peer)] {
            if let Some(Clock { armed: Some(at), .. }) = self.clocks.remove(&key) {
                self.timers.disarm(at, key);
            }
        }
    }

    /// The nearest moment at which something may be due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The next clock that has run out by `now`. A line's and an idle one are gone with it.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Due> {
        while let Some(key) = self.timers.expire(now) {
            let Some(clock) = self.clocks.get_mut(&key) else { continue };
            clock.armed = None;
            let Some(since) = clock.since else { continue }; // armed again when it runs again
            let shown = clock.shown + now.saturating_duration_since(since);
            match key {
                Key::Idle(peer) if self.idle_timeout.is_some_and(|most| shown >= most) => {
                    self.forget(peer);
                    return Some(Due::Idle(peer));
                }
                Key::Line(peer) if self.line_timeout.is_some_and(|most| shown >= most) => {
                    self.forget(peer);
                    return Some(Due::Line(peer));
                }
                Key::Line(peer) if self.hints && !clock.hinted && shown >= NEWLINE_HINT_AFTER => {
                    clock.hinted = true;
                    self.arm(key);
                    return Some(Due::Hint(peer));
                }
                _ => self.arm(key),
            }
        }
        None
    }

    fn restart(&mut self, key: Key, now: Instant) {
        let clock = self.clocks.entry(key).or_default();
        (clock.shown, clock.since, clock.held) = (Duration::ZERO, Some(now), false);
        self.arm(key);
    }

    /// Its line has ended.
    fn forget_line(&mut self, key: Key) {
        let Some(clock) = self.clocks.get_mut(&key) else { return };
        if let Some(at) = clock.armed.take() {
            self.timers.disarm(at, key);
        }
        (clock.shown, clock.since, clock.held) = (Duration::ZERO, None, false);
        if !clock.hinted {
            self.clocks.remove(&key);
        }
    }

    /// Arms the timer of a clock that runs, where none is armed.
    fn arm(&mut self, key: Key) {
        let Some(clock) = self.clocks.get_mut(&key) else { return };
        let (Some(since), None) = (clock.since, clock.armed) else { return };
        let most = match key {
            Key::Idle(_) => self.idle_timeout,
            Key::Line(_) if self.hints && !clock.hinted => {
                self.line_timeout.map(|most| most.min(NEWLINE_HINT_AFTER))
            }
            Key::Line(_) => self.line_timeout,
        };
        let Some(most) = most else { return };
        let at = since + most.saturating_sub(clock.shown);
        clock.armed = Some(at);
        self.timers.arm(at, key);
    }

    /// The most that one peer takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        2 * 2 * (size_of::<(Key, Clock)>() + size_of::<(Instant, Key)>())
    }

    /// Clocks there are, and timers for them.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.clocks.len(), self.timers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { serial: 7, slot: 0 };

    fn clocks(line_s: u64, idle_s: Option<u64>) -> (Clocks, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let line = Some(Duration::from_secs(line_s));
        let clocks = Clocks::new(line, idle_s.map(Duration::from_secs), false);
        (clocks, move |s| start + Duration::from_secs(s))
    }

    #[test]
    fn a_line_has_its_time_from_its_first_byte_however_often_a_byte_comes() {
        let (mut clocks, at) = clocks(60, None);
        for s in 0..60 {
            clocks.note_line(PEER, true, s == 0, at(s));
            assert_eq!(clocks.expire(at(s)), None);
        }
        assert_eq!(clocks.expire(at(60)), Some(Due::Line(PEER)));
        assert_eq!(clocks.counts(), (0, 0));
    }

    #[test]
    fn each_line_has_its_own_time_and_an_ended_one_leaves_nothing() {
        let (mut clocks, at) = clocks(60, None);
        clocks.note_line(PEER, true, true, at(0));
        clocks.note_line(PEER, true, true, at(50)); // the end of one, the start of the next
        assert_eq!(clocks.expire(at(109)), None);
        clocks.note_line(PEER, false, true, at(109));
        assert_eq!((clocks.expire(at(1_000)), clocks.counts()), (None, (0, 0)));
    }

    #[test]
    fn both_clocks_stand_still_while_the_peer_is_held() {
        let (mut clocks, at) = clocks(60, Some(90));
        clocks.heard(PEER, at(0));
        clocks.note_line(PEER, true, true, at(0));
        clocks.set_running(PEER, false, at(50));
        clocks.set_running(PEER, false, at(70));
        assert_eq!((clocks.expire(at(500)), clocks.next()), (None, None));
        clocks.set_running(PEER, true, at(1_000));
        assert_eq!(clocks.expire(at(1_009)), None);
        assert_eq!(clocks.expire(at(1_010)), Some(Due::Line(PEER)));
    }

    #[test]
    fn a_held_peer_is_idle_only_for_the_time_it_was_read() {
        let (mut clocks, at) = clocks(60, Some(90));
        clocks.heard(PEER, at(0));
        clocks.set_running(PEER, false, at(10));
        clocks.set_running(PEER, true, at(500));
        assert_eq!(clocks.expire(at(579)), None);
        assert_eq!(clocks.expire(at(580)), Some(Due::Idle(PEER)));
    }

    #[test]
    fn an_idle_clock_has_one_timer_that_is_not_moved_by_each_word() {
        let (mut clocks, at) = clocks(60, Some(10));
        for s in 0..10 {
            clocks.heard(PEER, at(s));
            assert_eq!((clocks.next(), clocks.counts()), (Some(at(10)), (1, 1)));
        }
        assert_eq!((clocks.expire(at(10)), clocks.next()), (None, Some(at(19))));
        assert_eq!(clocks.expire(at(19)), Some(Due::Idle(PEER)));
    }

    #[test]
    fn without_an_idle_timeout_the_silent_have_no_clock() {
        let (mut clocks, at) = clocks(60, None);
        clocks.heard(PEER, at(0));
        clocks.set_running(PEER, true, at(1));
        assert_eq!(clocks.counts(), (0, 0));
    }
}
