//! What the loop tells a crowd, and what it asks. What each phase is for is in `mod`.

use super::{AWAKE_BEFORE, Crowd, LINE_LEN_MAX, NOBODY, Peer, Phase, SILENCE_MAX};
use crate::bench::drive::Failure;
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::Lines;
use std::time::Instant;

impl Handler for Crowd {
    fn opened(&mut self, peer: PeerId, _origin: Origin, now: Instant) {
        self.now = now;
        self.join(peer);
        self.progress_at = now;
    }

    /// Who never reads does so from the beginning.
    fn reads(&mut self, peer: PeerId, _: Instant) -> bool {
        self.peer(peer).is_none_or(|state| state.publisher.is_some() || state.subscriber.is_some())
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        self.now = now;
        let subscriber = self.peer(peer).map(|state| state.subscriber);
        let consumed = match (subscriber, &mut self.phase) {
            (Some(Some(index)), Phase::Measuring(measure)) => {
                let lines = Lines::new(bytes, seen, LINE_LEN_MAX);
                let (consumed, delivered) = measure.read(&mut self.run, index as usize, lines, now);
                if delivered {
                    self.progress_at = now;
                }
                while let Phase::Measuring(measure) = &mut self.phase
                    && let Some(publisher) = measure.released()
                {
                    self.queue(publisher);
                }
                consumed
            }
            // Publishers must read, or the server would have to hold or drop what is meant for
            // them; but what they get is not measured.
            (Some(None), Phase::Measuring(_)) | (None, _) => bytes.len(),
            (Some(_), _) => self.hear(peer, bytes, seen),
        };
        // Kept bytes have a bound: a line longer than any of ours is dropped in pieces.
        let consumed = if bytes.len() - consumed > LINE_LEN_MAX { bytes.len() } else { consumed };
        Taken { consumed, hold: false }
    }

    fn ended(&mut self, peer: PeerId, _rest: &[u8], _now: Instant) -> bool {
        self.actions.push_back(Action::Close(peer, CloseReason::Left));
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        self.now = now;
        let place = self.dials.place();
        let Some(state) = self.peer(peer) else {
            return self.fail(format!("{place}: {why}"));
        };
        self.peers[peer.slot as usize] = NOBODY;
        self.there -= 1;
        match (state, &mut self.phase) {
            (_, Phase::Leaving) => {}
            (Peer { publisher: Some(_), .. }, _) => {
                self.fail(format!("{place}: a publisher was disconnected: {why}"));
            }
            (Peer { subscriber: Some(index), .. }, Phase::Measuring(measure)) => {
                measure.closed += 1;
                measure.abandon(index as usize, now);
            }
            (Peer { subscriber: Some(_), .. }, _) => {
                self.fail(format!("{place}: a subscriber was disconnected: {why}"));
            }
            // It asked for it.
            (_, Phase::Measuring(measure)) => measure.stalled_closed += 1,
            _ => {}
        }
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal != Signal::Continue {
            self.failure = Some(Failure::Stopped(signal));
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        self.now = now;
        match &mut self.phase {
            Phase::Measuring(measure) => {
                let publishers = measure.advance(now);
                measure.look_at_queue();
                if measure.is_scheduled() && measure.is_making(now) {
                    // While the schedule runs, silence is its own.
                    self.progress_at = now;
                }
                for index in publishers {
                    self.queue(index % self.publishers.len());
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
                measure.next(self.now, AWAKE_BEFORE).map_or(silence, |next| next.min(silence))
            }
            Phase::Settling(again, _) => silence.min(*again),
            Phase::Connecting(_) | Phase::Leaving => silence,
            Phase::Still | Phase::Silent(_) => return None,
        })
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        let peer = self.dirty.pop_front()?;
        if let Some(Peer { publisher: Some(index), .. }) = self.peer(peer) {
            self.publishers[usize::from(index)].queued = false;
        }
        Some(peer)
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        let action = self.actions.pop_front();
        action.or_else(|| match self.phase {
            Phase::Connecting(peers) => self.dials.next(peers, self.joined),
            _ => None,
        })
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        let Some(Peer { publisher: Some(index), .. }) = self.peer(peer) else { return };
        let measure = match &mut self.phase {
            Phase::Measuring(measure) => Some(&mut **measure),
            _ => None,
        };
        slices.push(self.publishers[usize::from(index)].pending(&self.run, measure, self.now));
    }

    fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        self.now = now;
        let Some(Peer { publisher: Some(index), .. }) = self.peer(peer) else { return };
        let measure = match &mut self.phase {
            Phase::Measuring(measure) => Some(&mut **measure),
            _ => None,
        };
        self.publishers[usize::from(index)].sent(n, &self.run, measure);
    }

    /// What is due is a number, not a buffer: of each publisher's lines one read's worth is made.
    fn buffered(&self) -> usize {
        0
    }
}
