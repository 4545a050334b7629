//! Many dialed peers on one loop: publishers, which send; subscribers, which check and count; some
//! that are both; and some that never read. The handler of `fanout`, `rtt` and `idle`.
//!
//! It goes from phase to phase as the scenario says, and `is_done` says when; what is read out of
//! /proc is read between the phases, outside the loop. No socket here, and no clock but `now`.

mod handler;

use super::account::measure::{Measure, Who};
use super::drive::{Driven, Failure, Live};
use super::load::dials::Dials;
use super::load::marker::{Marker, PROBE, Run};
use super::load::publisher::Publisher;
use super::options::Load;
use super::server::turns_away;
use crate::handler::{Action, CloseReason, Endpoint, PeerId};
use crate::visible::visible;
use crate::wire::Lines;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A phase in which nothing has come on for so long is stuck. A SYN that found a full queue comes
/// again after 1 and 3 seconds; a run that is well is never silent for more than a second.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// When a probe that not everybody heard is followed by the next; doubled each time, so that at
/// most as much time again goes by as the server took to serve the last one.
const PROBE_AGAIN: Duration = Duration::from_millis(10);

/// How long before a line's time the loop stops sleeping: its poll rounds up to whole
/// milliseconds, so it would wake too late. Above 1,000 lines a second it never sleeps.
const AWAKE_BEFORE: Duration = Duration::from_millis(1);

/// The longest line looked at: `--size` at its greatest, and room for what a server adds.
const LINE_LEN_MAX: usize = 128 * 1024;

/// Peers that are connected before the server must be seen to serve them all. Half of what its
/// listen queue holds on Linux (4,096): behind a full one a dial is tried again after a second,
/// and the kernel's timer would be measured.
pub(super) const BATCH: usize = 2_048;

/// The peers. In the order in which they connect: publishers, other subscribers, those that never
/// read.
pub(super) struct Crowd {
    dials: Dials,
    who: Who,
    run: Run,
    /// Times in lines count from here.
    origin: Instant,
    /// The latest that we were told.
    now: Instant,
    phase: Phase,
    /// By slot.
    peers: Vec<Peer>,
    publishers: Vec<Publisher>,
    /// Peers that connected, and those that are there.
    joined: usize,
    there: usize,
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
    /// Until nobody is there.
    Leaving,
}

#[derive(Clone, Copy)]
struct Peer {
    /// 0 where nobody is.
    serial: u64,
    publisher: Option<u16>,
    subscriber: Option<u32>,
    /// The last probe that it heard.
    heard: u32,
}

const NOBODY: Peer = Peer { serial: 0, publisher: None, subscriber: None, heard: 0 };

impl Crowd {
    /// `peers` are all that will ever be dialed.
    pub(super) fn new(to: Endpoint, who: Who, peers: usize, run: Run, now: Instant) -> Self {
        Crowd {
            dials: Dials::new(to, peers),
            who,
            run,
            origin: now,
            now,
            phase: Phase::Still,
            peers: Vec::with_capacity(peers),
            publishers: Vec::with_capacity(who.publishers),
            joined: 0,
            there: 0,
            probe: 0,
            heard: 0,
            dirty: VecDeque::new(),
            actions: VecDeque::new(),
            progress_at: now,
            failure: None,
        }
    }

    /// How many peers have connected.
    pub(super) fn joined(&self) -> usize {
        self.joined
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

    /// Sends as `load` says, from `start` on, and checks what comes.
    pub(super) fn measure(&mut self, load: &Load, start: Instant) {
        self.phase = Phase::Measuring(Box::new(Measure::new(self.who, load, start, self.origin)));
        self.progress_at = start;
    }

    /// Closes everybody.
    pub(super) fn leave(&mut self, now: Instant) {
        self.phase = Phase::Leaving;
        self.progress_at = now;
        for (slot, peer) in self.peers.iter().enumerate().filter(|(_, peer)| peer.serial > 0) {
            let peer = PeerId { serial: peer.serial, slot: slot as u32 };
            self.actions.push_back(Action::Close(peer, CloseReason::Done));
        }
    }

    /// The measurement that has ended, complete or not.
    pub(super) fn measured(&mut self) -> Option<Measure> {
        match std::mem::replace(&mut self.phase, Phase::Still) {
            Phase::Measuring(measure) | Phase::Silent(measure) => Some(*measure),
            _ => None,
        }
    }

    /// Those that read, of all that have joined.
    fn readers(&self) -> usize {
        self.joined.min(self.who.publishers + self.who.subscribers - self.who.overlap)
    }

    fn fail(&mut self, line: String) {
        self.failure.get_or_insert(Failure::Told(line));
    }

    fn send_probe(&mut self, now: Instant, pause: Duration) {
        self.probe += 1;
        self.heard = 0;
        self.publishers[0].probe(&self.run, self.probe);
        self.queue(0);
        self.phase = Phase::Settling(now + pause, 2 * pause);
    }

    /// This publisher may have something to send.
    fn queue(&mut self, publisher: usize) {
        let publisher = &mut self.publishers[publisher];
        if !std::mem::replace(&mut publisher.queued, true) {
            self.dirty.push_back(publisher.peer);
        }
    }

    fn peer(&self, peer: PeerId) -> Option<Peer> {
        let state = self.peers.get(peer.slot as usize).copied();
        state.filter(|state| state.serial == peer.serial)
    }

    fn join(&mut self, peer: PeerId) {
        let Who { publishers, subscribers, overlap, .. } = self.who;
        let index = self.joined;
        let mut state = Peer { serial: peer.serial, ..NOBODY };
        if index < publishers {
            self.publishers.push(Publisher::new(peer, index));
            state.publisher = Some(index as u16);
        }
        let hears = if index < publishers { index } else { index - publishers + overlap };
        let bound = if index < publishers { overlap } else { subscribers };
        state.subscriber = (hears < bound).then_some(hears as u32);
        let slot = peer.slot as usize;
        if self.peers.len() <= slot {
            self.peers.resize(slot + 1, NOBODY);
        }
        self.peers[slot] = state;
        self.joined += 1;
        self.there += 1;
    }

    /// Between measurements only probes matter.
    fn hear(&mut self, peer: PeerId, bytes: &[u8], seen: usize) -> usize {
        let mut lines = Lines::new(bytes, seen, LINE_LEN_MAX);
        let mut heard = 0;
        let mut turned_away = None;
        while let Some(Ok(line)) = lines.next() {
            if turns_away(line) {
                turned_away =
                    Some(visible(&String::from_utf8_lossy(line.trim_ascii())).into_owned());
            }
            if let Some(Ok(Marker { publisher: PROBE, sequence, .. })) = self.run.find(line) {
                heard = sequence;
            }
        }
        if let Some(words) = turned_away {
            self.fail(format!("INVALID: the server turned a peer away: {words}"));
        }
        let state = &mut self.peers[peer.slot as usize];
        // A server that sends everybody's words back to their author too changes nothing.
        if heard == self.probe && state.heard < heard && state.publisher != Some(0) {
            state.heard = heard;
            self.heard += 1;
            self.progress_at = self.now;
        }
        lines.consumed()
    }

    /// Nothing came on for too long.
    fn give_up(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Still) {
            Phase::Measuring(measure) => self.phase = Phase::Silent(measure),
            Phase::Connecting(peers) => {
                let open = self.joined;
                self.fail(format!("stuck: {open} of {peers} peers are connected"));
            }
            Phase::Settling(..) => {
                let (heard, open) = (self.heard + 1, self.readers());
                self.fail(format!("stuck: the server serves {heard} of {open} connected peers"));
            }
            phase => self.phase = phase,
        }
    }
}

impl Driven for Crowd {
    fn is_done(&self) -> bool {
        self.failure.is_some()
            || match &self.phase {
                Phase::Still | Phase::Silent(_) => true,
                Phase::Connecting(peers) => self.joined >= *peers,
                // All but the one that sent it.
                Phase::Settling(..) => self.heard + 1 >= self.readers(),
                Phase::Measuring(measure) => measure.is_complete(self.now),
                Phase::Leaving => self.there == 0,
            }
    }

    fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn is_warm(&self) -> bool {
        match &self.phase {
            Phase::Measuring(measure) => measure.warm() <= self.now,
            _ => true,
        }
    }

    fn live(&self) -> Live {
        match &self.phase {
            Phase::Measuring(measure) => Live::of(measure, self.now),
            Phase::Connecting(peers) => {
                Live::connecting(self.joined as f64 / (*peers).max(1) as f64)
            }
            _ => Live::connecting(1.0),
        }
    }
}
