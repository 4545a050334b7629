//! How much a peer may say: messages and bytes a second, each with a burst. Pure.
//!
//! A token bucket in the form of the generic cell rate algorithm (ITU-T I.371): of a bucket only
//! the moment at which it will be full again is kept, so a full one needs no memory. Who has no
//! allowance is not read until it has some, which TCP tells its sender; who still wants more than
//! it may after [`FLOOD_CLOSE`] is closed. Only the flooder bears it.

use crate::handler::PeerId;
use crate::timers::Timers;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// How long a peer may go on wanting more than it may: a paste of a thousand lines goes through at
/// the allowed rate, a flood of hours does not.
const FLOOD_CLOSE: Duration = Duration::from_secs(60);

/// Who was not throttled for so long has stopped: its next flood is a new one.
const FLOOD_REST: Duration = Duration::from_secs(5);

const NANOS: u64 = 1_000_000_000;

/// What one peer may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodLimits {
    /// Messages a second; 0 is no limit.
    pub messages_rate: u32,
    /// Messages at once, after a silence; at least 1.
    pub messages_burst: u32,
    /// Bytes a second; 0 is no limit.
    pub bytes_rate: u64,
    /// Bytes at once, after a silence; the message that goes over it is taken whole.
    pub bytes_burst: u64,
    /// Peers of this host too.
    pub loopback: bool,
}

/// 100 lines may be pasted at once, and nobody types 20 a second; a quarter of a megabyte a second
/// is more than a talk and less than what would fill a room's log between two looks at it.
impl Default for FloodLimits {
    fn default() -> Self {
        FloodLimits {
            messages_rate: 20,
            messages_burst: 100,
            bytes_rate: 256 * 1024,
            bytes_burst: 1024 * 1024,
            loopback: false,
        }
    }
}

/// What is limited, of a second: `20 messages and 262144 bytes`.
impl fmt::Display for FloodLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.messages_rate, self.bytes_rate) {
            (messages, 0) => write!(f, "{messages} messages"),
            (0, bytes) => write!(f, "{bytes} bytes"),
            (messages, bytes) => write!(f, "{messages} messages and {bytes} bytes"),
        }
    }
}

/// Whether a peer may say its next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    Yes,
    /// Not before it is resumed. `first`: it is the first time in this flood.
    Throttled {
        first: bool,
    },
    /// It has gone on for too long.
    Close,
}

/// What was said, of those who said something a moment ago.
pub(super) struct Flood {
    limits: FloodLimits,
    meters: BTreeMap<PeerId, Meter>,
    /// When meters may be full again; looked at when somebody speaks, so nobody is woken for it.
    full: Timers<PeerId>,
    /// When the throttled are to be read again.
    resumes: Timers<PeerId>,
    /// Times that somebody was throttled.
    pub(super) throttled: u64,
}

/// One peer's two buckets.
#[derive(Clone, Copy)]
struct Meter {
    /// When the bucket of messages will be full again.
    messages: Instant,
    /// The same for bytes.
    bytes: Instant,
    /// The flood under way: since when, and until when it was throttled last.
    flood: Option<(Instant, Instant)>,
}

impl FloodLimits {
    /// How far in the future a bucket may be full again while it still gives: a burst's time.
    fn slack(&self) -> [Duration; 2] {
        let messages = u64::from(self.messages_burst.max(1) - 1);
        [times(messages, u64::from(self.messages_rate)), times(self.bytes_burst, self.bytes_rate)]
    }
}

/// The time that so many take at a rate; none where the rate has no limit.
fn times(count: u64, rate: u64) -> Duration {
    match rate {
        0 => Duration::ZERO,
        rate => {
            let nanos = u128::from(count) * u128::from(NANOS) / u128::from(rate);
            Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX / 2))
        }
    }
}

impl Flood {
    pub(super) fn new(limits: FloodLimits) -> Self {
        Flood {
            limits,
            meters: BTreeMap::new(),
            full: Timers::new(),
            resumes: Timers::new(),
            throttled: 0,
        }
    }

    /// True where peers of this kind are measured.
    pub(super) fn applies(&self, from_loopback: bool) -> bool {
        let limited = self.limits.messages_rate > 0 || self.limits.bytes_rate > 0;
        limited && (self.limits.loopback || !from_loopback)
    }

    /// Asks for one message. Where it is not allowed now the peer is to be held; `resume` names it
    /// when that is over.
    pub(super) fn ask(&mut self, peer: PeerId, now: Instant) -> Allowance {
        let Some(meter) = self.meters.get_mut(&peer) else { return Allowance::Yes };
        let [messages, bytes] = self.limits.slack();
        let lacks =
            |full: Instant, slack| full.saturating_duration_since(now).saturating_sub(slack);
        let wait = lacks(meter.messages, messages).max(lacks(meter.bytes, bytes));
        if wait.is_zero() {
            return Allowance::Yes;
        }
        let until = now + wait;
        let lasts = |&(_, until): &(Instant, Instant)| now < until + FLOOD_REST;
        let (since, before) = meter.flood.filter(lasts).unwrap_or((now, now));
        let first = (since, before) == (now, now);
        meter.flood = Some((since, until));
        if now.saturating_duration_since(since) >= FLOOD_CLOSE {
            return Allowance::Close;
        }
        if before < until {
            self.throttled += 1;
            self.resumes.disarm(before, peer);
            self.resumes.arm(until, peer);
        }
        Allowance::Throttled { first }
    }

    /// A message of so many bytes was taken.
    pub(super) fn took(&mut self, peer: PeerId, bytes: usize, now: Instant) {
        self.forget_full(now);
        let FloodLimits { messages_rate, bytes_rate, .. } = self.limits;
        let meter = self.meters.entry(peer).or_insert_with(|| {
            self.full.arm(now, peer);
            Meter { messages: now, bytes: now, flood: None }
        });
        meter.messages = meter.messages.max(now) + times(1, u64::from(messages_rate));
        meter.bytes = meter.bytes.max(now) + times(bytes as u64, bytes_rate);
    }

    /// Drops meters that are full again: they say what none would say.
    fn forget_full(&mut self, now: Instant) {
        while let Some(peer) = self.full.expire(now) {
            let Some(meter) = self.meters.get(&peer) else { continue };
            let rest = meter.flood.map_or(now, |(_, until)| until + FLOOD_REST);
            let full = meter.messages.max(meter.bytes).max(rest);
            match full <= now {
                true => drop(self.meters.remove(&peer)),
                false => self.full.arm(full, peer),
            }
        }
    }

    /// When somebody is to be read again.
    pub(super) fn next(&self) -> Option<Instant> {
        self.resumes.next()
    }

    /// Who is to be read again by `now`, until there is none.
    pub(super) fn resume(&mut self, now: Instant) -> Option<PeerId> {
        self.resumes.expire(now)
    }

    /// Anybody who is throttled, until there is none.
    pub(super) fn release(&mut self) -> Option<PeerId> {
        self.resumes.expire(self.resumes.next()?)
    }

    /// The most that one peer takes here, in bytes; a place in a tree counts twice.
    #[cfg(test)]
    pub(super) fn peer_bytes() -> usize {
        2 * (size_of::<(PeerId, Meter)>() + 2 * size_of::<(Instant, PeerId)>())
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        if let Some(Meter { flood: Some((_, until)), .. }) = self.meters.remove(&peer) {
            self.resumes.disarm(until, peer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId { serial: 7, slot: 0 };
    const OTHER: PeerId = PeerId { serial: 8, slot: 1 };

    fn flood() -> (Flood, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let limits = FloodLimits {
            messages_rate: 10,
            messages_burst: 50,
            bytes_rate: 1_000,
            bytes_burst: 10_000,
            loopback: true,
        };
        (Flood::new(limits), move |ms| start + Duration::from_millis(ms))
    }

    /// Says one message of so many bytes, where that is allowed.
    fn say(flood: &mut Flood, bytes: usize, now: Instant) -> bool {
        let allowed = flood.ask(PEER, now) == Allowance::Yes;
        if allowed {
            flood.took(PEER, bytes, now);
        }
        allowed
    }

    #[test]
    fn a_paste_of_fifty_lines_passes_and_the_next_line_waits_for_its_turn() {
        let (mut flood, at) = flood();
        for _ in 0..50 {
            assert!(say(&mut flood, 1, at(0)));
        }
        assert_eq!(flood.ask(PEER, at(0)), Allowance::Throttled { first: true });
        assert_eq!((flood.next(), flood.resume(at(99))), (Some(at(100)), None));
        assert_eq!(flood.resume(at(100)), Some(PEER));
        assert!(say(&mut flood, 1, at(100)));
        assert_eq!(flood.ask(PEER, at(100)), Allowance::Throttled { first: false });
        assert_eq!(flood.throttled, 2);
    }

    #[test]
    fn over_time_a_flooder_says_the_rate_and_the_burst_and_no_more() {
        let (mut flood, at) = flood();
        let said = (0..20_000).filter(|&ms| say(&mut flood, 1, at(ms))).count();
        assert_eq!(said, 50 + 10 * 20 - 1, "the first 50 at 0, then one each 100 ms");
    }

    #[test]
    fn bytes_are_counted_too_and_a_long_message_is_taken_whole() {
        let (mut flood, at) = flood();
        assert!(say(&mut flood, 15_000, at(0)));
        assert!(!say(&mut flood, 1, at(4_999)));
        assert!(say(&mut flood, 1, at(5_000)));
    }

    #[test]
    fn who_goes_on_for_a_minute_is_closed_and_who_stops_in_between_is_not() {
        let (mut flood, at) = flood();
        let closed = |flood: &mut Flood, from: u64, to: u64| {
            (from..to).step_by(10).find(|&ms| {
                let asked = flood.ask(PEER, at(ms));
                if asked == Allowance::Yes {
                    flood.took(PEER, 1, at(ms));
                }
                asked == Allowance::Close
            })
        };
        assert_eq!(closed(&mut flood, 0, 50_000), None);
        assert_eq!(closed(&mut flood, 56_000, 110_000), None, "a new flood");
        assert!(closed(&mut flood, 110_000, 130_000).is_some());
    }

    #[test]
    fn the_silent_and_the_slow_cost_no_memory_and_no_wake_up() {
        let (mut flood, at) = flood();
        flood.took(OTHER, 1, at(0));
        for ms in (1_000..10_000).step_by(200) {
            assert!(say(&mut flood, 1, at(ms)));
            assert!(flood.meters.len() <= 1, "the other's bucket is full again");
            assert!(flood.full.len() <= 1 && flood.next().is_none());
        }
    }

    #[test]
    fn a_limit_of_zero_is_none() {
        let (_, at) = flood();
        let limits = FloodLimits { messages_rate: 0, bytes_rate: 0, ..FloodLimits::default() };
        assert!(!Flood::new(limits).applies(false));
        let mut flood = Flood::new(FloodLimits { messages_rate: 0, ..FloodLimits::default() });
        assert!((0..10_000).all(|_| say(&mut flood, 1, at(0))));
    }

    #[test]
    fn peers_of_this_host_are_left_alone_unless_asked_for() {
        let flood = Flood::new(FloodLimits::default());
        assert!(flood.applies(false) && !flood.applies(true));
    }

    #[test]
    fn who_is_gone_leaves_nothing() {
        let (mut flood, at) = flood();
        while say(&mut flood, 1, at(0)) {}
        flood.forget(PEER);
        assert_eq!((flood.meters.len(), flood.next()), (0, None));
    }
}
