//! `--count` without `--udp`: the same probes through a chat's own `/ping`, which costs the room
//! nothing. The handler: it dials, waits to be greeted, sends a `/ping` with a number at its pace and
//! ends with the figures. What else the chat says is not shown. What must not be here: the account.

use super::figures;
use super::link::{Link, Next};
use super::pace::Pace;
use super::screen::Screen;
use super::{Ended, Error, JsonTo, Options, PingOptions};
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::outgoing::Outgoing;
use crate::probes::{Account, Audience, Report, Summary, Verdict, milliseconds};
use crate::stats::Stats;
use crate::terminal::Kind;
use crate::wire::{self, LINE_LEN_MAX, Lines, Refused};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of one `/ping` with its newline: the word has sixteen and ten digits.
pub(super) const CHAT_PING_LEN: usize = "/ping 0123456789abcdef-0123456789\n".len();

/// How long stdout may take for the last lines after a signal.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(500);

/// What `--count` needs to know, checked.
#[derive(Clone, Debug)]
pub struct ChatPingOptions {
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// How many, how often, and where the figures go.
    pub pings: PingOptions,
}

/// The program of `reactor connect --count`.
pub(super) struct ChatPings {
    options: ChatPingOptions,
    server: String,
    link: Link,
    /// How long a server has to greet.
    greeting_within: Duration,
    /// Until then it has to.
    greeted_by: Option<Instant>,
    greeted: bool,
    run_id: u64,
    pace: Pace,
    account: Account,
    refused: Refused,
    up: Outgoing,
    /// The loop does not know of all of it.
    up_is_new: bool,
    screen: Screen,
    console: Option<PeerId>,
    link_held: bool,
    outcome: Option<Result<Ended, Error>>,
    actions: VecDeque<Action>,
}

impl ChatPings {
    /// `run_id` stands in each word: no other ping's answer is taken for ours.
    pub(super) fn new(
        options: &Options,
        pings: &ChatPingOptions,
        screen: Screen,
        run_id: u64,
    ) -> Self {
        let (server, addresses) = (options.server.clone(), options.addresses.clone());
        let within = options.connect_timeout;
        let mut link = Link::new(server.clone(), addresses, options.bind, within, None);
        ChatPings {
            actions: VecDeque::from([link.dial()]),
            link,
            server,
            greeting_within: within,
            greeted_by: None,
            greeted: false,
            run_id,
            pace: Pace::new(pings.pings.count, pings.pings.interval),
            account: Account::new(Audience::One, pings.timeout),
            options: pings.clone(),
            refused: Refused::default(),
            up: Outgoing::default(),
            up_is_new: false,
            screen,
            console: None,
            link_held: false,
            outcome: None,
        }
    }

    /// How it went, after the run.
    pub(super) fn outcome(self) -> Result<Ended, Error> {
        let lost = self.account.summary().all_lost();
        match self.outcome {
            // As in ping(8), an interrupt is how a run is ended early, and no failure.
            None | Some(Ok(Ended::Done | Ended::By(Signal::Interrupt))) if lost => {
                let within = self.options.timeout.as_secs_f64();
                Err(Error::Link(format!("{}: no answer within {within} s", self.server)))
            }
            Some(Ok(Ended::By(Signal::Interrupt))) | None => Ok(Ended::Done),
            Some(outcome) => outcome,
        }
    }

    /// The figures as one line of JSON.
    pub(super) fn json(&self) -> String {
        report(&self.options, &self.server, &self.account.summary()).json()
    }

    fn word(&self, sequence: u64) -> String {
        format!("{:016x}-{sequence:010}", self.run_id)
    }

    /// The sequence of one of our words.
    fn sequence(&self, word: &str) -> Option<u64> {
        let sequence = word.get(17..)?.parse().ok()?;
        (self.word(sequence) == word).then_some(sequence)
    }

    fn tell(&mut self, line: &str) {
        if self.options.pings.json != Some(JsonTo::Stdout) {
            self.screen.show_line(line.as_bytes(), Kind::Text);
        }
    }

    /// Sends what is due, and ends where all is settled.
    fn go_on(&mut self, now: Instant) {
        if self.outcome.is_some() || !self.greeted {
            return;
        }
        while self.pace.takes_turn(&self.account, now) {
            let sequence = self.account.sent(now);
            let line = format!("/ping {}\n", self.word(sequence));
            self.up.end().extend_from_slice(line.as_bytes());
            self.up_is_new = true;
        }
        if self.pace.is_done() && self.account.next_deadline().is_none() {
            self.end(Ok(Ended::Done), None);
        }
    }

    /// The last lines, and the end. The first outcome stands.
    fn end(&mut self, outcome: Result<Ended, Error>, within: Option<Duration>) {
        let first = self.outcome.is_none();
        if first {
            self.outcome = Some(outcome);
            if self.greeted {
                let Self { options, server, account, screen, .. } = self;
                let summary = account.summary();
                let what = format!("chat {server}");
                figures::show(screen, &what, &report(options, server, &summary), &options.pings);
            }
            let link = self.link.peer();
            self.actions.extend(link.map(|link| Action::Close(link, CloseReason::Done)));
        }
        self.actions.push_back(Action::Stop { within });
    }

    /// Who answers, for the account, which tells hosts apart by their addresses: here is one alone,
    /// and at a Unix socket it has none.
    fn host(&self) -> SocketAddr {
        self.link.address().ip().unwrap_or(([0, 0, 0, 0], 0).into())
    }

    fn hear(&mut self, line: &[u8], now: Instant) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        if !self.greeted {
            self.greeted = line.starts_with("* you are ");
            if !self.greeted {
                self.end(Err(Error::Link(self.no_chat())), None);
            }
            return;
        }
        let word = line.strip_prefix("* pong: ");
        let Some(sequence) = word.and_then(|word| self.sequence(word)) else { return };
        let verdict = self.account.received(sequence, self.host(), now);
        let (rtt, odd) = match verdict {
            Verdict::Answer { rtt, reordered: false, .. } => (rtt, ""),
            Verdict::Answer { rtt, reordered: true, .. } => (rtt, " (out of order)"),
            Verdict::Late { rtt } => (rtt, " (late)"),
            Verdict::Duplicate { rtt } => (rtt, " (again)"),
            Verdict::Unmatched | Verdict::Crowded => return,
        };
        let time = milliseconds(rtt);
        self.tell(&format!("pong from {}: seq={sequence} time={time}{odd}", self.link.address()));
    }

    fn no_chat(&self) -> String {
        format!("{}: it does not greet as a chat does; --count without --udp asks one", self.server)
    }
}

fn report<'a>(options: &ChatPingOptions, server: &'a str, summary: &'a Summary) -> Report<'a> {
    let times = (options.pings.interval, options.timeout);
    Report::new(("chat", server), CHAT_PING_LEN, times, 0, summary)
}

impl Handler for ChatPings {
    fn opened(&mut self, peer: PeerId, origin: Origin, now: Instant) {
        if origin == Origin::Console {
            self.console = Some(peer);
            self.screen.seat.opened(now);
        } else {
            self.link.opened(peer, now);
            self.greeted_by = Some(now + self.greeting_within);
        }
    }

    /// stdin is left alone.
    fn reads(&mut self, peer: PeerId, _: Instant) -> bool {
        let link = Some(peer) == self.link.peer();
        self.link_held = link && self.screen.is_full();
        link && !self.link_held
    }

    fn received(&mut self, _: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut refused = self.refused;
        let mut lines = Lines::skipping(bytes, seen, LINE_LEN_MAX, &mut refused);
        for line in lines.by_ref() {
            // One that is too long is no answer.
            if let (Ok(line), None) = (line, &self.outcome) {
                self.hear(wire::text(line), now);
            }
        }
        let consumed = lines.consumed();
        self.refused = refused;
        self.go_on(now);
        Taken { consumed, hold: false }
    }

    fn ended(&mut self, peer: PeerId, _rest: &[u8], _now: Instant) -> bool {
        if Some(peer) == self.link.peer() {
            self.actions.push_back(Action::Close(peer, CloseReason::Left));
        }
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        if Some(peer) == self.console {
            self.console = None;
            if let CloseReason::Failed(..) = why {
                self.end(super::without_stdout(why), None);
            }
            return;
        }
        if self.outcome.is_some() {
            return;
        }
        if self.link.peer().is_none() {
            match self.link.dial_failed(why, now) {
                Next::Dial(line) | Next::Wait(line) => {
                    log::warn!("{line}");
                    self.actions.push_back(self.link.dial());
                }
                Next::Over(line) => self.end(Err(Error::Link(line)), None),
            }
            return;
        }
        let why = match why {
            CloseReason::Left => "the server ended it".to_owned(),
            why => why.to_string(),
        };
        let line = if self.greeted { self.link.broken(&why) } else { self.no_chat() };
        self.end(Err(Error::Link(line)), None);
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal != Signal::Continue {
            let again = self.outcome.is_some();
            let within = if again { Duration::ZERO } else { LAST_LINES_WITHIN };
            self.end(Ok(Ended::By(signal)), Some(within));
        }
    }

    fn reported(&mut self, _: &Stats) {}

    fn expired(&mut self, now: Instant) {
        if self.outcome.is_none() && !self.greeted && self.greeted_by.is_some_and(|by| by <= now) {
            self.end(Err(Error::Link(self.no_chat())), None);
        }
        while let Some(sequence) = self.account.overdue(now) {
            let within = self.options.timeout.as_secs_f64();
            self.tell(&format!("no pong of seq={sequence} within {within} s"));
        }
        self.go_on(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.outcome.is_some() {
            return None;
        }
        let greeted_by = self.greeted_by.filter(|_| !self.greeted);
        let next = self.pace.next_at(&self.account);
        [greeted_by, next, self.account.next_deadline()].into_iter().flatten().min()
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        if self.console.is_some() && self.screen.seat.wants_look() {
            return self.console;
        }
        self.link.peer().filter(|_| std::mem::take(&mut self.up_is_new))
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        if Some(peer) == self.console {
            self.screen.seat.pending(slices, |_| {});
        } else {
            slices.push(self.up.pending());
        }
    }

    fn sent(&mut self, peer: PeerId, n: usize, _now: Instant) {
        if Some(peer) != self.console {
            return self.up.sent(n);
        }
        self.screen.seat.sent(n);
        if std::mem::take(&mut self.link_held) {
            self.actions.extend(self.link.peer().map(Action::Resume));
        }
    }

    /// At most what waits in the account's window.
    fn buffered(&self) -> usize {
        self.up.pending().len()
    }
}
