//! The loop: readiness and budgets. Every decision of the event loop is made in this folder, and
//! none about chat.
//!
//! One turn is eight phases in this order: wait, note, accept, read, expire, act, sweep, flush. No
//! handler code runs while events are iterated; slots are freed in `sweep` and nowhere else; bytes
//! are written in `flush` and nowhere else. The phases in order are libuv's, the one small file
//! Redis' `ae.c`, budgets and the accept pause nginx', the generation beside the slot libev's.
//!
//! ```text
//! wait ▸ note ▸ accept ▸ read ▸ expire ▸ act ▸ sweep ▸ flush ─┐
//!  ▲ zero wait while anything is ready, doomed or queued      │
//!  └──────────────────────────────────────────────────────────┘
//! ```

mod budgets;
#[cfg(test)]
mod check;
mod conn;
mod console;
mod flush;
mod limits;
mod listener;
mod pace;
mod read;
mod ready;
mod stalls;
mod stop;
mod terminal;
mod transcript;
mod udp;
mod unix_dgram;
mod wait;

use crate::handler::{Action, Call, CloseReason, Endpoint, Handler, PeerId, Signal};
use crate::log_queue::LogQueue;
use crate::os::{Batch, Caught, Event, Os, Source};
use crate::stats::Stats;
use crate::timers::Timers;
pub use budgets::Budgets;
use conn::{Conn, Ending, Output, Phase};
pub use console::CONSOLE_RETRY_MS;
use limits::level_of;
pub use limits::{BUFFERS_TOTAL, Limits, STALL_TIMEOUT};
use listener::Listener;
use pace::Pace;
pub use pace::{SPIN_AUTO, Spin};
use ready::ReadyList;
use slab::Slab;
use stalls::Stalls;
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use stop::Stopping;
use terminal::Terminal;
use udp::UdpSocket;
use unix_dgram::UnixSocket;

/// How long a finished connection is read and dropped before it is closed, in milliseconds.
pub const DRAIN_MS_MAX: u64 = 2_000;

/// How many bytes are dropped so. What is more than that is no reply in flight but a flood.
pub const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// Connections that there is room for at first. The table is so large from the start (320 KiB) that
/// malloc takes it from the system: pages cost memory when they are first used, and it grows by
/// moving pages (mremap(2)). A small one would leave its former places behind, 10 bytes a peer.
const ROOM_AT_FIRST: usize = 8 * 1024;

/// The event loop over one [`Os`]: owns every socket, drives one [`Handler`].
pub struct Reactor<O: Os> {
    os: O,
    budgets: Budgets,
    conns: Slab<Conn<O::Stream>>,
    listeners: Vec<Listener<O::Listener>>,
    udps: Vec<UdpSocket<O::Udp>>,
    unix_dgrams: Vec<UnixSocket<O::UnixDgram>>,
    /// The serial given last; never reused.
    serial: u64,
    events: Vec<Event>,
    /// Nothing was left to do when this turn began, and its poll brought nothing.
    quiet: bool,
    /// When this turn's wait was over, or what was read last came in; between two turns, when the
    /// first of them ended. A phase that has just begun needs no look at the clock of its own.
    now: Instant,
    pace: Pace,
    scratch: Box<[u8]>,
    /// Taken when the first datagram comes.
    batch: Option<Box<Batch>>,
    /// Connections that the read phase has something to do for. May name ones that are gone.
    readable: ReadyList,
    /// Connections to try writing to, whatever the handler says. May name ones that are gone.
    writable: VecDeque<PeerId>,
    /// In the middle of its flush when the budget ran out.
    visiting: Option<PeerId>,
    /// The flush stopped for want of budget: the handler may have more dirty peers.
    flush_unfinished: bool,
    /// Phase `Doomed`, closed by the next sweeps.
    doomed: VecDeque<PeerId>,
    /// Dials that failed at once, without a socket: told in the next sweep.
    failed_dials: Vec<(PeerId, CloseReason)>,
    console: Option<PeerId>,
    /// When the console's terminal, which is another job's, is tried again. Not among the timers:
    /// there it would pass for the deadline of the console's end, and each SIGCONT would add one.
    console_retry: Option<Instant>,
    terminal: Terminal,
    /// Connections that are owed something and did not take it all.
    stalls: Stalls,
    /// Bytes of memory in all connections' kept input.
    kept_bytes: usize,
    /// [`Limits::buffers_total`].
    buffers_total: usize,
    /// Deadlines of connections that are dialing, blocked or finishing.
    timers: Timers<PeerId>,
    /// An action taken from the handler to see whether there is one, and not carried out yet.
    next_action: Option<Action>,
    stopping: Option<Stopping>,
    log: LogQueue,
    log_ready: bool,
    stats: Stats,
}

impl<O: Os> Reactor<O> {
    /// An idle loop. `log` is drained to the system's stderr as it takes it.
    pub fn new(os: O, log: LogQueue) -> Self {
        Self::with_budgets(os, log, Budgets::default())
    }

    /// The same with other budgets, none of them 0: the simulation makes them small.
    pub fn with_budgets(mut os: O, log: LogQueue, budgets: Budgets) -> Self {
        Reactor {
            now: os.now(),
            os,
            budgets,
            conns: Slab::with_capacity(ROOM_AT_FIRST),
            listeners: Vec::new(),
            udps: Vec::new(),
            unix_dgrams: Vec::new(),
            serial: 0,
            events: Vec::with_capacity(budgets.events),
            quiet: false,
            pace: Pace::default(),
            scratch: vec![0; budgets.scratch_bytes].into_boxed_slice(),
            batch: None,
            readable: ReadyList::default(),
            writable: VecDeque::new(),
            visiting: None,
            flush_unfinished: false,
            doomed: VecDeque::new(),
            failed_dials: Vec::new(),
            console: None,
            console_retry: None,
            terminal: Terminal::default(),
            stalls: Stalls::new(STALL_TIMEOUT),
            kept_bytes: 0,
            buffers_total: BUFFERS_TOTAL,
            timers: Timers::new(),
            next_action: None,
            stopping: None,
            log,
            log_ready: true,
            stats: Stats::default(),
        }
    }

    /// Trades processor time against latency, see [`Spin`]; `gather`: how long what came in may
    /// wait for more before it is passed on, at most one more millisecond than that.
    pub fn pace_by(&mut self, spin: Spin, gather: Duration) {
        self.pace = Pace::new(spin, gather);
    }

    /// Binds a listener; the address is the one really bound. Before the first turn. The first has
    /// the index 0 in `Origin::Accepted`. `mode` are the permissions of a Unix socket's path, chmod(2);
    /// of no meaning elsewhere.
    pub fn listen(&mut self, at: &Endpoint, mode: u32) -> io::Result<Endpoint> {
        let listener = self.os.listen(at, mode, self.listeners.len())?;
        let bound = self.os.listener_address(&listener)?;
        self.listeners.push(Listener::new(listener));
        Ok(bound)
    }

    /// How many listeners were bound: the index of the next one.
    pub fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Binds a UDP socket; the address is the one really bound. Before the first turn.
    pub fn bind_udp(&mut self, at: SocketAddr, broadcast: bool) -> io::Result<SocketAddr> {
        let udp = self.os.bind_udp(at, broadcast, self.udps.len())?;
        let bound = self.os.udp_address(&udp)?;
        self.udps.push(UdpSocket::new(udp));
        Ok(bound)
    }

    /// The addresses of the UDP sockets, in the order they were bound.
    pub fn udp_addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.udps.iter().map(|udp| self.os.udp_address(udp.socket())).collect()
    }

    /// Joins a multicast group with the UDP socket of this index (in the order of `bind_udp`).
    pub fn join(&mut self, socket: usize, group: IpAddr, interface: u32) -> io::Result<()> {
        self.os.join(self.udps[socket].socket_mut(), group, interface)
    }

    /// Goes round until a stop is complete. Errors are those of the loop itself: a poll or a
    /// listener that is broken. No connection's end leaves here.
    pub fn run<H: Handler>(&mut self, handler: &mut H) -> io::Result<()> {
        // What was told before the first turn must not wait for its first event: a regular file as
        // stderr has none.
        self.flush_log();
        while self.turn(handler)? {}
        Ok(())
    }

    /// Once round. False when a stop is complete.
    pub fn turn<H: Handler>(&mut self, handler: &mut H) -> io::Result<bool> {
        self.stats.turns += 1;
        self.wait(handler)?;
        let begun = self.look();
        let came_in = self.came_in();
        self.note(handler);
        self.accept(handler, begun)?;
        self.read(handler, begun);
        self.set_pace(came_in);
        let now = self.now;
        self.expire(handler, now);
        self.act(handler, now);
        self.sweep(handler, now);
        if !self.pace.gathers(now) {
            self.flush(handler);
        }
        self.flush_log();
        let took = self.look().saturating_duration_since(begun);
        let took_us = took.as_micros() as u64;
        self.stats.turn_us_max = self.stats.turn_us_max.max(took_us);
        self.stats.turn_time.add(took_us);
        Ok(!self.stopped())
    }

    /// Looks at the clock.
    fn look(&mut self) -> Instant {
        self.now = self.os.now();
        self.now
    }

    /// The counters.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Connections that are open, dialing or finishing, the console included.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// The system below, for tests and for programs that prepare it before the first turn.
    pub fn os_mut(&mut self) -> &mut O {
        &mut self.os
    }

    /// Turns events into readiness bits and list entries. Of the handler, only signals are told.
    fn note<H: Handler>(&mut self, handler: &mut H) {
        let mut events = std::mem::take(&mut self.events);
        for event in events.drain(..) {
            match event.source {
                Source::Peer { slot, serial_low } => {
                    let Some(conn) = self.conns.get_mut(slot as usize) else {
                        self.stats.stale_events += 1;
                        continue;
                    };
                    if conn.serial as u32 != serial_low {
                        self.stats.stale_events += 1;
                        continue;
                    }
                    let peer = conn.id(slot);
                    if conn.note(event.hints) {
                        self.writable.push_back(peer);
                    }
                    self.queue_read(peer);
                }
                Source::Listener(index) => {
                    if let Some(listener) = self.listeners.get_mut(index) {
                        listener.note();
                    }
                }
                Source::Udp(index) => {
                    if let Some(udp) = self.udps.get_mut(index) {
                        udp.note();
                    }
                }
                Source::UnixDgram(index) => {
                    if let Some(socket) = self.unix_dgrams.get_mut(index) {
                        socket.note();
                    }
                }
                Source::Signals => self.take_signals(handler),
                Source::Log => self.log_ready = true,
            }
        }
        self.events = events;
    }

    fn take_signals<H: Handler>(&mut self, handler: &mut H) {
        while let Some(caught) = self.os.signal() {
            match caught {
                Caught::Told(signal) => {
                    let now = self.look();
                    if signal == Signal::Continue {
                        self.retry_console(handler);
                    }
                    handler.signalled(signal, now);
                }
                Caught::Resized => self.take_terminal(handler),
                Caught::Raise(raise) => self.leave_terminal(raise, handler),
            }
        }
    }

    fn expire<H: Handler>(&mut self, handler: &mut H, now: Instant) {
        while let Some(peer) = self.timers.expire(now) {
            let Some(conn) = self.conn(peer) else { continue };
            match conn.phase() {
                Phase::Dialing { .. } => self.doom(peer, CloseReason::DialTimeout),
                Phase::Flushing(_) | Phase::Draining(_) => self.cut(peer),
                Phase::Open => {
                    if self.stalls.is_due(peer, now, &mut self.timers) {
                        self.try_send(peer);
                    }
                }
                Phase::Doomed(_) => {}
            }
        }
        if self.console_retry.is_some_and(|retry| retry <= now) {
            self.retry_console(handler);
        }
        if handler.next_deadline().is_some_and(|deadline| deadline <= now) {
            handler.expired(now);
        }
    }

    fn act<H: Handler>(&mut self, handler: &mut H, now: Instant) {
        for _ in 0..self.budgets.actions {
            let Some(action) = self.next_action.take().or_else(|| handler.next_action(now)) else {
                break;
            };
            match action {
                Action::Connect { to, from, timeout } => self.dial(&to, from, now + timeout),
                Action::SendTo { socket, to, bytes, stride } => {
                    self.send_datagrams(socket, to, &bytes, stride);
                }
                Action::HalfClose(peer) => {
                    if let Some(conn) = self.conn(peer)
                        && conn.output == Output::Open
                    {
                        conn.output = Output::Ending;
                        self.writable.push_back(peer);
                    }
                }
                Action::Finish { peer, why, within } => self.finish(peer, why, now + within),
                Action::Close(peer, why) => self.doom(peer, why),
                Action::Resume(peer) => {
                    if let Some(conn) = self.conn(peer) {
                        conn.resume();
                        self.queue_read(peer);
                    }
                }
                Action::Refuse { listener } => self.close_listener(listener),
                Action::StallTimeout(timeout) => self.stalls.timeout = timeout,
                Action::BuffersTotal(bytes) => self.buffers_total = bytes,
                Action::Terminal(wanted) => self.want_terminal(wanted, handler),
                Action::Report => handler.reported(self.report()),
                Action::ReadFile { path, bytes_max } => {
                    let file = self.os.read_file(&path, bytes_max);
                    handler.file_read(file.map(|file| file.bytes));
                }
                Action::Notify(notice) => {
                    let outcome = self.os.notify(&notice);
                    handler.notified(notice, outcome, now);
                }
                Action::Stop { within } => self.stop(within, now),
            }
        }
        self.act_on_stop(now);
    }

    fn dial(&mut self, to: &Endpoint, from: Option<SocketAddr>, deadline: Instant) {
        let peer = self.next_peer();
        self.stats.dialed += 1;
        match self.os.connect(to, from, peer) {
            Ok(stream) => {
                self.insert(peer, stream);
                // Writable is what a dialed socket becomes when the handshake is done.
                self.conns[peer.slot as usize].writable = false;
                self.enter(peer, Phase::Dialing { deadline });
            }
            // No socket, no slot: the handler hears of it as of any dial that failed.
            Err(error) => {
                // No slot was taken, but the serial has named this dial.
                self.serial = peer.serial;
                self.failed_dials.push((peer, CloseReason::failed(Call::Connect, &error)));
            }
        }
    }

    fn finish(&mut self, peer: PeerId, why: CloseReason, deadline: Instant) {
        let Some(conn) = self.conn(peer) else { return };
        match conn.phase() {
            Phase::Dialing { .. } => self.doom(peer, why),
            Phase::Open => {
                let ending = Ending { why, deadline, dropped: 0 };
                self.enter(peer, Phase::Flushing(ending));
                self.writable.push_back(peer);
            }
            Phase::Flushing(_) | Phase::Draining(_) | Phase::Doomed(_) => {}
        }
    }

    fn sweep<H: Handler>(&mut self, handler: &mut H, now: Instant) {
        for (peer, why) in std::mem::take(&mut self.failed_dials) {
            self.stats.closed += 1;
            handler.closed(peer, why, now);
        }
        for _ in 0..self.budgets.closes {
            let Some(peer) = self.doomed.pop_front() else { break };
            let conn = self.conns.remove(peer.slot as usize);
            let &Phase::Doomed(why) = conn.phase() else { unreachable!("doomed is never undone") };
            self.os.close(conn.stream);
            self.stats.closed += 1;
            log::log!(
                level_of(why), event = "closed", peer = peer.serial, why = why.word();
                "closed {peer}: {why}"
            );
            handler.closed(peer, why, now);
            if conn.console {
                self.forget_terminal();
            }
            self.listeners.iter_mut().for_each(Listener::retry);
        }
        self.relieve(handler);
    }

    /// Marks a connection for the sweep; the first reason stands.
    fn doom(&mut self, peer: PeerId, why: CloseReason) {
        if let Some(conn) = self.conn(peer)
            && !matches!(conn.phase(), Phase::Doomed(_))
        {
            self.enter(peer, Phase::Doomed(why));
            self.doomed.push_back(peer);
        }
    }

    /// Time is up: dooms a connection with the reason that fits how far it came.
    fn cut(&mut self, peer: PeerId) {
        let why = match self.conn(peer).map(|conn| conn.phase()) {
            // All that was pending is sent; only the peer's own end has not come.
            Some(Phase::Draining(ending)) => ending.why,
            _ => CloseReason::NotFlushed,
        };
        self.doom(peer, why);
    }

    /// Changes a connection's phase, and its deadline with it.
    fn enter(&mut self, peer: PeerId, phase: Phase) {
        let Some(conn) = self.conns.get_mut(peer.slot as usize) else { return };
        let next = phase.deadline();
        let over = !matches!(phase, Phase::Dialing { .. } | Phase::Open);
        let last = conn.enter(phase).deadline();
        if let Some(deadline) = last {
            self.timers.disarm(deadline, peer);
        }
        if let Some(deadline) = next {
            self.timers.arm(deadline, peer);
        }
        if over {
            self.let_go(peer);
        }
    }

    /// The connection of this id, if it is not gone.
    fn conn(&mut self, peer: PeerId) -> Option<&mut Conn<O::Stream>> {
        self.conns.get_mut(peer.slot as usize).filter(|conn| conn.serial == peer.serial)
    }

    fn peers(&self) -> Vec<PeerId> {
        self.conns.iter().map(|(slot, conn)| conn.id(slot as u32)).collect()
    }

    /// The id that the next `insert` must be given.
    fn next_peer(&self) -> PeerId {
        PeerId { serial: self.serial + 1, slot: self.conns.vacant_key() as u32 }
    }

    fn insert(&mut self, peer: PeerId, stream: O::Stream) {
        self.serial = peer.serial;
        let slot = self.conns.insert(Conn::new(stream, peer.serial, false));
        assert_eq!(slot as u32, peer.slot, "the slot is the one that the socket is registered for");
    }

    /// Puts a connection into the list of those to read, where it is for that and not there yet.
    fn queue_read(&mut self, peer: PeerId) {
        if let Some(conn) = self.conn(peer)
            && conn.wants_read()
            && !conn.in_readable
        {
            conn.in_readable = true;
            self.readable.push(peer, self.stats.turns);
        }
    }

    /// Tries to send, whatever is known of the socket: a send that takes nothing does no harm.
    fn try_send(&mut self, peer: PeerId) {
        if let Some(conn) = self.conn(peer) {
            conn.writable = true;
            self.writable.push_back(peer);
        }
    }
}
