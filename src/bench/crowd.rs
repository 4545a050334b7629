//! The handler of `reactor bench`: many dialed peers on one loop. The first to be connected are
//! publishers, which only send; all others are subscribers, which only check and count.
//!
//! It goes from phase to phase as `bench::run` says, and `phase_done` says when; what is read out
//! of /proc is read between the phases, outside the loop. No socket here, and no clock but `now`.

use super::checker::Checker;
use super::dials::Dials;
use super::marker::{Marker, PROBE, Run};
use super::measure::Measure;
use super::publisher::Publisher;
use super::schedule::Schedule;
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::Lines;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A phase in which nothing has come on for so long is stuck. A SYN that found a full queue comes
/// again after 1 and 3 seconds; a run that is well is never silent for more than a second.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(5);

/// When a probe that not everybody heard is followed by the next; doubled each time, so that at
/// most as much time again goes by as the server took to serve the last one.
const PROBE_AGAIN: Duration = Duration::from_millis(10);

/// How long before a line's time the loop stops sleeping: its poll rounds up to whole
/// milliseconds, so it would wake too late. Above 1,000 lines a second it never sleeps.
const AWAKE_BEFORE: Duration = Duration::from_millis(1);

/// The longest line looked at: `--size` at its greatest, and room for what a server adds.
const LINE_LEN_MAX: usize = 128 * 1024;

/// Why there is nothing to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The whole line.
    Told(String),
    /// A signal ended it.
    Stopped,
}

/// The peers.
pub(super) struct Crowd {
    dials: Dials,
    publishers_max: usize,
    run: Run,
    /// Times in lines count from here.
    origin: Instant,
    phase: Phase,
    /// By slot; slots are not reused, for the end of any peer but a subscriber ends the run.
    peers: Vec<Peer>,
    publishers: Vec<Publisher>,
    subscribers: usize,
    opened: usize,
    probe: u32,
    /// Peers that heard the last probe.
    heard: usize,
    dirty: VecDeque<PeerId>,
    actions: VecDeque<Action>,
    progress_at: Instant,
    failure: Option<Failure>,
}

enum Phase {
    /// Between two phases.
    Still,
    /// Until so many peers are open.
    Connecting(usize),
    /// Until everybody heard the last probe; the next one follows at this time, and then after
    /// this pause.
    Settling(Instant, Duration),
    Measuring(Box<Measure>),
    /// Measuring, and nothing came any more.
    Silent(Box<Measure>),
}

#[derive(Clone, Copy)]
struct Peer {
    /// 0 where nobody is.
    serial: u64,
    role: Role,
    /// The last probe that it heard.
    heard: u32,
}

#[derive(Clone, Copy)]
enum Role {
    Publisher(u16),
    Subscriber(u32),
}

impl Crowd {
    /// `peers` are all that will ever be dialed, the `publishers` among them.
    pub(super) fn new(
        to: SocketAddr,
        publishers: u16,
        peers: usize,
        run: Run,
        now: Instant,
    ) -> Self {
        Crowd {
            dials: Dials::new(to, peers),
            publishers_max: usize::from(publishers),
            run,
            origin: now,
            phase: Phase::Still,
            peers: Vec::with_capacity(peers),
            publishers: Vec::with_capacity(usize::from(publishers)),
            subscribers: 0,
            opened: 0,
            probe: 0,
            heard: 0,
            dirty: VecDeque::new(),
            actions: VecDeque::new(),
            progress_at: now,
            failure: None,
        }
    }

    /// How many peers are open.
    pub(super) fn connected(&self) -> usize {
        self.opened
    }

    /// Dials until `peers` are open in all.
    pub(super) fn connect(&mut self, peers: usize, now: Instant) {
        self.phase = Phase::Connecting(peers);
        self.progress_at = now;
    }

    /// Finds out that every peer is served: a handshake only proves that the kernel took it. The
    /// first publisher sends probes until everybody has heard the last one; then nothing is in
    /// flight either.
    pub(super) fn settle(&mut self, now: Instant) {
        self.progress_at = now;
        self.send_probe(now, PROBE_AGAIN);
    }

    /// Sends by the schedule and checks what comes.
    pub(super) fn measure(&mut self, start: Instant, rate: u32, messages: u32) {
        let publishers = self.publishers.len();
        let schedule = Schedule::new(start, publishers as u16, rate, messages);
        let checker = Checker::new(self.subscribers, publishers, messages);
        self.phase = Phase::Measuring(Box::new(Measure::new(schedule, checker)));
        self.progress_at = start;
    }

    /// True when the phase has come to its end, good or bad.
    pub(super) fn phase_done(&self) -> bool {
        self.failure.is_some()
            || match &self.phase {
                Phase::Still | Phase::Silent(_) => true,
                Phase::Connecting(peers) => self.opened >= *peers,
                // All but the one that sent it.
                Phase::Settling(..) => self.heard + 1 >= self.opened,
                Phase::Measuring(measure) => measure.is_complete(),
            }
    }

    /// How the phase ended; a measurement is handed out, complete or not.
    pub(super) fn end_phase(&mut self) -> Result<Option<Measure>, Failure> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        Ok(match std::mem::replace(&mut self.phase, Phase::Still) {
            Phase::Measuring(measure) | Phase::Silent(measure) => Some(*measure),
            Phase::Still | Phase::Connecting(_) | Phase::Settling(..) => None,
        })
    }

    fn fail(&mut self, line: String) {
        self.failure.get_or_insert(Failure::Told(line));
    }

    fn send_probe(&mut self, now: Instant, pause: Duration) {
        self.probe += 1;
        self.heard = 0;
        let publisher = &mut self.publishers[0];
        publisher.probe(&self.run, self.probe);
        self.dirty.push_back(publisher.peer);
        self.phase = Phase::Settling(now + pause, 2 * pause);
    }

    fn peer(&self, peer: PeerId) -> Option<Peer> {
        let state = self.peers.get(peer.slot as usize).copied();
        state.filter(|state| state.serial == peer.serial)
    }

    /// Before the measurement only probes matter.
    fn hear(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> usize {
        let mut lines = Lines::new(bytes, seen, LINE_LEN_MAX);
        let mut heard = 0;
        while let Some(Ok(line)) = lines.next() {
            if let Some(Ok(Marker { publisher: PROBE, sequence, .. })) = self.run.find(line) {
                heard = sequence;
            }
        }
        self.note_heard(peer, heard, now);
        lines.consumed()
    }

    fn note_heard(&mut self, peer: PeerId, heard: u32, now: Instant) {
        let state = &mut self.peers[peer.slot as usize];
        // A server that sends everybody's words back to their author too changes nothing.
        let sender = matches!(state.role, Role::Publisher(0));
        if heard == self.probe && state.heard < heard && !sender {
            state.heard = heard;
            self.heard += 1;
            self.progress_at = now;
        }
    }

    /// Nothing came on for too long.
    fn give_up(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Still) {
            Phase::Measuring(measure) => self.phase = Phase::Silent(measure),
            Phase::Connecting(peers) => {
                let open = self.opened;
                self.fail(format!("stuck: {open} of {peers} peers are connected"));
            }
            Phase::Settling(..) => {
                let (heard, open) = (self.heard + 1, self.opened);
                self.fail(format!("stuck: the server serves {heard} of {open} connected peers"));
            }
            phase => self.phase = phase,
        }
    }
}

impl Handler for Crowd {
    fn opened(&mut self, peer: PeerId, _origin: Origin, now: Instant) {
        let role = if self.publishers.len() < self.publishers_max {
            let index = self.publishers.len() as u16;
            self.publishers.push(Publisher::new(peer, index));
            Role::Publisher(index)
        } else {
            self.subscribers += 1;
            Role::Subscriber(self.subscribers as u32 - 1)
        };
        let slot = peer.slot as usize;
        if self.peers.len() <= slot {
            self.peers.resize(slot + 1, Peer { serial: 0, role, heard: 0 });
        }
        self.peers[slot] = Peer { serial: peer.serial, role, heard: 0 };
        self.opened += 1;
        self.progress_at = now;
    }

    fn reads(&mut self, _peer: PeerId, _now: Instant) -> bool {
        true
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let consumed = match (self.peer(peer).map(|state| state.role), &mut self.phase) {
            (Some(Role::Subscriber(index)), Phase::Measuring(measure)) => {
                let now_ns = now.saturating_duration_since(self.origin).as_nanos() as u64;
                let lines = Lines::new(bytes, seen, LINE_LEN_MAX);
                let (consumed, delivered) =
                    measure.read(&mut self.run, index as usize, lines, now_ns);
                if delivered {
                    measure.delivered_last = now;
                    self.progress_at = now;
                }
                consumed
            }
            // Publishers must read, or the server would have to hold or drop what is meant for
            // them; but what they get is not measured.
            (Some(Role::Publisher(_)), Phase::Measuring(_)) | (None, _) => bytes.len(),
            (Some(_), _) => self.hear(peer, bytes, seen, now),
        };
        // Kept bytes have a bound: a line longer than any of ours is dropped in pieces.
        let consumed = if bytes.len() - consumed > LINE_LEN_MAX { bytes.len() } else { consumed };
        Taken { consumed, hold: false }
    }

    fn ended(&mut self, peer: PeerId, _rest: &[u8], _now: Instant) -> bool {
        self.actions.push_back(Action::Close(peer, CloseReason::Left));
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, _now: Instant) {
        let to = self.dials.to;
        match (self.peer(peer).map(|state| state.role), &mut self.phase) {
            (None, _) => self.fail(format!("tcp {to}: {why}")),
            (Some(Role::Subscriber(index)), Phase::Measuring(measure)) => {
                measure.closed += 1;
                measure.checker.abandon(index as usize);
            }
            (Some(Role::Subscriber(_)), _) => {
                self.fail(format!("tcp {to}: a subscriber was disconnected: {why}"));
            }
            (Some(Role::Publisher(_)), _) => {
                self.fail(format!("tcp {to}: a publisher was disconnected: {why}"));
            }
        }
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal != Signal::Continue {
            self.failure = Some(Failure::Stopped);
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Measuring(measure) => {
                let due = measure.schedule.advance(now);
                let publishers = self.publishers.len() as u64;
                for index in due.take(publishers as usize) {
                    self.dirty.push_back(self.publishers[(index % publishers) as usize].peer);
                }
                if measure.schedule.next().is_some() {
                    // While the schedule runs, silence is its own.
                    self.progress_at = now;
                }
            }
            &mut Phase::Settling(again, pause) if again <= now => self.send_probe(now, pause),
            _ => {}
        }
        if self.progress_at + SILENCE_MAX <= now {
            self.give_up();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let silence = self.progress_at + SILENCE_MAX;
        Some(match &self.phase {
            Phase::Measuring(measure) => {
                let next = measure.schedule.next();
                let awake = next.map(|next| next.checked_sub(AWAKE_BEFORE).unwrap_or(next));
                awake.map_or(silence, |awake| awake.min(silence))
            }
            Phase::Settling(again, _) => silence.min(*again),
            Phase::Connecting(_) => silence,
            Phase::Still | Phase::Silent(_) => return None,
        })
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        let action = self.actions.pop_front();
        action.or_else(|| match self.phase {
            Phase::Connecting(peers) => self.dials.next(peers, self.opened),
            _ => None,
        })
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        let Some(Peer { role: Role::Publisher(index), .. }) = self.peer(peer) else { return };
        let schedule = match &self.phase {
            Phase::Measuring(measure) => Some(&measure.schedule),
            _ => None,
        };
        slices.push(self.publishers[usize::from(index)].pending(&self.run, schedule, self.origin));
    }

    fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        let Some(Peer { role: Role::Publisher(index), .. }) = self.peer(peer) else { return };
        let publisher = &mut self.publishers[usize::from(index)];
        if let Phase::Measuring(measure) = &mut self.phase {
            let lag = publisher.sent(n, &self.run, Some(&measure.schedule), now);
            measure.lag_max = measure.lag_max.max(lag.unwrap_or_default());
        } else {
            publisher.sent(n, &self.run, None, now);
        }
    }

    /// What is due is a number, not a buffer: of each publisher's lines one read's worth is made.
    fn buffered(&self) -> usize {
        0
    }
}
