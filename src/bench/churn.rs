//! Connections that are opened and closed again: the handler of `connect`. A handshake only proves
//! that the kernel took it, so each connection ends its input at once and lives until the server
//! has ended its own: it was accepted, read and closed.

use super::account::slices::Slices as TimeSlices;
use super::account::watch::Watch;
use super::account::{DIGITS, histogram};
use super::drive::{Driven, Failure, Live};
use super::load::dials::Dials;
use super::options::Length;
use super::server::turns_away;
use crate::handler::{
    Action, CloseReason, Datagram, Endpoint, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A connection that the server has not ended by then has failed.
const LIFE_MAX: Duration = Duration::from_secs(3);

/// A connection that is open.
#[derive(Clone, Copy)]
struct Life {
    serial: u64,
    /// When it was opened.
    at: Instant,
    /// Whether the server has said anything yet.
    greeted: bool,
}

/// The connections, one after the other.
pub(super) struct Churn {
    dials: Dials,
    window: usize,
    start: Instant,
    warm: Instant,
    length: Length,
    /// The latest that we were told.
    now: Instant,
    /// Dialed and not gone yet.
    under_way: usize,
    /// By slot.
    open: Vec<Option<Life>>,
    /// In the order in which they were opened.
    oldest: VecDeque<(Instant, PeerId)>,
    actions: VecDeque<Action>,
    failure: Option<Failure>,
    pub(super) watch: Watch,
    /// From the handshake to the server's end, in ns.
    pub(super) life: Histogram<u64>,
    pub(super) slices: TimeSlices,
    /// Whole lives after the warm-up, and in all.
    pub(super) counted: u64,
    pub(super) done: u64,
    pub(super) done_last: Instant,
    /// Those that the server turned away: that is quick, and no service.
    pub(super) turned_away: u64,
    /// Those that failed, by reason.
    pub(super) failed: BTreeMap<String, u64>,
}

impl Churn {
    pub(super) fn new(
        to: Endpoint,
        window: usize,
        (warmup, length): (Duration, Length),
        now: Instant,
    ) -> Self {
        let expected = match length {
            Length::Time(time) => time,
            Length::Messages(_) => Duration::from_secs(1),
        };
        Churn {
            // Each leaves its port in TIME_WAIT for a minute: one source would run dry.
            dials: Dials::new(to, usize::MAX),
            window,
            start: now,
            warm: now + warmup,
            length,
            now,
            under_way: 0,
            open: Vec::new(),
            oldest: VecDeque::new(),
            actions: VecDeque::new(),
            failure: None,
            watch: Watch::new(now),
            life: histogram(DIGITS),
            slices: TimeSlices::new(expected),
            counted: 0,
            done: 0,
            done_last: now + warmup,
            turned_away: 0,
            failed: BTreeMap::new(),
        }
    }

    /// From the warm-up's end to the last whole life.
    pub(super) fn took(&self) -> Duration {
        self.done_last.saturating_duration_since(self.warm)
    }

    fn is_over(&self) -> bool {
        match self.length {
            Length::Time(time) => self.warm + time <= self.now,
            Length::Messages(count) => self.counted >= count,
        }
    }

    fn fail(&mut self, why: String) {
        *self.failed.entry(why).or_default() += 1;
        // A server that refuses everybody is no measurement, and no reason to go on.
        if self.done == 0 && self.failed.values().sum::<u64>() > self.window as u64 {
            let why = self.failed.keys().next().cloned().unwrap_or_default();
            self.failure = Some(Failure::Told(format!("{}: {why}", self.dials.place())));
        }
    }

    fn opened_at(&self, peer: PeerId) -> Option<Instant> {
        let open = self.open.get(peer.slot as usize).copied().flatten();
        open.filter(|life| life.serial == peer.serial).map(|life| life.at)
    }
}

impl Driven for Churn {
    fn is_done(&self) -> bool {
        self.failure.is_some() || self.is_over() && self.under_way == 0
    }

    fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn is_warm(&self) -> bool {
        self.warm <= self.now
    }

    fn live(&self) -> Live {
        let gone = self.now.saturating_duration_since(self.start).as_secs_f64();
        let fraction = match self.length {
            Length::Time(time) => gone / (self.warm - self.start + time).as_secs_f64(),
            Length::Messages(count) => self.counted as f64 / count as f64,
        };
        let took = self.now.saturating_duration_since(self.warm).as_secs_f64();
        let per_s = if took > 0.0 { self.counted as f64 / took } else { 0.0 };
        let p99_ns = if self.life.is_empty() { 0 } else { self.life.value_at_quantile(0.99) };
        Live { connecting: false, fraction: fraction.min(1.0), per_s, p99_ns }
    }
}

impl Handler for Churn {
    fn opened(&mut self, peer: PeerId, _: Origin, now: Instant) {
        self.now = now;
        let slot = peer.slot as usize;
        if self.open.len() <= slot {
            self.open.resize(slot + 1, None);
        }
        self.open[slot] = Some(Life { serial: peer.serial, at: now, greeted: false });
        self.oldest.push_back((now, peer));
        self.actions.push_back(Action::HalfClose(peer));
    }

    fn reads(&mut self, _: PeerId, _: Instant) -> bool {
        true
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], _: usize, _: Instant) -> Taken {
        if let Some(life) = self.open.get_mut(peer.slot as usize).and_then(Option::as_mut)
            && !life.greeted
        {
            life.greeted = true;
            let turned_away = turns_away(bytes);
            self.turned_away += u64::from(turned_away);
        }
        Taken { consumed: bytes.len(), hold: false }
    }

    fn ended(&mut self, peer: PeerId, _: &[u8], now: Instant) -> bool {
        self.now = now;
        if let Some(at) = self.opened_at(peer) {
            self.done += 1;
            if self.warm <= now {
                let life_ns = (now - at).as_nanos() as u64;
                self.counted += 1;
                self.done_last = now;
                self.life.saturating_record(life_ns);
                self.slices.record((now - self.warm).as_nanos() as u64, life_ns);
            }
            self.open[peer.slot as usize] = None;
        }
        self.actions.push_back(Action::Close(peer, CloseReason::Done));
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        self.now = now;
        self.under_way -= 1;
        let opened = self.opened_at(peer).is_some();
        match why {
            CloseReason::Done => {}
            CloseReason::NotFlushed => self.fail("the server did not end its side".into()),
            why if opened => self.fail(format!("broken: {why}")),
            why => self.fail(why.to_string()),
        }
        if opened {
            self.open[peer.slot as usize] = None;
        }
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, signal: Signal, _: Instant) {
        if signal != Signal::Continue {
            self.failure = Some(Failure::Stopped(signal));
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        self.now = now;
        self.watch.look(now);
        while let Some(&(at, peer)) = self.oldest.front() {
            if self.opened_at(peer).is_some() {
                if now < at + LIFE_MAX {
                    break;
                }
                self.actions.push_back(Action::Close(peer, CloseReason::NotFlushed));
            }
            self.oldest.pop_front();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.watch.next())
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        None
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        let more = self.under_way < self.window && !self.is_over() && self.failure.is_none();
        more.then(|| {
            self.under_way += 1;
            self.dials.dial()
        })
    }

    fn pending<'a>(&'a mut self, _: PeerId, _: &mut Slices<'a>) {}

    fn sent(&mut self, _: PeerId, _: usize, _: Instant) {}

    fn buffered(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn id(serial: u64) -> PeerId {
        PeerId { serial, slot: (serial % 2) as u32 }
    }

    fn churn(window: usize) -> Churn {
        let load = (Duration::ZERO, Length::Time(Duration::from_secs(1)));
        Churn::new(Endpoint::Ip("127.0.0.1:7".parse().unwrap()), window, load, Instant::now())
    }

    #[test]
    fn a_life_is_from_the_handshake_to_the_server_s_end() {
        let mut churn = churn(1);
        let start = churn.now;
        assert!(matches!(churn.next_action(start), Some(Action::Connect { from: Some(_), .. })));
        assert_eq!(churn.next_action(start), None, "one at a time");
        churn.opened(id(1), Origin::Dialed, start + MS);
        assert_eq!(churn.next_action(start), Some(Action::HalfClose(id(1))));
        churn.ended(id(1), b"", start + 4 * MS);
        assert_eq!(churn.next_action(start), Some(Action::Close(id(1), CloseReason::Done)));
        churn.closed(id(1), CloseReason::Done, start + 4 * MS);
        assert!(matches!(churn.next_action(start), Some(Action::Connect { .. })));
        assert!(churn.life.max().abs_diff(3_000_000) < 5_000 && churn.failed.is_empty());
        assert!(!churn.is_done());
        churn.expired(start + Duration::from_secs(1));
        assert!(!churn.is_done(), "one is under way");
        churn.closed(id(3), CloseReason::DialTimeout, start + Duration::from_secs(2));
        assert!(churn.is_done() && churn.failed.len() == 1);
    }

    #[test]
    fn only_the_first_words_tell_who_is_turned_away() {
        let mut churn = churn(2);
        let now = churn.now;
        for (serial, told, expected) in [
            (1, &b"* you are guest1\n"[..], 0),
            (1, b"* too many peers\n", 0),
            (2, b"* too many peers\n", 1),
            (3, b"* too many connections from your address: try again later\n", 2),
            (4, b"* not allowed\n", 3),
        ] {
            if churn.opened_at(id(serial)).is_none() {
                churn.opened(id(serial), Origin::Dialed, now);
            }
            churn.received(id(serial), told, 0, now);
            assert_eq!(churn.turned_away, expected, "{serial}");
        }
    }

    #[test]
    fn a_server_that_never_ends_its_side_is_not_waited_for() {
        let mut churn = churn(1);
        let start = churn.now;
        churn.next_action(start);
        churn.opened(id(1), Origin::Dialed, start);
        churn.next_action(start);
        churn.expired(start + LIFE_MAX - MS);
        assert!(!churn.actions.iter().any(|action| matches!(action, Action::Close(..))));
        churn.expired(start + LIFE_MAX);
        assert_eq!(churn.next_action(start), Some(Action::Close(id(1), CloseReason::NotFlushed)));
        churn.closed(id(1), CloseReason::NotFlushed, start + LIFE_MAX);
        assert_eq!(churn.failed.values().sum::<u64>(), 1);
    }

    #[test]
    fn who_refuses_everybody_ends_it() {
        let mut churn = churn(2);
        let now = churn.now;
        for serial in 1..=3 {
            assert!(churn.next_action(churn.now).is_some());
            churn.closed(id(serial), CloseReason::DialTimeout, now);
        }
        assert!(churn.is_done());
        assert_eq!(churn.next_action(churn.now), None);
        let told = Failure::Told("tcp 127.0.0.1:7: connect: timed out".into());
        assert_eq!(churn.failure(), Some(told));
    }
}
