//! The stream client: a relay between one dialed peer and the console.

use super::outgoing::Outgoing;
use super::screen::Screen;
use super::{Ended, Error, Options};
use crate::handler::{
    Action, Call, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::{self, LINE_LEN_MAX, Lines, Protocol, Refused};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long each address of the server has to answer a dial.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What stdin may be ahead of the link: one read. Then stdin is not read, so that a file of any
/// size takes no more memory than this.
const AHEAD_BYTES: usize = 64 * 1024;

/// The program of `reactor connect`.
pub(super) struct Client {
    server: String,
    /// What to be called, where the protocol has names.
    name: Option<String>,
    protocol: Protocol,
    turn_timeout: Option<Duration>,
    /// Not tried yet; the first is being dialed or connected.
    addresses: VecDeque<SocketAddr>,
    link: Option<PeerId>,
    console: Option<PeerId>,
    console_held: bool,
    link_held: bool,
    refused: Refused,
    /// What stood on stdin without a newline at its end is on its way; it is told with each
    /// `ended`, and there may be two.
    rest_said: bool,
    /// On its way to the server.
    ahead: Outgoing,
    screen: Screen,
    turn: Turn,
    outcome: Option<Result<Ended, Error>>,
    actions: VecDeque<Action>,
    /// At most the two of them, pushed once a call and emptied in the same turn.
    dirty: VecDeque<PeerId>,
}

/// Whose turn it is in `raw`, where the two sides take turns as in the tutorial. In the other
/// protocols it is always ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    /// Something must come back first, or this deadline.
    Theirs(Option<Instant>),
}

impl Client {
    pub(super) fn new(options: &Options) -> Self {
        let mut client = Client {
            server: options.server.clone(),
            name: options.name.clone(),
            protocol: options.protocol,
            turn_timeout: options.turn_timeout,
            addresses: options.addresses.iter().copied().collect(),
            link: None,
            console: None,
            console_held: false,
            link_held: false,
            refused: Refused::default(),
            rest_said: false,
            ahead: Outgoing::default(),
            screen: Screen::new(options.stdout_is_terminal),
            turn: Turn::Ours,
            outcome: None,
            actions: VecDeque::new(),
            dirty: VecDeque::new(),
        };
        client.dial();
        client
    }

    /// How it went, after the run.
    pub(super) fn outcome(self) -> Result<Ended, Error> {
        self.outcome.unwrap_or(Ok(Ended::Done))
    }

    fn dial(&mut self) {
        if let Some(&to) = self.addresses.front() {
            self.actions.push_back(Action::Connect { to, from: None, timeout: DIAL_TIMEOUT });
        }
    }

    /// The first outcome stands; what is on the screen still goes to stdout.
    fn end(&mut self, outcome: Result<Ended, Error>) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            if let Some(link) = self.link {
                self.actions.push_back(Action::Close(link, CloseReason::Done));
            }
            self.actions.push_back(Action::Stop { within: None });
        }
    }

    fn link_closed(&mut self, why: CloseReason) {
        let server = &self.server;
        let at = self.addresses.front().map(SocketAddr::to_string).filter(|at| at != server);
        let at = at.map_or(String::new(), |at| format!(" ({at})"));
        if self.link.take().is_some() {
            return match why {
                CloseReason::Failed(..) => {
                    self.end(Err(Error::Link(format!("connection to {server}{at}: {why}"))));
                }
                _ => self.end(Ok(Ended::Done)),
            };
        }
        if self.outcome.is_some() {
            return; // a signal ended the dial: nothing more is tried
        }
        let hint = match why {
            CloseReason::Failed(Call::Connect, errno)
                if io::Error::from_raw_os_error(errno).kind() == ErrorKind::ConnectionRefused =>
            {
                "; no server listens there"
            }
            _ => "",
        };
        let line = format!("tcp {server}{at}: {why}{hint}");
        self.addresses.pop_front();
        if self.addresses.is_empty() {
            self.end(Err(Error::Link(line)));
        } else {
            log::warn!("{line}; trying the next address");
            self.dial();
        }
    }

    fn free_console(&mut self) {
        if std::mem::take(&mut self.console_held)
            && let Some(console) = self.console
        {
            self.actions.push_back(Action::Resume(console));
        }
    }

    fn hold_console(&mut self) -> bool {
        self.console_held = true;
        true
    }

    /// Bytes of stdin go out as they are, as far as there is room.
    fn relay(&mut self, bytes: &[u8]) -> Taken {
        let room = AHEAD_BYTES.saturating_sub(self.ahead.pending().len());
        let consumed = bytes.len().min(room);
        self.ahead.end().extend_from_slice(&bytes[..consumed]);
        self.dirty.extend(self.link);
        let hold = consumed < bytes.len() && self.hold_console();
        Taken { consumed, hold }
    }

    /// In raw a line is a message without its newline, and the next one waits for an answer.
    fn take_turns(&mut self, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut refused = self.refused;
        let mut lines = Lines::skipping(bytes, seen, LINE_LEN_MAX, &mut refused);
        let mut drained = false;
        while self.turn == Turn::Ours && self.outcome.is_none() {
            match lines.next() {
                Some(Ok(line)) => self.say(wire::text(line), now),
                Some(Err(wire::TooLong)) => {
                    log::warn!("stdin: line too long: at most {LINE_LEN_MAX} bytes; not sent");
                }
                None => {
                    drained = true;
                    break;
                }
            }
        }
        let consumed = lines.consumed();
        self.refused = refused;
        Taken { consumed, hold: !drained && self.hold_console() }
    }

    fn say(&mut self, text: &[u8], now: Instant) {
        if text.is_empty() {
            // The tutorial's client ends on an empty message.
            return self.end(Ok(Ended::Done));
        }
        self.ahead.end().extend_from_slice(text);
        self.dirty.extend(self.link);
        self.turn = Turn::Theirs(self.turn_timeout.map(|timeout| now + timeout));
    }

    fn our_turn(&mut self) {
        self.turn = Turn::Ours;
        self.free_console();
    }
}

impl Handler for Client {
    fn opened(&mut self, peer: PeerId, origin: Origin, _now: Instant) {
        if origin == Origin::Console {
            self.console = Some(peer);
        } else {
            self.link = Some(peer);
            if let Some(name) = &self.name {
                self.ahead.end().extend_from_slice(format!("/nick {name}\n").as_bytes());
                self.dirty.push_back(peer);
            }
            self.free_console();
        }
    }

    fn reads(&mut self, peer: PeerId, _: Instant) -> bool {
        if Some(peer) == self.console {
            let room = self.ahead.pending().len() < AHEAD_BYTES;
            let reads = self.link.is_some() && room && self.turn == Turn::Ours;
            self.console_held |= !reads;
            reads
        } else {
            self.link_held = self.screen.is_full();
            !self.link_held
        }
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        if Some(peer) == self.console {
            return match self.protocol {
                Protocol::Chat | Protocol::Lines => self.relay(bytes),
                Protocol::Raw => self.take_turns(bytes, seen, now),
            };
        }
        self.dirty.extend(self.console);
        let consumed = match self.protocol {
            Protocol::Chat | Protocol::Lines => self.screen.show_stream(bytes),
            Protocol::Raw => {
                self.screen.show_message(bytes);
                self.our_turn();
                bytes.len()
            }
        };
        Taken { consumed, hold: false }
    }

    fn ended(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        if Some(peer) != self.console {
            if !rest.is_empty() {
                self.screen.show_message(rest);
                self.dirty.extend(self.console);
            }
            self.end(Ok(Ended::Done));
            return true;
        }
        let rest = self.refused.rest(rest);
        if self.protocol == Protocol::Raw
            && !rest.is_empty()
            && !std::mem::replace(&mut self.rest_said, true)
        {
            // A last line without a newline is a line; then its answer is waited for.
            self.say(rest, now);
        }
        if self.turn != Turn::Ours {
            return !self.hold_console();
        }
        if let Some(link) = self.link {
            self.actions.push_back(Action::HalfClose(link));
        }
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, _now: Instant) {
        if Some(peer) != self.console {
            return self.link_closed(why);
        }
        self.console = None;
        if let CloseReason::Failed(..) = why {
            let outcome = super::without_stdout(why);
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
        if signal != Signal::Continue {
            self.outcome = Some(Ok(Ended::By(signal)));
            self.actions.push_back(Action::Stop { within: Some(Duration::ZERO) });
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        if matches!(self.turn, Turn::Theirs(Some(deadline)) if deadline <= now) {
            log::warn!("no answer in time; the next line goes out all the same");
            self.our_turn();
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match self.turn {
            Turn::Theirs(deadline) => deadline,
            Turn::Ours => None,
        }
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        if Some(peer) == self.console {
            self.screen.pending(slices);
        } else {
            slices.push(self.ahead.pending());
        }
    }

    fn sent(&mut self, peer: PeerId, n: usize, _now: Instant) {
        if Some(peer) == self.console {
            self.screen.sent(n);
            if std::mem::take(&mut self.link_held)
                && let Some(link) = self.link
            {
                self.actions.push_back(Action::Resume(link));
            }
            return;
        }
        self.ahead.sent(n);
        if self.turn == Turn::Ours {
            self.free_console();
        }
    }

    fn buffered(&self) -> usize {
        self.ahead.pending().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: PeerId = PeerId { serial: 2, slot: 1 };
    const CONSOLE: PeerId = PeerId { serial: 1, slot: 0 };

    fn client() -> Client {
        let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Client::new(&Options {
            name: None,
            server: "two".to_owned(),
            addresses: addresses.to_vec(),
            udp: false,
            protocol: Protocol::Lines,
            turn_timeout: None,
            stdout_is_terminal: false,
        })
    }

    #[test]
    fn a_server_that_reads_slowly_makes_it_keep_no_more_than_a_few_reads() {
        let (mut client, now) = (client(), Instant::now());
        client.opened(CONSOLE, Origin::Console, now);
        client.opened(LINK, Origin::Dialed, now);
        for _ in 0..1_000 {
            while client.reads(CONSOLE, now) {
                client.received(CONSOLE, &[b'x'; AHEAD_BYTES], 0, now);
            }
            client.sent(LINK, 4_096, now);
            let kept = client.ahead.end().capacity();
            assert!(kept <= 8 * AHEAD_BYTES, "{kept} bytes are kept");
        }
    }

    #[test]
    fn a_signal_during_a_dial_tries_no_further_address() {
        let (mut client, now) = (client(), Instant::now());
        assert!(matches!(client.next_action(now), Some(Action::Connect { .. })));
        client.signalled(Signal::Interrupt, now);
        assert!(matches!(client.next_action(now), Some(Action::Stop { .. })));
        client.closed(LINK, CloseReason::Stopping, now);
        assert_eq!(client.next_action(now), None);
    }
}
