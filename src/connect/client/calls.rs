//! What the loop calls the stream client with, and which part of it answers. No rule of its own but
//! who is meant: the console, the link, the transcript.

use super::{AHEAD_BYTES, Client, SIGNAL_FLUSH};
use crate::connect::transcript::{Mark, Transcript};
use crate::connect::{Ended, Eof, without_stdout};
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Screen, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::Protocol;
use std::time::{Duration, Instant};

impl Handler for Client {
    fn opened(&mut self, peer: PeerId, origin: Origin, now: Instant) {
        match origin {
            Origin::Console => self.console_opened(peer, now),
            Origin::Transcript => self.transcript = Some(Transcript::new(peer)),
            Origin::Dialed | Origin::Accepted { .. } => {
                if let Some(line) = self.link.opened(peer, now) {
                    self.tell(&line);
                }
                if let Some(secret) = &self.secret {
                    self.up.greet(&secret.line());
                }
                self.up.greet(self.session.greeting().as_bytes());
                self.offer(Some(peer));
                self.link_held = false;
                self.free_console();
            }
        }
        self.show_status(now);
    }

    fn reads(&mut self, peer: PeerId, _: Instant) -> bool {
        if Some(peer) == self.console && self.screen.keys {
            self.screen.seat.takes_keys()
        } else if Some(peer) == self.console {
            let room = self.up.len() < AHEAD_BYTES;
            // The end of stdin must be seen before the last answer where that is not waited for.
            let turn = self.turns.is_ours() || self.eof == Eof::Exit;
            let reads = self.link.peer().is_some() && room && turn;
            self.console_held |= !reads;
            reads
        } else {
            self.link_held = self.screen.is_full();
            !self.link_held
        }
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        if Some(peer) == self.console && self.screen.keys {
            return self.receive_keys(bytes, now);
        }
        if Some(peer) == self.console {
            if self.link.peer().is_none() {
                // Kept from before the link was lost.
                return Taken { consumed: 0, hold: self.hold_console() };
            }
            return match self.protocol {
                Protocol::Chat | Protocol::Lines => self.relay(bytes, now),
                Protocol::Raw => self.take_turns(bytes, seen, now),
            };
        }
        match self.protocol {
            Protocol::Chat | Protocol::Lines => self.show(bytes, now),
            Protocol::Raw => {
                self.screen.show_message(bytes);
                self.record(Mark::Heard, bytes);
                self.our_turn();
            }
        }
        self.show_status(now);
        Taken { consumed: bytes.len(), hold: false }
    }

    fn ended(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        if Some(peer) != self.console {
            // All that came before it is taken.
            self.actions.push_back(Action::Close(peer, CloseReason::Left));
            return true;
        }
        if self.screen.keys {
            return self.end_keys(now);
        }
        if self.link.peer().is_none() {
            return !self.hold_console();
        }
        let rest = self.refused.rest(rest);
        if self.protocol == Protocol::Raw
            && !rest.is_empty()
            && !std::mem::replace(&mut self.rest_said, true)
        {
            // A last line without a newline is a line; then its answer is waited for.
            self.say(rest, now);
        }
        if !self.turns.is_ours() && self.eof != Eof::Exit {
            return !self.hold_console();
        }
        self.input_over = true;
        self.act_on_eof();
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        if self.is_transcript(peer) {
            self.transcript = None;
            if self.outcome.is_none() || !matches!(why, CloseReason::Done | CloseReason::Stopping) {
                log::warn!("transcript: {why}; it ends here");
            }
            return;
        }
        if Some(peer) != self.console {
            self.link_closed(why, now);
            return self.show_status(now);
        }
        self.console = None;
        if let CloseReason::Failed(..) = why {
            let outcome = without_stdout(why);
            // A good end does not stand where what came before it could not be shown.
            if outcome.is_err() && matches!(self.outcome, Some(Ok(Ended::Done))) {
                self.outcome = None;
            }
            self.end(outcome);
        }
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal == Signal::Continue {
            return;
        }
        let second = matches!(self.outcome, Some(Ok(Ended::By(_))));
        self.outcome = Some(Ok(Ended::By(signal)));
        self.screen.seat.screen.hide();
        let link = self.link.peer();
        self.actions.extend(link.map(|link| Action::Close(link, CloseReason::Stopping)));
        let within = if second { Duration::ZERO } else { SIGNAL_FLUSH };
        self.end_transcript(within);
        self.actions.push_back(Action::Stop { within: Some(within) });
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        if self.turns.deadline().is_some_and(|deadline| deadline <= now) {
            self.tell("no answer in time; the next line goes out all the same");
            self.our_turn();
        }
        if self.outcome.is_none() && self.link.due().is_some_and(|due| due <= now) {
            self.actions.push_back(self.link.dial());
        }
        self.ask(now);
        self.show_status(now);
    }

    fn screen(&mut self, screen: Screen) {
        self.screen.seat.on_screen(screen);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let due = self.link.due().filter(|_| self.outcome.is_none());
        let shown = self.screen.seat.shows_at();
        let own = [self.turns.deadline(), due, self.session.due(), self.status_at, shown];
        own.into_iter().flatten().min()
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        if self.console.is_some() && self.screen.seat.wants_look() {
            return self.console;
        }
        self.dirty.pop_front()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        if Some(peer) == self.console {
            self.screen.seat.pending(slices, |_| {});
        } else if Some(peer) == self.link.peer() {
            self.up.pending(slices);
        } else if let Some(transcript) = self.transcript.as_ref().filter(|t| t.peer == peer) {
            transcript.pending(slices);
        }
    }

    fn sent(&mut self, peer: PeerId, n: usize, _now: Instant) {
        if Some(peer) == self.console {
            if self.screen.seat.sent(n) {
                self.actions.push_back(Action::Resume(peer));
            }
            if std::mem::take(&mut self.link_held) {
                self.actions.extend(self.link.peer().map(Action::Resume));
            }
        } else if Some(peer) == self.link.peer() {
            self.up.sent(n);
            if self.turns.is_ours() {
                self.free_console();
            }
            if self.eof == Eof::Exit {
                self.act_on_eof();
            }
        } else if let Some(transcript) = self.transcript.as_mut().filter(|t| t.peer == peer) {
            transcript.sent(n);
        }
    }

    fn buffered(&self) -> usize {
        self.up.len()
    }
}
