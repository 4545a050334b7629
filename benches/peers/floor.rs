//! The floor of the comparisons: a line broadcast, or a UDP echo, with the fewest system calls that
//! do the job. One epoll_wait a turn, one recv a readable peer, one send a peer and turn of all that
//! came in that turn but the peer's own bytes, in the order in which the peers came.
//!
//! Not a server to use: no limits, no names, nobody is told anything. Whole lines are passed on, so
//! no byte is damaged: an unfinished line waits for its end, and is dropped when its talker goes. A
//! peer that would block keeps the rest in a buffer of its own and is dropped when that is more than
//! `BACKLOG_MAX`.
//!
//! It counts its calls and tells them at its end (SIGTERM, SIGINT or the end of stdin) on stdout as
//! one line of JSON, so that nobody can win against a slow floor. After the C10K example servers
//! and epoll(7).

use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, accept_with, recv, recvfrom, send,
    sendmsg, sendto, sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, Read, stdin};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Room for one recv: as the program's own, so that both read as much at once.
const RECV_BYTES: usize = 64 << 10;

/// Events of one epoll_wait, as the program's own.
const EVENTS: usize = 1_024;

/// What waits for a peer that does not read; past it the peer is dropped.
const BACKLOG_MAX: usize = 16 << 20;

/// An unfinished line; past it the talker is dropped.
const LINE_MAX: usize = 1 << 20;

/// Asked for as SO_RCVBUF of the echo; the kernel gives what it allows.
const UDP_BUFFER_BYTES: usize = 64 << 20;

/// How often an idle echo looks whether it is to end. It waits in recv itself: one call less.
const UDP_LOOK: Duration = Duration::from_millis(200);

/// Tokens of what is no peer; serials of peers begin behind them.
const LISTENER: u64 = 0;
const SIGNALS: u64 = 1;
const STDIN: u64 = 2;
const FIRST_PEER: u64 = 3;

#[derive(Parser)]
#[command(about = "The floor of the comparisons: the fewest system calls that do the job")]
struct Options {
    /// Broadcast lines at this address
    #[arg(long, value_name = "ADDR", required_unless_present = "udp")]
    tcp: Option<SocketAddr>,
    /// Echo datagrams at this address
    #[arg(long, value_name = "ADDR", conflicts_with = "tcp")]
    udp: Option<SocketAddr>,
    /// Every second turn serves the peers in the opposite order: who was served last is still in
    /// the cache
    #[arg(long)]
    zigzag: bool,
    /// Never sleep: epoll_wait with a zero timeout
    #[arg(long)]
    spin: bool,
    /// Wait for datagrams in epoll_wait and not in recvfrom, as who has other work must: one call
    /// more
    #[arg(long, requires = "udp")]
    poll: bool,
}

/// System calls by name, and what they achieved.
#[derive(Default)]
struct Calls {
    waits: u64,
    recvs: u64,
    sends: u64,
    accepts: u64,
    registrations: u64,
    /// Lines times those who were sent them, or datagrams echoed.
    deliveries: u64,
}

/// What few peers have: boxed, for most have none of it.
#[derive(Default)]
struct Apart {
    /// A line whose end has not come.
    unfinished: Vec<u8>,
    /// What the socket did not take.
    backlog: Vec<u8>,
}

struct Peer {
    serial: u64,
    socket: OwnedFd,
    apart: Option<Box<Apart>>,
}

struct Floor {
    options: Options,
    epoll: OwnedFd,
    listener: TcpListener,
    /// By serial, which is the order in which they came.
    peers: Vec<Peer>,
    next_serial: u64,
    /// All whole lines of this turn, from all talkers.
    turn: Vec<u8>,
    /// Who said which bytes of `turn`.
    talkers: Vec<(usize, Range<usize>)>,
    /// Who may have more to be read: no edge will tell.
    again: Vec<u64>,
    /// Who is gone, by serial.
    gone: Vec<u64>,
    turns: u64,
    calls: Calls,
}

fn main() -> Result<(), Box<dyn Error>> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    let options = Options::parse();
    let calls = match options.udp {
        Some(at) => echo(at, options.poll)?,
        None => Floor::bind(options)?.run()?,
    };
    let moved = calls.waits + calls.recvs + calls.sends;
    let (user_ms, system_ms) = cpu_ms()?;
    let told = json!({
        "deliveries": calls.deliveries, "epoll_wait": calls.waits, "recv": calls.recvs,
        "send": calls.sends, "accept": calls.accepts, "epoll_ctl": calls.registrations,
        "calls_per_delivery": moved as f64 / calls.deliveries.max(1) as f64,
        "user_ms": user_ms, "system_ms": system_ms,
        "user_share": user_ms as f64 / (user_ms + system_ms).max(1) as f64,
    });
    println!("{told}");
    Ok(())
}

impl Floor {
    fn bind(options: Options) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind(options.tcp.expect("clap has seen to it"))?;
        rustix::net::listen(&listener, i32::MAX)?; // std asks for 128; the kernel lowers this
        listener.set_nonblocking(true)?;
        // Who is accepted inherits it: no call for each.
        sockopt::set_tcp_nodelay(&listener, true)?;
        eprintln!("listening tcp {} floor", listener.local_addr()?);
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let floor = Floor {
            options,
            epoll,
            listener,
            peers: Vec::new(),
            next_serial: FIRST_PEER,
            turn: Vec::new(),
            talkers: Vec::new(),
            again: Vec::new(),
            gone: Vec::new(),
            turns: 0,
            calls: Calls::default(),
        };
        Ok(floor)
    }

    fn run(mut self) -> Result<Calls, Box<dyn Error>> {
        let (signals, raised) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, raised.try_clone()?)?;
        }
        epoll::add(&self.epoll, &signals, EventData::new_u64(SIGNALS), EventFlags::IN)?;
        // epoll refuses files and the null device: those have no end to wait for.
        let _ = epoll::add(&self.epoll, stdin(), EventData::new_u64(STDIN), EventFlags::IN);
        let mut events = Vec::with_capacity(EVENTS);
        let zero = Duration::ZERO.try_into()?;
        loop {
            let waits = self.again.is_empty() && !self.options.spin;
            self.calls.waits += 1;
            match epoll::wait(
                &self.epoll,
                spare_capacity(&mut events),
                if waits { None } else { Some(&zero) },
            ) {
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            let before = std::mem::take(&mut self.again);
            before.iter().for_each(|&serial| self.read(serial, false));
            for event in events.drain(..) {
                let flags = event.flags;
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    SIGNALS => return Ok(self.calls),
                    STDIN if stdin().lock().read(&mut [0; 512])? == 0 => return Ok(self.calls),
                    STDIN => {}
                    serial => {
                        if flags.contains(EventFlags::OUT) {
                            self.unblock(serial);
                        }
                        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                        if flags.intersects(EventFlags::IN | ends) {
                            if before.contains(&serial) {
                                self.again.push(serial); // one recv a peer and turn
                            } else {
                                self.read(serial, flags.intersects(ends));
                            }
                        }
                    }
                }
            }
            self.flush();
            if !self.gone.is_empty() {
                self.gone.sort_unstable();
                self.peers.retain(|peer| self.gone.binary_search(&peer.serial).is_err());
                self.gone.clear();
            }
        }
    }

    fn accept(&mut self) -> Result<(), Box<dyn Error>> {
        loop {
            self.calls.accepts += 1;
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = match accept_with(&self.listener, flags) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::CONNABORTED | Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let serial = self.next_serial;
            self.next_serial += 1;
            self.calls.registrations += 1;
            // Both directions once, by edges: nothing is changed again.
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&self.epoll, &socket, EventData::new_u64(serial), flags)?;
            self.peers.push(Peer { serial, socket, apart: None });
        }
    }

    fn find(&self, serial: u64) -> Option<usize> {
        self.peers.binary_search_by_key(&serial, |peer| peer.serial).ok()
    }

    /// One recv, straight behind what this turn has already. An end is told by a second one.
    fn read(&mut self, serial: u64, ends: bool) {
        let Some(index) = self.find(serial) else { return };
        let peer = &mut self.peers[index];
        let begin = self.turn.len();
        if let Some(apart) = &mut peer.apart {
            self.turn.append(&mut apart.unfinished);
        }
        self.turn.reserve(RECV_BYTES);
        let room = self.turn.capacity() - self.turn.len();
        self.calls.recvs += 1;
        match recv(&peer.socket, spare_capacity(&mut self.turn), RecvFlags::empty()) {
            Ok((_, 0)) => self.gone.push(serial),
            Ok((_, n)) if n == room || ends => self.again.push(serial),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone.push(serial),
        }
        if self.turn.len() > begin && self.turn.last() != Some(&b'\n') {
            let line =
                memchr::memrchr(b'\n', &self.turn[begin..]).map_or(begin, |at| begin + at + 1);
            let apart = peer.apart.get_or_insert_default();
            apart.unfinished.extend_from_slice(&self.turn[line..]);
            self.turn.truncate(line);
            if apart.unfinished.len() > LINE_MAX {
                self.gone.push(serial);
            }
        }
        if self.turn.len() > begin {
            let lines = memchr::memchr_iter(b'\n', &self.turn[begin..]).count() as u64;
            self.calls.deliveries += lines * (self.peers.len() as u64 - 1);
            self.talkers.push((index, begin..self.turn.len()));
        }
    }

    /// One send a peer, of all that came in this turn but its own.
    fn flush(&mut self) {
        if self.turn.is_empty() {
            return;
        }
        self.talkers.sort_unstable_by_key(|(index, range)| (*index, range.start));
        self.turns += 1;
        let backwards = self.options.zigzag && self.turns.is_multiple_of(2);
        for step in 0..self.peers.len() {
            let index = if backwards { self.peers.len() - 1 - step } else { step };
            self.offer(index);
        }
        self.turn.clear();
        self.talkers.clear();
    }

    fn offer(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        // A talker has one range in a turn, or none: it is read once.
        let own = self.talkers.binary_search_by_key(&index, |(talker, _)| *talker);
        let own = own.map_or(0..0, |at| self.talkers[at].1.clone());
        let around = [&self.turn[..own.start], &self.turn[own.end..]];
        let length = self.turn.len() - own.len();
        if length == 0 {
            return;
        }
        let blocked = peer.apart.as_ref().is_some_and(|apart| !apart.backlog.is_empty());
        let taken = if blocked {
            0
        } else {
            self.calls.sends += 1;
            let sent = if around[0].is_empty() {
                send(&peer.socket, around[1], SendFlags::NOSIGNAL)
            } else {
                let slices = around.map(IoSlice::new);
                let mut nothing = SendAncillaryBuffer::default();
                sendmsg(&peer.socket, &slices, &mut nothing, SendFlags::NOSIGNAL)
            };
            match sent {
                Ok(n) => n,
                Err(Errno::AGAIN | Errno::INTR) => 0,
                Err(_) => return self.gone.push(peer.serial),
            }
        };
        if taken < length {
            let backlog = &mut peer.apart.get_or_insert_default().backlog;
            let first = taken.min(around[0].len());
            backlog.extend_from_slice(&around[0][first..]);
            backlog.extend_from_slice(&around[1][taken - first..]);
            if backlog.len() > BACKLOG_MAX {
                self.gone.push(peer.serial);
            }
        }
    }

    /// Sends what a peer did not take before.
    fn unblock(&mut self, serial: u64) {
        let Some(index) = self.find(serial) else { return };
        let peer = &mut self.peers[index];
        let Some(apart) = peer.apart.as_mut().filter(|apart| !apart.backlog.is_empty()) else {
            return;
        };
        self.calls.sends += 1;
        match send(&peer.socket, &apart.backlog, SendFlags::NOSIGNAL) {
            Ok(n) => drop(apart.backlog.drain(..n)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone.push(serial),
        }
        if apart.backlog.is_empty() && apart.unfinished.is_empty() {
            peer.apart = None;
        }
    }
}

/// Two calls a datagram, for recv itself waits; three where it polls.
fn echo(at: SocketAddr, polls: bool) -> Result<Calls, Box<dyn Error>> {
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&ended))?;
    }
    let socket = UdpSocket::bind(at)?;
    sockopt::set_socket_recv_buffer_size(&socket, UDP_BUFFER_BYTES)?;
    socket.set_read_timeout(Some(UDP_LOOK))?;
    eprintln!("listening udp {} floor", socket.local_addr()?);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    // Else it is not watched, for that costs the kernel something.
    if polls {
        epoll::add(&epoll, &socket, EventData::new_u64(0), EventFlags::IN)?;
    }
    let mut events = Vec::with_capacity(1);
    let look = UDP_LOOK.try_into()?;
    let mut datagram = vec![0; 65_536];
    let mut calls = Calls::default();
    while !ended.load(Ordering::Relaxed) {
        if polls {
            calls.waits += 1;
            match epoll::wait(&epoll, spare_capacity(&mut events), Some(&look)) {
                Err(Errno::INTR) | Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            if events.drain(..).next().is_none() {
                continue;
            }
        }
        calls.recvs += 1;
        match recvfrom(socket.as_fd(), &mut datagram[..], RecvFlags::empty()) {
            Ok((n, _, Some(from))) => {
                calls.sends += 1;
                let echoed = sendto(&socket, &datagram[..n], SendFlags::empty(), &from);
                calls.deliveries += u64::from(echoed.is_ok());
            }
            // An ICMP error of an earlier send is told by the next call: nothing to do about it.
            Ok(_) | Err(Errno::AGAIN | Errno::INTR | Errno::CONNREFUSED) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(calls)
}

/// User and system time so far, out of proc_pid_stat(5), which counts in hundredths of a second.
fn cpu_ms() -> Result<(u64, u64), Box<dyn Error>> {
    let mut stat = String::new();
    File::open("/proc/self/stat")?.read_to_string(&mut stat)?;
    let after_name = stat.rsplit_once(')').ok_or("/proc/self/stat has no name")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || -> Option<u64> { fields.next()?.parse().ok() };
    let times = ticks().zip(ticks()).ok_or("/proc/self/stat has no times")?;
    Ok((times.0 * 10, times.1 * 10))
}
