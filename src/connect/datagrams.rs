//! The datagram client: each line of stdin is a datagram, each echo a line of stdout.

use super::screen::Screen;
use super::{Ended, Error};
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::{self, Lines, Refused};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Datagrams on their way at once. More lines wait until echoes come back, so that a file on stdin
/// does not run over a receive queue; 32 of the longest are 2 MiB.
const UNANSWERED_MAX: usize = 32;

/// How long echoes are waited for after the last datagram.
const ECHO_WITHIN: Duration = Duration::from_secs(1);

/// The longest payload of a datagram over IPv4: 65,535 less the headers (RFC 768, RFC 791).
const DATAGRAM_LEN_MAX: usize = 65_507;

/// The program of `reactor connect --udp`.
pub(super) struct DatagramClient {
    to: SocketAddr,
    /// Anybody may answer a broadcast.
    anybody: bool,
    console: Option<PeerId>,
    held: bool,
    refused: Refused,
    input_ended: bool,
    screen: Screen,
    unanswered: usize,
    deadline: Option<Instant>,
    sent: u64,
    echoes: u64,
    /// Datagrams that nobody waited for, come while stdout was behind: not shown.
    unshown: u64,
    ended_by: Option<Signal>,
    /// Why stdout is gone.
    stdout_failed: Option<CloseReason>,
    actions: VecDeque<Action>,
    dirty: bool,
}

impl DatagramClient {
    pub(super) fn new(to: SocketAddr, anybody: bool, terminal: bool) -> Self {
        DatagramClient {
            to,
            anybody,
            console: None,
            held: false,
            refused: Refused::default(),
            input_ended: false,
            screen: Screen::new(terminal),
            unanswered: 0,
            deadline: None,
            sent: 0,
            echoes: 0,
            unshown: 0,
            ended_by: None,
            stdout_failed: None,
            actions: VecDeque::new(),
            dirty: false,
        }
    }

    /// How it went, after the run.
    pub(super) fn outcome(&self) -> Result<Ended, Error> {
        match (self.ended_by, self.stdout_failed) {
            (Some(signal), _) => Ok(Ended::By(signal)),
            (None, Some(why)) => super::without_stdout(why),
            (None, None) if self.sent > 0 && self.echoes == 0 => {
                let within = ECHO_WITHIN.as_secs();
                let to = self.to;
                Err(Error::Link(format!("udp {to}: no echo within {within} s; is a server there?")))
            }
            (None, None) => Ok(Ended::Done),
        }
    }

    fn send(&mut self, text: &[u8], now: Instant) {
        self.actions.push_back(Action::SendTo { socket: 0, to: self.to, bytes: text.to_vec() });
        self.sent += 1;
        self.unanswered += 1;
        self.deadline = Some(now + ECHO_WITHIN);
    }

    fn go_on(&mut self) {
        if self.input_ended && self.unanswered == 0 {
            self.deadline = None;
            self.actions.push_back(Action::Stop { within: None });
        }
        if std::mem::take(&mut self.held)
            && let Some(console) = self.console
        {
            self.actions.push_back(Action::Resume(console));
        }
    }
}

impl Handler for DatagramClient {
    fn opened(&mut self, peer: PeerId, _: Origin, _now: Instant) {
        self.console = Some(peer);
    }

    fn reads(&mut self, _: PeerId, _: Instant) -> bool {
        let reads = self.unanswered < UNANSWERED_MAX && !self.screen.is_full();
        self.held |= !reads;
        reads
    }

    fn received(&mut self, _: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut refused = self.refused;
        let mut lines = Lines::skipping(bytes, seen, DATAGRAM_LEN_MAX, &mut refused);
        let mut drained = false;
        while self.unanswered < UNANSWERED_MAX {
            match lines.next() {
                Some(Ok(line)) => self.send(wire::text(line), now),
                Some(Err(wire::TooLong)) => {
                    log::warn!(
                        "stdin: a datagram has at most {DATAGRAM_LEN_MAX} bytes; line not sent"
                    );
                }
                None => {
                    drained = true;
                    break;
                }
            }
        }
        let consumed = lines.consumed();
        self.refused = refused;
        self.held |= !drained;
        Taken { consumed, hold: !drained }
    }

    fn ended(&mut self, _: PeerId, rest: &[u8], now: Instant) -> bool {
        let rest = self.refused.rest(rest);
        if !rest.is_empty() {
            self.send(rest, now);
        }
        self.input_ended = true;
        self.go_on();
        true
    }

    fn closed(&mut self, _: PeerId, why: CloseReason, _now: Instant) {
        self.console = None;
        if matches!(why, CloseReason::Failed(..)) {
            // stdout is gone: nobody sees an echo any more.
            self.stdout_failed = Some(why);
        }
        self.actions.push_back(Action::Stop { within: None });
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        // A scope that was typed (`%lo`) need not come back.
        let from_there =
            (datagram.from.ip(), datagram.from.port()) == (self.to.ip(), self.to.port());
        if self.anybody || from_there {
            self.echoes += 1;
            // Only what is waited for may go over the screen's bound: who sends on and on must not
            // fill our memory while stdout is stopped.
            if self.unanswered == 0 && self.screen.is_full() {
                self.unshown += 1;
                if self.unshown == 1 {
                    log::warn!("stdout takes the datagrams too slowly; some are not shown");
                }
                return None;
            }
            self.unanswered = self.unanswered.saturating_sub(1);
            self.screen.show_line(datagram.bytes);
            self.dirty = true;
            if self.unanswered == 0 || !self.screen.is_full() {
                self.go_on();
            }
        }
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal != Signal::Continue {
            self.ended_by = Some(signal);
            self.actions.push_back(Action::Stop { within: Some(Duration::ZERO) });
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.unanswered = 0;
            self.go_on();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        std::mem::take(&mut self.dirty).then_some(self.console).flatten()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, _: PeerId, slices: &mut Slices<'a>) {
        self.screen.pending(slices);
    }

    fn sent(&mut self, _: PeerId, n: usize, _now: Instant) {
        self.screen.sent(n);
        if self.unanswered < UNANSWERED_MAX {
            self.go_on();
        }
    }

    /// There is nobody but the console.
    fn buffered(&self) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_sends_on_and_on_fills_no_memory_while_stdout_is_stopped() {
        let to = SocketAddr::from(([127, 0, 0, 1], 7));
        let (mut client, now) = (DatagramClient::new(to, false, false), Instant::now());
        let console = PeerId { serial: 1, slot: 0 };
        client.opened(console, Origin::Console, now);
        client.received(console, b"hello\n", 0, now);
        for _ in 0..1_000 {
            client.datagram(Datagram { socket: 0, from: to, to: None, bytes: &[0; 10_000] }, now);
        }
        let mut slices = Slices::new();
        client.pending(console, &mut slices);
        assert_eq!((slices.bytes() / 10_000, client.unshown), (7, 993));
    }
}
