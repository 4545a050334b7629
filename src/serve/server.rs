//! The handler of `reactor serve`: bytes to lines to the chat, datagrams to the echo, the console
//! and the signals.

use super::Options;
use super::bounds::Bounds;
use super::console::Console;
use super::control::Control;
use super::desk::Asker;
use super::gate::Gate;
use super::metrics::{self, Scrapers};
use super::notices::Notices;
use crate::chat::{Chat, Rules, Said};
use crate::echo::Echo;
use crate::handler::{
    Action, CloseReason, Datagram, Endpoint, Handler, Notice, Origin, PeerId, Screen, Signal,
    Slices, Taken, UnixAddress, UnixDatagram,
};
use crate::log_queue::LogQueue;
use crate::stats::Stats;
use crate::wire::{self, Lines, Protocol};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a peer that ended its input has to take what it is still owed.
const LEAVE_FLUSH: Duration = Duration::from_secs(5);

/// How long a stop waits for the operator's stdout.
const CONSOLE_FLUSH: Duration = Duration::from_millis(500);

/// How long a stop waits for the peers to take what they are owed: `--stop-timeout`, shorter than
/// what service managers give before they kill (10 s and more).
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Lines of one peer that are taken in a turn. One costs up to a microsecond and a read may bring
/// 32,000 of them, which would keep everybody else waiting for 10 ms or more. 1,024 are done within a
/// millisecond, and a read full of lines of 64 bytes is taken whole.
const LINES_A_TURN_MAX: usize = 1_024;

/// What a listener is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Peers of the chat.
    Chat,
    /// The operator's words.
    Control,
    /// Metrics, health, readiness.
    Metrics,
}

/// The program of `reactor serve`.
pub struct Server {
    pub(super) protocol: Protocol,
    /// What all buffers together may hold, as the loop was told last.
    pub(super) buffers_total: usize,
    pub(super) chat: Chat,
    pub(super) echo: Echo,
    /// What it was started with.
    pub(super) options: Options,
    /// Lines that the console shows where they would tear what it draws.
    log: LogQueue,
    /// Where it listens for connections.
    pub(super) listening: Vec<Endpoint>,
    pub(super) console: Option<Console>,
    /// Limits on single peers, and on all of them together.
    pub(super) bounds: Bounds,
    pub(super) actions: VecDeque<Action>,
    pub(super) stopping: bool,
    /// Who may come in, who is there, and from where: the chat knows no addresses.
    pub(super) gate: Gate,
    /// `/drain` was said: no new peers, and the end comes with the last one's.
    pub(super) draining: bool,
    /// What the service manager is told, where there is one.
    pub(super) notices: Option<Notices>,
    /// Datagrams of the Unix domain whose sender had no name, so that no answer can reach it.
    pub(super) unnamed: u64,
    /// What each listener is for, in the order in which they were bound.
    pub(super) roles: Vec<Role>,
    pub(super) control: Control,
    pub(super) scrapers: Scrapers,
    /// Who waits for the loop's counters.
    pub(super) asked: Vec<Asker>,
    /// Ends of peers by reason.
    pub(super) closes: BTreeMap<&'static str, u64>,
}

impl Server {
    /// A server without peers.
    pub fn new(options: &Options) -> Self {
        let Rules { protocol, .. } = options.rules;
        Server {
            protocol,
            buffers_total: options.buffers_total,
            chat: Chat::new(options.rules),
            echo: Echo::new(options.echo),
            options: options.clone(),
            log: LogQueue::new(),
            listening: Vec::new(),
            console: None,
            bounds: Bounds::new(options),
            actions: VecDeque::new(),
            stopping: false,
            gate: Gate::new(&options.admission),
            draining: false,
            roles: Vec::new(),
            control: Control::default(),
            scrapers: Scrapers::default(),
            asked: Vec::new(),
            notices: None,
            unnamed: 0,
            closes: BTreeMap::new(),
        }
    }

    /// Gives it the queue of the log, for a console that shows it.
    pub fn shows_log(&mut self, log: &LogQueue) {
        self.log = log.clone();
    }

    /// Tells of a listener that was bound: the loop's index of it, and what it is for. One that was
    /// not told of would be taken for another, so that is a panic.
    pub(crate) fn bound(&mut self, listener: usize, role: Role, at: Endpoint) {
        assert_eq!(listener, self.roles.len(), "each listener is told of, in the loop's order");
        self.roles.push(role);
        if role == Role::Chat {
            self.listening.push(at);
        }
    }

    /// Tells of a UDP socket that was bound for the echo.
    pub fn bound_udp(&mut self, at: SocketAddr) {
        self.echo.bound(at);
    }

    /// Tells of a datagram socket of the Unix domain that was bound for the echo.
    pub fn bound_unix(&mut self, at: UnixAddress) {
        self.echo.bound_unix(at);
    }

    /// What became of the datagrams, in one line.
    pub(super) fn tell_datagrams(&self, stats: &Stats) -> String {
        metrics::table::datagram_lines(&self.snapshot(stats))
    }

    /// What became of the datagrams that the gate let in.
    #[cfg(test)]
    pub(crate) fn echo_counts(&self) -> &crate::echo::Counts {
        self.echo.counts()
    }

    /// The most that one peer takes here and in the chat beside its buffers, in bytes.
    #[cfg(test)]
    pub(crate) fn peer_bytes() -> usize {
        Chat::peer_bytes() + Bounds::peer_bytes() + Gate::peer_bytes()
    }

    /// How many peers ended for this reason.
    #[cfg(test)]
    pub(crate) fn closed_for(&self, why: CloseReason) -> u64 {
        self.closes.get(why.word()).copied().unwrap_or(0)
    }

    /// Bytes of the room's log with its entries.
    #[cfg(test)]
    pub(crate) fn log_size(&self) -> usize {
        self.chat.log_size()
    }

    /// Where it holds, what is left begins with a whole line, and an unfinished one behind it begins
    /// when it is read again.
    fn receive_lines(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut lines = Lines::new(bytes, seen, self.chat.line_len_max());
        let limited = self.is_limited(peer);
        let whole = lines.by_ref().map_while(Result::ok).take(LINES_A_TURN_MAX);
        let said = match self.protocol {
            Protocol::Lines if !limited => self.chat.say_all(peer, whole, now),
            _ => Said::of(whole.map(|line| self.say_if_allowed(peer, line, limited, now))),
        };
        if said == Said::Hold {
            lines.put_back();
            self.bounds.clocks.note_line(peer, false, false, now);
            return Taken { consumed: lines.consumed(), hold: self.holds(peer, now) };
        }
        if said == Said::TooLong || lines.is_too_long() {
            self.refuse_too_long(peer);
            return Taken { consumed: bytes.len(), hold: false };
        }
        let consumed = lines.consumed();
        let more = !lines.are_over();
        let unfinished = !more && consumed < bytes.len();
        self.bounds.clocks.note_line(peer, unfinished, consumed > 0, now);
        if more {
            self.actions.push_back(Action::Resume(peer));
        }
        Taken { consumed, hold: more }
    }

    /// Bytes of a peer that is inside.
    pub(super) fn receive_stream(
        &mut self,
        peer: PeerId,
        bytes: &[u8],
        seen: usize,
        now: Instant,
    ) -> Taken {
        self.bounds.clocks.heard(peer, now);
        match self.protocol {
            Protocol::Chat | Protocol::Lines => self.receive_lines(peer, bytes, seen, now),
            Protocol::Raw => {
                let limited = self.is_limited(peer);
                match self.say_if_allowed(peer, bytes, limited, now) {
                    Said::Hold => Taken { consumed: 0, hold: self.holds(peer, now) },
                    Said::Yes | Said::TooLong => Taken { consumed: bytes.len(), hold: false },
                }
            }
        }
    }

    /// A peer has ended its input: it is owed what was said until now, then the end.
    fn leave(&mut self, peer: PeerId) -> bool {
        self.bounds.clocks.forget(peer);
        self.chat.leave(peer, None);
        let why = CloseReason::Left;
        self.actions.push_back(Action::Finish { peer, why, within: LEAVE_FLUSH });
        true
    }

    /// One line, with or without its ending.
    #[inline]
    pub(super) fn say(&mut self, peer: PeerId, line: &[u8], now: Instant) -> Said {
        match self.protocol {
            Protocol::Chat => match wire::text(line) {
                [] => Said::Yes, // an empty line says nothing
                text => self.chat.hear(peer, text, now),
            },
            Protocol::Lines | Protocol::Raw => self.chat.say(peer, line, now),
        }
    }

    fn refuse_too_long(&mut self, peer: PeerId) {
        let len_max = self.chat.line_len_max();
        self.bounds.clocks.forget(peer);
        let why = CloseReason::TooLong;
        self.chat.close(peer, why, format_args!("line too long: at most {len_max} bytes"));
    }

    /// Peers whose address fits.
    pub(super) fn peers_in(&self, fits: impl Fn(IpAddr) -> bool) -> Vec<PeerId> {
        self.gate.slots_in(fits).filter_map(|slot| self.chat.id_of(slot)).collect()
    }

    pub(super) fn is_console(&self, peer: PeerId) -> bool {
        self.console.as_ref().is_some_and(|console| console.peer == peer)
    }

    /// The first time: everybody is told and gets what is pending; again: at once.
    pub(super) fn stop(&mut self, cause: &str) {
        let within = if self.stopping { Duration::ZERO } else { self.bounds.stop_timeout };
        if !self.stopping {
            log::info!(event = "stopping", cause; "stopping: {cause}");
            self.notify(Notice::Stopping(format!("stopping: {cause}")));
            self.chat.tell_all("the server is stopping");
            self.lift_bounds();
            // A stdout that nobody reads must not hold the stop up.
            if let Some(console) = &mut self.console {
                console.seat.screen.hide();
                let (peer, why) = (console.peer, CloseReason::Stopping);
                let within = within.min(CONSOLE_FLUSH);
                self.actions.push_back(Action::Finish { peer, why, within });
            }
        }
        self.stopping = true;
        self.actions.push_back(Action::Stop { within: Some(within) });
    }
}

impl Handler for Server {
    fn opened(&mut self, peer: PeerId, origin: Origin, now: Instant) {
        if let Origin::Accepted { listener, from } = origin {
            match self.roles[listener] {
                Role::Control => return self.open_control(peer, now),
                Role::Metrics => return self.open_scraper(peer, from, now),
                Role::Chat => self.let_in(peer, from, now),
            }
            self.show_status();
            return;
        }
        let console = Console::new(peer, &self.options, &self.log, now);
        self.chat.join_console(peer, console.talks());
        self.console = Some(console);
        if self.options.terminal {
            self.actions.push_back(Action::Terminal(true));
        }
        self.show_status();
    }

    fn reads(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.scrapers.has(peer) {
            return self.scrapers.reads(peer);
        }
        if self.control.has(peer) {
            return !self.chat.holds(peer);
        }
        self.gate.is_outside(peer)
            || !self.holds(peer, now) && (!self.is_console(peer) || self.takes_keys())
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        if self.is_console(peer) {
            return match self.options.terminal {
                true => self.receive_keys(peer, bytes, now),
                false => self.receive_words(peer, bytes, seen, now),
            };
        }
        if self.control.has(peer) {
            return self.receive_orders(peer, bytes, seen, now);
        }
        if self.scrapers.has(peer) {
            return self.receive_request(peer, bytes, now);
        }
        if self.gate.is_refused(peer) {
            return Taken { consumed: bytes.len(), hold: false };
        }
        if self.gate.is_outside(peer) {
            return self.receive_secret(peer, bytes, seen, now);
        }
        self.receive_stream(peer, bytes, seen, now)
    }

    fn ended(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        if self.is_console(peer) {
            return self.hear_rest(peer, rest, now);
        }
        if self.control.has(peer) {
            return self.end_orders(peer, rest, now);
        }
        if self.scrapers.has(peer) {
            self.finish_scraper(peer);
            return true;
        }
        if self.gate.is_outside(peer) {
            return self.leave(peer);
        }
        // What no newline ended is a line all the same: whoever sent it will never end it.
        let said = match self.protocol {
            _ if rest.is_empty() => Said::Yes,
            Protocol::Lines => self.say(peer, &[rest, b"\n"].concat(), now),
            Protocol::Chat | Protocol::Raw => self.say(peer, rest, now),
        };
        if said == Said::Hold {
            return !self.chat.holds(peer);
        }
        if said == Said::TooLong {
            self.refuse_too_long(peer);
            return true;
        }
        self.leave(peer)
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        if self.scrapers.gone(peer) {
            return;
        }
        if self.control.gone(peer) {
            self.chat.gone(peer);
            return;
        }
        self.note_end(peer, why);
        self.chat.gone(peer);
        if self.is_console(peer) {
            self.console = None;
            if let CloseReason::Failed(..) = why
                && !self.stopping
            {
                log::warn!("stdout: {why}; going on without a console, stdin included");
            }
            return;
        }
        self.gate.gone(peer, now);
        *self.closes.entry(why.word()).or_default() += 1;
        self.show_status();
        self.stop_if_drained();
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, now: Instant) -> Option<&'a [u8]> {
        let answers = self.gate.hears(datagram.from.ip(), now) && self.echo.answers(&datagram, now);
        answers.then_some(datagram.bytes)
    }

    /// The path's permissions have let the sender in, but its name is whatever it bound: who stands
    /// there when the answer leaves may be somebody else, or we.
    fn unix_datagram<'a>(
        &'a mut self,
        datagram: UnixDatagram<'a>,
        now: Instant,
    ) -> Option<&'a [u8]> {
        if *datagram.from == UnixAddress::Unnamed {
            self.unnamed += 1;
            return None;
        }
        self.echo.answers_unix(&datagram, now).then_some(datagram.bytes)
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        match signal {
            Signal::Interrupt => self.stop("SIGINT"),
            Signal::Terminate => self.stop("SIGTERM"),
            Signal::Reload if self.options.admission.access_file.is_some() || self.is_managed() => {
                self.reload();
            }
            Signal::Hangup | Signal::Reload => self.stop("SIGHUP"),
            Signal::Continue => {}
        }
    }

    fn expired(&mut self, now: Instant) {
        if self.chat.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.chat.expired(now);
        }
        self.expire_secrets(now);
        self.expire_bounds(now);
        self.expire_scrapers(now);
        self.expire_notices(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        // A line that was logged behind the last look is shown at once: its moment is past.
        let shown = self.console.as_ref().and_then(|console| console.seat.shows_at());
        let (bounds, gate) = (self.bounds.next(), self.gate.next_deadline());
        let (chat, scrapers) = (self.chat.next_deadline(), self.scrapers.next_deadline());
        let all = [shown, bounds, gate, chat, scrapers, self.next_notice_at()];
        all.into_iter().flatten().min()
    }

    fn screen(&mut self, screen: Screen) {
        if let Some(seat) = self.seat() {
            seat.on_screen(screen);
        }
    }

    fn reported(&mut self, stats: &Stats) {
        self.answer_stats(stats);
    }

    fn file_read(&mut self, contents: io::Result<Vec<u8>>) {
        self.reloaded(contents);
    }

    fn notified(&mut self, notice: Notice, outcome: io::Result<()>, now: Instant) {
        self.note_notified(notice, outcome, now);
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        if let Some(console) = &mut self.console
            && console.seat.wants_look()
        {
            return Some(console.peer);
        }
        self.scrapers.next_dirty().or_else(|| self.chat.next_dirty())
    }

    fn next_action(&mut self, now: Instant) -> Option<Action> {
        let action = self.next_notice(now).or_else(|| self.actions.pop_front());
        let action = action.or_else(|| self.chat.next_action());
        if let Some(Action::Resume(peer)) = action {
            self.bounds.clocks.set_running(peer, true, now);
        }
        action
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        match &mut self.console {
            Some(console) if console.peer == peer => console.pending(&mut self.chat, slices),
            _ if self.scrapers.has(peer) => self.scrapers.pending(peer, slices),
            _ => self.chat.pending(peer, slices),
        }
    }

    fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        match &mut self.console {
            Some(console) if console.peer == peer => {
                if console.seat.sent(n) {
                    self.actions.push_back(Action::Resume(peer));
                }
            }
            _ if self.scrapers.has(peer) => self.sent_to_scraper(peer, n, now),
            _ => self.chat.sent(peer, n, now),
        }
    }

    fn buffered(&self) -> usize {
        self.chat.buffered() + self.scrapers.buffered()
    }
}

#[cfg(test)]
pub(super) mod tests;
