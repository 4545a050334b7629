//! The datagram client: the handler of `reactor connect --udp`. It sends what its source gives (the
//! lines of stdin, or probes of its own), keeps the account of what comes back and shows it. What
//! must not be here: what a probe looks like (`pings`), the account itself (`probes`).

mod lines;
mod pings;
#[cfg(test)]
mod tests;

use super::figures;
use super::pace::UNANSWERED_MAX;
use super::screen::Screen;
use super::{Ended, Error};
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Screen as Window, Signal, Slices, Taken,
};
use crate::probes::{Account, Audience, Report, Summary, Verdict};
use crate::terminal::seat::{Heard, take_keys};
use crate::terminal::{Kind, Typed};
use lines::LineSource;
pub(super) use pings::PING_LEN_MIN;
use pings::PingSource;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The longest payload of a datagram over IPv4: 65,535 less the headers (RFC 768, RFC 791).
pub(super) const DATAGRAM_LEN_MAX: usize = 65_507;

/// How long stdout may take for the last lines after a signal. A terminal or a pipe that is read
/// takes them at once, and one that nobody reads must not keep us.
const LAST_LINES_WITHIN: Duration = Duration::from_millis(500);

/// What `--udp` needs to know, checked.
#[derive(Clone, Debug)]
pub struct ProbeOptions {
    /// Who answers.
    pub audience: Audience,
    /// How long an echo is waited for.
    pub timeout: Duration,
    /// Each echo with its time and its host, for programs.
    pub rtt: bool,
    /// Datagrams of our own instead of stdin's lines.
    pub pings: Option<PingOptions>,
}

/// What `--count` needs to know, checked.
#[derive(Clone, Debug)]
pub struct PingOptions {
    /// How many; `None` until a signal.
    pub count: Option<u64>,
    /// Between two of them; zero: as fast as they are answered.
    pub interval: Duration,
    /// Bytes in each, `PING_LEN_MIN` to `DATAGRAM_LEN_MAX`.
    pub size: usize,
    /// Where the figures go as JSON.
    pub json: Option<JsonTo>,
}

/// Where the figures go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonTo {
    /// To stdout, and nothing else does.
    Stdout,
    /// To this file.
    File(std::path::PathBuf),
}

/// Where datagrams come from.
enum Source {
    Lines(LineSource),
    Pings(PingSource),
}

/// What one datagram was, and how its echo is told.
struct Came<'a> {
    bytes: &'a [u8],
    from: SocketAddr,
    sequence: Option<u64>,
    verdict: Verdict,
}

/// The program of `reactor connect --udp`.
pub(super) struct DatagramClient {
    to: SocketAddr,
    options: ProbeOptions,
    source: Source,
    account: Account,
    console: Option<PeerId>,
    held: bool,
    screen: Screen,
    /// Datagrams of strangers, not looked at.
    ignored: u64,
    /// Echoes come while stdout was behind: counted, but not shown.
    unshown: u64,
    stopping: bool,
    ended_by: Option<Signal>,
    /// Why stdout is gone.
    stdout_failed: Option<CloseReason>,
    actions: VecDeque<Action>,
}

impl DatagramClient {
    /// `run_id` names this run in the datagrams of our own.
    pub(super) fn new(to: SocketAddr, options: &ProbeOptions, screen: Screen, run_id: u64) -> Self {
        let source = match &options.pings {
            Some(pings) => Source::Pings(PingSource::new(pings, run_id)),
            None => Source::Lines(LineSource::new(screen.is_terminal(), options.rtt)),
        };
        DatagramClient {
            to,
            options: options.clone(),
            source,
            account: Account::new(options.audience, options.timeout),
            console: None,
            held: false,
            screen,
            ignored: 0,
            unshown: 0,
            stopping: false,
            ended_by: None,
            stdout_failed: None,
            actions: VecDeque::new(),
        }
    }

    /// How it went, after the run.
    pub(super) fn outcome(&self) -> Result<Ended, Error> {
        let summary = self.account.summary();
        // As in ping(8), an interrupt is how a run is ended early, and no failure.
        let counted = matches!(self.source, Source::Pings(_));
        match (self.ended_by, self.stdout_failed) {
            (Some(signal), _) if !(counted && signal == Signal::Interrupt) => Ok(Ended::By(signal)),
            (_, Some(why)) => super::without_stdout(why),
            // What is no echo is an answer all the same: not every server is an echo.
            _ if summary.all_lost() && (counted || summary.unmatched == 0) => {
                let (within, to) = (seconds(self.options.timeout), self.to);
                Err(Error::Link(format!("udp {to}: no echo within {within}; is a server there?")))
            }
            _ => Ok(Ended::Done),
        }
    }

    /// The figures as one line of JSON.
    pub(super) fn json(&self) -> String {
        let Some(pings) = &self.options.pings else { return String::new() };
        let to = self.to.to_string();
        report(&to, pings, self.options.timeout, self.ignored, &self.account.summary()).json()
    }

    fn is_over_and_lost(&self) -> bool {
        let summary = self.account.summary();
        self.account.next_deadline().is_none() && summary.all_lost() && summary.unmatched == 0
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.actions.push_back(Action::SendTo { socket: 0, to: self.to, bytes, stride: 0 });
    }

    /// Sends what is due, reads on where there is room, and ends where all is done.
    fn go_on(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        while let Source::Pings(pings) = &mut self.source
            && let Some(bytes) = pings.next(&mut self.account, now)
        {
            self.send(bytes);
        }
        let no_more = match &self.source {
            Source::Lines(lines) => lines.ended,
            Source::Pings(pings) => pings.is_done(),
        };
        if no_more && self.account.next_deadline().is_none() {
            self.stop(None);
            return;
        }
        if self.account.unanswered() < UNANSWERED_MAX
            && std::mem::take(&mut self.held)
            && let Some(console) = self.console
        {
            self.actions.push_back(Action::Resume(console));
        }
    }

    /// The last lines, and the end: stdout has `within` to take what is pending.
    fn stop(&mut self, within: Option<Duration>) {
        self.actions.push_back(Action::Stop { within });
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        self.screen.seat.screen.hide();
        if let Some(pings) = &self.options.pings {
            let summary = self.account.summary();
            let to = self.to.to_string();
            let report = report(&to, pings, self.options.timeout, self.ignored, &summary);
            figures::show(&mut self.screen, &format!("udp {to}"), &report, pings);
        }
        if self.ignored > 0 {
            log::warn!("{} datagrams of others than {} were ignored", self.ignored, self.to);
        }
        if self.unshown > 0 {
            log::warn!("{} echoes are not shown: stdout took them too slowly", self.unshown);
        }
    }

    /// True where one that came from there is listened to. A scope that was typed (`%lo`) need not
    /// come back.
    fn listens_to(&self, from: SocketAddr) -> bool {
        self.options.audience == Audience::Many
            || (from.ip(), from.port()) == (self.to.ip(), self.to.port())
    }

    /// Shows a line. Only what was waited for may go over the screen's bound, and that is bounded:
    /// who sends on and on must not fill our memory while stdout is stopped.
    fn show(&mut self, line: &[u8], waited_for: bool) {
        if !waited_for && self.screen.is_full() {
            self.unshown += 1;
            if self.unshown == 1 {
                log::warn!("stdout takes the echoes too slowly; some are not shown");
            }
            return;
        }
        self.screen.show_line(line, Kind::Text);
    }

    fn takes_keys(&self) -> bool {
        self.screen.keys && matches!(self.source, Source::Lines(_))
    }

    /// Keys of a terminal: what ends a line sends it.
    fn receive_keys(&mut self, bytes: &[u8], now: Instant) -> Taken {
        take_keys(
            self,
            bytes,
            |client| Some(&mut client.screen.seat),
            |client, typed| {
                match typed {
                    Typed::Line(_) if client.account.unanswered() >= UNANSWERED_MAX => {
                        client.held = true;
                        return Heard::Later { hold: true };
                    }
                    Typed::Line(line) if line.len() <= DATAGRAM_LEN_MAX => {
                        client.screen.seat.show_said(line, None);
                        client.send_line(line.as_bytes().to_vec(), now);
                    }
                    Typed::Line(_) | Typed::TooLong => lines::tell_too_long(),
                    Typed::End => {
                        client.actions.push_back(Action::Terminal(false));
                        client.end_lines(b"", now);
                    }
                }
                Heard::Done
            },
        )
    }

    /// A line of stdin on its way.
    fn send_line(&mut self, text: Vec<u8>, now: Instant) {
        if let Source::Lines(lines) = &mut self.source {
            self.account.sent(now);
            lines.contents.sent(&text);
            self.send(text);
        }
    }

    /// stdin has ended: what stands behind its last newline is a datagram too.
    fn end_lines(&mut self, rest: &[u8], now: Instant) {
        if let Source::Lines(lines) = &mut self.source {
            if let Some(rest) = lines.end(rest) {
                self.send_line(rest, now);
            }
            self.go_on(now);
        }
    }
}

impl Handler for DatagramClient {
    fn opened(&mut self, peer: PeerId, _: Origin, now: Instant) {
        self.console = Some(peer);
        self.screen.seat.opened(now);
        if self.takes_keys() {
            self.actions.push_back(Action::Terminal(true));
            self.screen.seat.screen.set_status(&format!("udp {}", self.to));
        }
        self.go_on(now);
    }

    fn reads(&mut self, _: PeerId, _: Instant) -> bool {
        if self.takes_keys() {
            return self.screen.seat.takes_keys();
        }
        let lines = matches!(self.source, Source::Lines(_));
        let reads = lines && self.account.unanswered() < UNANSWERED_MAX && !self.screen.is_full();
        self.held |= lines && !reads;
        reads
    }

    fn received(&mut self, _: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        if self.takes_keys() {
            return self.receive_keys(bytes, now);
        }
        let Source::Lines(source) = &mut self.source else {
            return Taken { consumed: bytes.len(), hold: true };
        };
        let (account, actions, to) = (&mut self.account, &mut self.actions, self.to);
        let (consumed, drained) = source.received(bytes, seen, |contents, text| {
            account.sent(now);
            contents.sent(text);
            actions.push_back(Action::SendTo { socket: 0, to, bytes: text.to_vec(), stride: 0 });
            account.unanswered() < UNANSWERED_MAX
        });
        self.held |= !drained;
        Taken { consumed, hold: !drained }
    }

    fn ended(&mut self, _: PeerId, rest: &[u8], now: Instant) -> bool {
        if self.takes_keys() {
            let line = self.screen.seat.screen.unfinished();
            self.end_lines(line.as_bytes(), now);
        } else {
            self.end_lines(rest, now);
        }
        true
    }

    fn screen(&mut self, screen: Window) {
        self.screen.seat.on_screen(screen);
    }

    fn closed(&mut self, _: PeerId, why: CloseReason, _now: Instant) {
        self.console = None;
        if matches!(why, CloseReason::Failed(..)) {
            // stdout is gone: nobody sees an echo any more.
            self.stdout_failed = Some(why);
        }
        self.stopping = true;
        self.actions.push_back(Action::Stop { within: None });
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, now: Instant) -> Option<&'a [u8]> {
        let Datagram { from, bytes, .. } = datagram;
        if !self.listens_to(from) {
            self.ignored += 1;
            if self.ignored == 1 {
                log::warn!("a datagram from {from} is ignored: it is not from {}", self.to);
            }
            return None;
        }
        if self.stopping {
            return None;
        }
        let sequence = match &self.source {
            Source::Lines(lines) => lines.contents.find(&self.account, bytes, from, now),
            Source::Pings(pings) => pings.find(&self.account, bytes),
        };
        let verdict = match sequence {
            Some(sequence) => self.account.received(sequence, from, now),
            None => self.account.unmatched(),
        };
        let many = self.options.audience == Audience::Many;
        let came = Came { bytes, from, sequence, verdict };
        let line = match &mut self.source {
            Source::Lines(lines) => Some(lines.echo(&came, many)),
            Source::Pings(pings) => pings.echo(&came),
        };
        if let Some(line) = line {
            self.show(&line, matches!(verdict, Verdict::Answer { first: true, .. }));
        }
        if self.account.unanswered() == 0 || !self.screen.is_full() {
            self.go_on(now);
        }
        None
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        if signal == Signal::Continue {
            return;
        }
        let again = self.ended_by.replace(signal).is_some();
        self.stop(Some(if again { Duration::ZERO } else { LAST_LINES_WITHIN }));
    }

    fn expired(&mut self, now: Instant) {
        let timeout = self.options.timeout;
        while let Some(sequence) = self.account.overdue(now) {
            match &self.source {
                // Where nothing came at all, the last line of the program is the one that tells.
                Source::Lines(lines) if lines.ended && self.is_over_and_lost() => {}
                Source::Lines(_) => {
                    log::warn!("datagram {sequence}: no echo within {}", seconds(timeout));
                }
                Source::Pings(pings) => {
                    if let Some(line) = pings.lost(sequence, timeout) {
                        self.show(line.as_bytes(), false);
                    }
                }
            }
        }
        self.go_on(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let next = match &self.source {
            Source::Pings(pings) if !self.stopping => pings.next_at(&self.account),
            _ => None,
        };
        let lost = self.account.next_deadline().filter(|_| !self.stopping);
        [next, lost, self.screen.seat.shows_at()].into_iter().flatten().min()
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.console.filter(|_| self.screen.seat.wants_look())
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, _: PeerId, slices: &mut Slices<'a>) {
        self.screen.seat.pending(slices, |_| {});
    }

    fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        if self.screen.seat.sent(n) {
            self.actions.push_back(Action::Resume(peer));
        }
        self.go_on(now);
    }

    /// There is nobody but the console.
    fn buffered(&self) -> usize {
        0
    }
}

fn report<'a>(
    to: &'a str,
    pings: &PingOptions,
    timeout: Duration,
    ignored: u64,
    summary: &'a Summary,
) -> Report<'a> {
    Report::new(("udp", to), pings.size, (pings.interval, timeout), ignored, summary)
}

/// `1 s`, `0.25 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64())
}
