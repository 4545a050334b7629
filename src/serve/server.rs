//! The handler of `reactor serve`: bytes to lines to the chat, datagrams to the echo, the console
//! and the signals.

use super::Options;
use super::bans::Bans;
use super::bounds::Bounds;
use super::console::{Console, ConsoleMode};
use crate::chat::words::{self, Parsed, Speaker};
use crate::chat::{Chat, Rules, Said};
use crate::echo::Echo;
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::stats::Stats;
use crate::wire::{self, Lines, Protocol};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long a peer that ended its input has to take what it is still owed.
const LEAVE_FLUSH: Duration = Duration::from_secs(5);

/// How long a stop waits for the operator's stdout.
const CONSOLE_FLUSH: Duration = Duration::from_millis(500);

/// How long a stop waits for the peers to take what they are owed: `--stop-timeout`, shorter than
/// what service managers give before they kill (10 s and more).
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The program of `reactor serve`.
pub struct Server {
    pub(super) protocol: Protocol,
    /// What all buffers together may hold, as the loop was told last.
    pub(super) buffers_total: usize,
    pub(super) chat: Chat,
    pub(super) echo: Echo,
    console_mode: ConsoleMode,
    stdout_is_terminal: bool,
    pub(super) console: Option<Console>,
    /// Limits on single peers, and on all of them together.
    pub(super) bounds: Bounds,
    pub(super) actions: VecDeque<Action>,
    pub(super) stopping: bool,
    pub(super) bans: Bans,
    /// By slot: where a peer comes from. Beside the chat, which knows no addresses.
    pub(super) addresses: Vec<Option<IpAddr>>,
    /// Connections that were accepted and are not closed.
    pub(super) peers: usize,
    /// `/drain` was said: no new peers, and the end comes with the last one's.
    pub(super) draining: bool,
    /// Ends by reason.
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
            echo: Echo::default(),
            console_mode: options.console,
            stdout_is_terminal: options.stdout_is_terminal,
            console: None,
            bounds: Bounds::new(options),
            actions: VecDeque::new(),
            stopping: false,
            bans: Bans::default(),
            addresses: Vec::new(),
            peers: 0,
            draining: false,
            closes: BTreeMap::new(),
        }
    }

    /// Tells of a UDP socket that was bound for the echo.
    pub fn bound_udp(&mut self, at: SocketAddr) {
        self.echo.bound(at);
    }

    /// The most that one peer takes here and in the chat beside its buffers, in bytes.
    #[cfg(test)]
    pub(crate) fn peer_bytes() -> usize {
        Chat::peer_bytes() + Bounds::peer_bytes() + size_of::<Option<IpAddr>>()
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

    fn receive_lines(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut lines = Lines::new(bytes, seen, self.chat.line_len_max());
        let limited = self.is_limited(peer);
        while let Some(line) = lines.next() {
            let said = match line {
                Ok(line) => self.say_if_allowed(peer, line, limited, now),
                Err(wire::TooLong) => Said::TooLong,
            };
            match (said, line) {
                (Said::Hold, Ok(line)) => {
                    lines.put_back(line);
                    // That line is whole; what stands behind it begins when it is read again.
                    self.bounds.clocks.note_line(peer, false, false, now);
                    let hold = self.holds(peer, now);
                    return Taken { consumed: lines.consumed(), hold };
                }
                (Said::TooLong, _) => {
                    self.refuse_too_long(peer);
                    return Taken { consumed: bytes.len(), hold: false };
                }
                _ => {}
            }
        }
        let consumed = lines.consumed();
        self.bounds.clocks.note_line(peer, consumed < bytes.len(), consumed > 0, now);
        Taken { consumed, hold: false }
    }

    /// One line, with or without its ending.
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
        let last_words = format_args!("line too long: at most {len_max} bytes");
        self.bounds.clocks.forget(peer);
        self.chat.close(peer, CloseReason::TooLong, last_words);
    }

    /// Peers whose address fits.
    pub(super) fn peers_in(&self, fits: impl Fn(IpAddr) -> bool) -> Vec<PeerId> {
        let there = self.addresses.iter().enumerate();
        let fitting = there.filter(|(_, address)| address.is_some_and(&fits));
        fitting.filter_map(|(slot, _)| self.chat.id_of(slot as u32)).collect()
    }

    pub(super) fn is_console(&self, peer: PeerId) -> bool {
        self.console.as_ref().is_some_and(|console| console.peer == peer)
    }

    fn receive_words(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let len_max = self.chat.line_len_max();
        let Some(console) = &mut self.console else { return Taken { consumed: 0, hold: false } };
        let mut refused = console.refused;
        let mut lines = Lines::skipping(bytes, seen, len_max, &mut refused);
        let mut hold = false;
        while let Some(line) = lines.next() {
            match line {
                Ok(line) => {
                    if !self.hear_word(peer, line, now) {
                        lines.put_back(line);
                        hold = self.chat.holds(peer);
                        break;
                    }
                }
                Err(wire::TooLong) => log::warn!("stdin: line too long: at most {len_max} bytes"),
            }
        }
        let consumed = lines.consumed();
        if let Some(console) = &mut self.console {
            console.refused = refused;
        }
        Taken { consumed, hold }
    }

    /// One line of the operator. False where the room is full: it is to be heard again.
    fn hear_word(&mut self, peer: PeerId, line: &[u8], now: Instant) -> bool {
        let text = wire::text(line);
        // The tutorial's server ends on an empty message; a chat must not, by an accident.
        if text.is_empty() {
            if self.protocol == Protocol::Raw {
                self.stop("an empty message");
            }
            return true;
        }
        let said = match words::parse(&String::from_utf8_lossy(text), Speaker::Operator) {
            Parsed::Order(order) => return self.operate(peer, &order, now),
            Parsed::Wrong(hint) => {
                log::warn!("{hint}");
                return true;
            }
            Parsed::Said(_) if !self.console.as_ref().is_some_and(Console::talks) => {
                log::warn!("only commands are read here (--console commands)");
                return true;
            }
            Parsed::Said(_) => {
                // The bytes as they were typed, less the slash of a `//`.
                let text = text.strip_prefix(b"/").unwrap_or(text);
                match self.protocol {
                    Protocol::Lines => self.chat.say(peer, &[text, b"\n"].concat(), now),
                    Protocol::Chat | Protocol::Raw => self.chat.say(peer, text, now),
                }
            }
        };
        if said == Said::TooLong {
            log::warn!("stdin: line too long: at most {} bytes", self.chat.line_len_max());
        }
        said != Said::Hold
    }

    /// The first time: everybody is told and gets what is pending; again: at once.
    pub(super) fn stop(&mut self, cause: &str) {
        let within = if self.stopping { Duration::ZERO } else { self.bounds.stop_timeout };
        if !self.stopping {
            log::info!("stopping: {cause}");
            self.chat.tell_all("the server is stopping");
            self.lift_bounds();
            // A stdout that nobody reads must not hold the stop up.
            if let Some(console) = &self.console {
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
        if let Origin::Accepted(from) = origin {
            let slot = peer.slot as usize;
            if self.addresses.len() <= slot {
                self.addresses.resize(slot + 1, None);
            }
            self.addresses[slot] = Some(from.ip());
            self.peers += 1;
            if self.bans.hit(from.ip(), now) {
                self.chat.refuse(peer, CloseReason::Banned, format_args!("banned"));
            } else {
                self.chat.join(peer);
                self.bounds.clocks.heard(peer, now);
            }
            return;
        }
        let console = Console::new(peer, self.console_mode, self.protocol, self.stdout_is_terminal);
        self.chat.join_console(peer, console.talks());
        self.console = Some(console);
    }

    fn reads(&mut self, peer: PeerId, now: Instant) -> bool {
        !self.holds(peer, now)
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        if self.is_console(peer) {
            return self.receive_words(peer, bytes, seen, now);
        }
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

    fn ended(&mut self, peer: PeerId, rest: &[u8], now: Instant) -> bool {
        if let Some(console) = self.console.as_ref().filter(|console| console.peer == peer) {
            let rest = console.refused.rest(rest);
            return rest.is_empty() || self.hear_word(peer, rest, now) || !self.chat.holds(peer);
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
        self.bounds.clocks.forget(peer);
        self.chat.leave(peer, None);
        let why = CloseReason::Left;
        self.actions.push_back(Action::Finish { peer, why, within: LEAVE_FLUSH });
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, _now: Instant) {
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
        if let Some(address) = self.addresses.get_mut(peer.slot as usize) {
            *address = None;
        }
        *self.closes.entry(why.word()).or_default() += 1;
        self.peers -= 1;
        self.stop_if_drained();
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        self.echo.answers(datagram.from).then_some(datagram.bytes)
    }

    fn signalled(&mut self, signal: Signal, _now: Instant) {
        match signal {
            Signal::Interrupt => self.stop("SIGINT"),
            Signal::Terminate => self.stop("SIGTERM"),
            Signal::Hangup => self.stop("SIGHUP"),
            Signal::Continue => {}
        }
    }

    fn expired(&mut self, now: Instant) {
        if self.chat.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.chat.expired(now);
        }
        self.expire_bounds(now);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.bounds.next().into_iter().chain(self.chat.next_deadline()).min()
    }

    fn reported(&mut self, stats: &Stats) {
        self.show(stats);
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.chat.next_dirty()
    }

    fn next_action(&mut self, now: Instant) -> Option<Action> {
        let action = self.actions.pop_front().or_else(|| self.chat.next_action());
        if let Some(Action::Resume(peer)) = action {
            self.bounds.clocks.set_running(peer, true, now);
        }
        action
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        match &mut self.console {
            Some(console) if console.peer == peer => console.pending(&mut self.chat, slices),
            _ => self.chat.pending(peer, slices),
        }
    }

    fn sent(&mut self, peer: PeerId, n: usize, _now: Instant) {
        match &mut self.console {
            Some(console) if console.peer == peer => console.sent(n),
            _ => self.chat.sent(peer, n),
        }
    }

    fn buffered(&self) -> usize {
        self.chat.buffered()
    }
}

#[cfg(test)]
mod tests;
