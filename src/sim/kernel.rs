//! [`SimOs`]: the state of one simulated system and its descriptor table. The calls are in the files
//! beside this one: `epoll`, `accept`, `socket`, `console`, `udp`; `calls` puts them behind the
//! trait; `remote` is the other side, `checks` what may be asked after each turn.

use super::console::{Console, Sink};
use super::faults::Faults;
use super::link::Link;
use super::random::Random;
use super::trace::{Step, Trace};
use super::udp::{Sent, UdpSocket};
use super::unix_dgram::UnixDgram;
use crate::handler::{Endpoint, Notice, PeerId, UnixAddress};
use crate::os::{Caught, Event, Hints, Source};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// All hints: a socket's event reports whatever is true when it is told.
pub(super) const ALL: Hints = Hints::READABLE.with(Hints::WRITABLE).with(Hints::ENDED);

/// Bytes that the log's pipe and the console's output hold: a Linux pipe's default, pipe(7).
const PIPE_BYTES: usize = 65_536;

/// How many closed sources the `stale` fault remembers.
const CLOSED_MAX: usize = 8;

/// The descriptors that stand for signals and stderr: open before the loop, never closed, and not
/// part of [`SimOs::open_descriptors`].
pub(super) const SIGNALS_FD: usize = 0;
pub(super) const LOG_FD: usize = 1;
pub(super) const OWN_FDS: usize = 2;

/// What an owned descriptor handle carries. Neither `Clone` nor `Copy`: a use after close does not
/// compile, and one forged all the same is caught by its birth number.
#[derive(Debug)]
pub(super) struct Fd {
    pub(super) number: usize,
    pub(super) birth: u64,
}

/// A listener's handle.
#[derive(Debug)]
pub(crate) struct ListenerFd(pub(super) Fd);

/// A connection's or the console's handle.
#[derive(Debug)]
pub(crate) struct StreamFd(pub(super) Fd);

/// A UDP socket's handle.
#[derive(Debug)]
pub(crate) struct UdpFd(pub(super) Fd);

/// The handle of a datagram socket of the Unix domain.
#[derive(Debug)]
pub(crate) struct UnixDgramFd(pub(super) Fd);

/// What a descriptor refers to; numbers are places in the vectors of [`SimOs`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Signals,
    Log,
    Listener(usize),
    Link(usize),
    Console,
    Udp(usize),
    UnixDgram(usize),
}

/// An entry of the descriptor table, which is also its entry in epoll.
#[derive(Debug)]
pub(super) struct Descriptor {
    pub(super) birth: u64,
    pub(super) source: Source,
    pub(super) what: What,
    /// The edges that put it into the ready list; none: it is not in it.
    pub(super) queued: Hints,
    /// Short of memory for sending: not writable until the pressure ends, which makes an edge.
    pub(super) pressed: bool,
    /// The turn in which `read` was counted.
    turn: u64,
    /// Bytes received in that turn.
    read: usize,
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: Endpoint,
    /// Its descriptor; none once closed.
    pub(super) open: Option<usize>,
    /// Connections that nobody has accepted.
    pub(super) backlog: VecDeque<usize>,
}

/// A simulated system. Everything that happens in it follows from its seed and from the calls made.
pub(crate) struct SimOs {
    pub(super) random: Random,
    pub(super) faults: Faults,
    /// The moment at which the world began, and how far its clock is from there.
    base: Instant,
    pub(super) elapsed: Duration,
    /// By descriptor number.
    pub(super) table: Vec<Option<Descriptor>>,
    /// Numbers in `table` that are free: the lowest is taken next.
    unused: BTreeSet<usize>,
    /// The sources of what is open, with their numbers.
    pub(super) sources: BTreeMap<Source, usize>,
    /// Descriptors opened so far.
    births: u64,
    /// The ready list: descriptors, each at most once, oldest edge first.
    pub(super) ready: VecDeque<usize>,
    /// Taken from the ready list by a poll whose caller had no room for all; may name the closed.
    pub(super) batch: VecDeque<Event>,
    /// Hints held back from their event.
    pub(super) late: Vec<Event>,
    /// Descriptors under pressure (or closed since).
    pub(super) pressed: Vec<usize>,
    /// Sources closed last, at most [`CLOSED_MAX`]: what the `stale` fault draws from.
    pub(super) closed: VecDeque<Source>,
    /// By index, closed ones included.
    pub(super) listeners: Vec<Listening>,
    /// By [`RemoteId`](super::remote::RemoteId), closed ones included: a remote end may still read.
    pub(super) links: Vec<Link>,
    /// Dials of ours that the runner has not been told of.
    pub(super) dialed: VecDeque<usize>,
    pub(super) udps: Vec<UdpSocket>,
    pub(super) unix_dgrams: Vec<UnixDgram>,
    /// Datagrams of the Unix domain sent that the runner has not taken.
    pub(super) unix_outbox: Vec<(UnixAddress, Vec<u8>)>,
    /// Datagrams sent that the runner has not taken.
    pub(super) outbox: Vec<Sent>,
    pub(super) console: Console,
    /// stderr.
    pub(super) log: Sink,
    /// What the service manager was told, and when; and what it takes.
    pub(super) notices: Vec<(Duration, Notice)>,
    pub(super) manager: fn(&Notice) -> Result<(), Errno>,
    /// Caught and not told, each kind once.
    pub(super) signals: Vec<Caught>,
    /// Attempts to get a descriptor that will still fail, and how.
    pub(super) window: Option<(Errno, usize)>,
    /// The longest sleep of one poll, if bounded.
    pub(super) nap_max: Option<Duration>,
    /// What the last poll asked for, and whether it would have slept for ever.
    pub(super) last_timeout: Option<Duration>,
    pub(super) idle_forever: bool,
    /// Most bytes that one connection gave in this turn.
    /// Events told whose connection was closed by then.
    pub(super) stale_told: u64,
    pub(super) read_most: usize,
    pub(super) trace: Trace,
}

impl SimOs {
    /// The world of `seed`, its faults drawn from it too.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::draw(&mut random);
        Self::with(random.next(), faults)
    }

    /// A world with these faults.
    pub(crate) fn with(seed: u64, faults: Faults) -> Self {
        let mut os = SimOs {
            random: Random::new(seed),
            faults,
            base: Instant::now(), // an Instant has no other constructor; only differences are used
            elapsed: Duration::ZERO,
            table: Vec::new(),
            unused: BTreeSet::new(),
            sources: BTreeMap::new(),
            births: 0,
            ready: VecDeque::new(),
            batch: VecDeque::new(),
            late: Vec::new(),
            pressed: Vec::new(),
            closed: VecDeque::new(),
            listeners: Vec::new(),
            links: Vec::new(),
            dialed: VecDeque::new(),
            udps: Vec::new(),
            unix_dgrams: Vec::new(),
            unix_outbox: Vec::new(),
            outbox: Vec::new(),
            console: Console::new(PIPE_BYTES),
            log: Sink::new(PIPE_BYTES),
            notices: Vec::new(),
            manager: |_| Ok(()),
            signals: Vec::new(),
            window: None,
            nap_max: None,
            last_timeout: None,
            idle_forever: false,
            stale_told: 0,
            read_most: 0,
            trace: Trace::new(),
        };
        os.open(Source::Signals, What::Signals);
        os.open(Source::Log, What::Log);
        os
    }

    // ---- the descriptor table ----

    /// Takes the lowest free number and registers it; what is ready already makes an event.
    pub(super) fn open(&mut self, source: Source, what: What) -> Fd {
        self.births += 1;
        let birth = self.births;
        let queued = Hints::default();
        let entry = Descriptor { birth, source, what, queued, pressed: false, turn: 0, read: 0 };
        let number = self.unused.pop_first().unwrap_or_else(|| {
            self.table.push(None);
            self.table.len() - 1
        });
        self.table[number] = Some(entry);
        let known = self.sources.insert(source, number);
        assert_eq!(known, None, "{source:?} is registered already, for a descriptor that is open");
        if let What::Link(link) = what {
            self.links[link].fd = Some(number);
        }
        self.wake(number, ALL); // dropped by the next poll if nothing is ready
        Fd { number, birth }
    }

    /// Frees the number; its edge goes with it, what a poll has taken out does not.
    pub(super) fn free(&mut self, number: usize) {
        let entry = self.table[number].take();
        let entry = entry.expect("the caller has looked the descriptor up, so it is open");
        self.unused.insert(number);
        self.sources.remove(&entry.source);
        if entry.queued.any(ALL) {
            self.ready.retain(|&fd| fd != number);
        }
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(entry.source);
    }

    /// The table entry of a handle. Panics where it is closed: that is a bug in the loop.
    pub(super) fn entry(&mut self, fd: &Fd, step: Step) -> &mut Descriptor {
        let number = fd.number;
        let entry = self.table.get_mut(number).and_then(Option::as_mut);
        let entry = entry.filter(|entry| entry.birth == fd.birth);
        entry.unwrap_or_else(|| panic!("{step:?} on descriptor {number}, which is closed"))
    }

    /// An edge: into the ready list, where it is not there yet.
    pub(super) fn wake(&mut self, number: usize, edge: Hints) {
        let entry = self.table[number].as_mut();
        let entry = entry.expect("only open descriptors are woken: a link forgets a closed one");
        if !entry.queued.any(ALL) {
            self.ready.push_back(number);
        }
        entry.queued = entry.queued.with(edge);
    }

    /// The fault `pressure`: whether this send fails; the edge comes when a poll ends it.
    pub(super) fn press(&mut self, number: usize) -> bool {
        let pressed = self.random.chance(self.faults.pressure);
        let entry = self.table[number].as_mut();
        let entry = entry.expect("the caller has looked the descriptor up, so it is open");
        if pressed && !entry.pressed {
            entry.pressed = true;
            self.pressed.push(number);
        }
        entry.pressed
    }

    /// Counts what one descriptor received in this turn.
    pub(super) fn count_read(&mut self, number: usize, n: usize) {
        let turn = self.trace.turn;
        let entry = self.table[number].as_mut();
        let entry = entry.expect("the caller has looked the descriptor up, so it is open");
        if entry.turn != turn {
            (entry.turn, entry.read) = (turn, 0);
        }
        entry.read += n;
        self.read_most = self.read_most.max(entry.read);
    }

    /// The moment that the virtual clock shows.
    pub(crate) fn clock(&self) -> Instant {
        self.base + self.elapsed
    }
}

/// The source of a connection's events.
pub(super) fn source_of(peer: PeerId) -> Source {
    Source::Peer { slot: peer.slot, serial_low: peer.serial as u32 }
}
