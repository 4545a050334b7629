//! The real [`Os`]: each call is the system's own, on mio and socket2. Makes no decision and holds
//! no state but the poll, the batch of events not yet told, the signals, stderr, and the interfaces'
//! addresses as they were read last.
//!
//! Only files under `os/` name mio. What each call promises stands at the trait.

use super::activation::{Inherited, Kind};
use super::held::{self, HeldFile};
use super::interfaces::Interfaces;
use super::listener::Listener;
use super::notify::Manager;
use super::stdio::{Output, Stdio};
use super::stream::Stream;
use super::token::{decode, encode};
use super::udp::{Multicast, Udp};
use super::unix_dgram::UnixDgram;
use super::{Batch, Caught, Event, File, Hints, Os, Raise, Source, Transmit, file, terminal, unix};
use crate::handler::{Endpoint, Notice, PeerId, Remote, Signal, UnixAddress, Window};
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::low_level::emulate_default_handler;
use signal_hook_mio::v1_0::Signals;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// Events that one wait can bring: 12 KiB of epoll_event, and with 10,000 peers that all became
/// ready ten waits tell them all. epoll goes round, so nobody is starved by a full batch.
const EVENTS_MAX: usize = 1_024;

/// The backlog asked for. The kernel lowers it to `net.core.somaxconn` (4,096 since Linux 5.4), so
/// the greatest number is the system's maximum; 128 (mio's own) cost a burst of 500 a second.
const BACKLOG: i32 = i32::MAX;

/// The first keep-alive probe comes after so long a silence: half of the shortest time after which
/// common NATs and firewalls forget a silent connection (120 s and more), so it keeps them, too.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// The next ones, while none is answered. How many there are TCP_USER_TIMEOUT decides.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);

/// Both directions, once: `reregister` costs a system call, an event that nobody needs costs little.
/// On Linux urgent data too: a recv stops short at their mark, and nothing else tells why.
#[cfg(any(target_os = "linux", target_os = "android"))]
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// What holds for every socket that a [`MioOs`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `[::]` does not take IPv4 as well (IPV6_V6ONLY, ipv6(7)).
    pub ipv6_only: bool,
    /// SO_SNDBUF of accepted connections in bytes, socket(7): Linux doubles it for its own
    /// bookkeeping and lowers it to `net.core.wmem_max`. 0 leaves it to the system, which lets it
    /// grow (`net.ipv4.tcp_wmem`, 4 MiB).
    pub send_buffer: usize,
    /// TCP_USER_TIMEOUT, tcp(7): how long what is sent, or a keep-alive probe, may stay without an
    /// answer until the kernel gives the connection up; whole milliseconds. Linux counts the time
    /// in which a peer reads nothing too.
    pub user_timeout: Duration,
    /// How multicast leaves a UDP socket.
    pub multicast: Multicast,
}

impl Default for Settings {
    /// Five minutes without an answer: longer than a server holds a talker, and a third of the time
    /// in which TCP gives up by itself.
    fn default() -> Self {
        let user_timeout = Duration::from_secs(300);
        let multicast = Multicast::default();
        Settings { ipv6_only: false, send_buffer: 0, user_timeout, multicast }
    }
}

/// The real system.
pub struct MioOs {
    settings: Settings,
    signals: Signals,
    /// Which of stdin, stdout and stderr were terminals at the start.
    terminals: [bool; 3],
    /// Sockets that the service manager bound.
    inherited: Inherited,
    log: Output,
    /// Made for the first notice.
    manager: Option<Manager>,
    interfaces: Interfaces,
    events: Events,
    /// How many of `events` have been told: a caller with a smaller vector gets the rest next time.
    told: usize,
    poll: Poll, // dropped last, after everything that is registered with it
}

impl MioOs {
    /// epoll_create, and from here on SIGINT, SIGTERM, SIGHUP and SIGCONT are caught and stderr is
    /// watched. A SIGHUP that we were told to ignore (nohup(1)) stays ignored.
    pub fn new(settings: Settings) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut caught = vec![SIGINT, SIGTERM, SIGCONT];
        if !ignored_at_start(SIGHUP) {
            caught.push(SIGHUP);
        }
        let mut signals = Signals::new(caught)?;
        poll.registry().register(&mut signals, encode(Source::Signals), Interest::READABLE)?;
        let mut log = Output::new(io::stderr().as_fd().try_clone_to_owned()?)?;
        log.register(poll.registry(), encode(Source::Log))?;
        Ok(MioOs {
            settings,
            signals,
            terminals: terminals(),
            inherited: Inherited::default(),
            log,
            manager: None,
            interfaces: Interfaces::default(),
            events: Events::with_capacity(EVENTS_MAX),
            told: 0,
            poll,
        })
    }
}

impl MioOs {
    /// A peer that vanished without a FIN is noticed: while it is silent by keep-alive probes, while
    /// it is owed something by its not answering.
    fn notice_dead_peers(&self, socket: SockRef<'_>) -> io::Result<()> {
        let probes = TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY);
        socket.set_tcp_keepalive(&probes)?;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket.set_tcp_user_timeout(Some(self.settings.user_timeout))?;
        Ok(())
    }
}

impl MioOs {
    /// Gives it sockets that are bound already: a listen or a bind at the address of one takes that.
    pub fn inherit(&mut self, inherited: Inherited) {
        self.inherited = inherited;
    }

    /// What connections have from their listener: one call instead of one each.
    fn prepare_tcp(&self, listener: &Socket) -> io::Result<()> {
        if self.settings.send_buffer > 0 {
            listener.set_send_buffer_size(self.settings.send_buffer)?;
        }
        listener.set_tcp_nodelay(true)?;
        self.notice_dead_peers(SockRef::from(listener))
    }

    fn listen_tcp(&self, at: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if at.is_ipv6() {
            socket.set_only_v6(self.settings.ipv6_only || !at.ip().is_unspecified())?;
        }
        self.prepare_tcp(&socket)?;
        socket.bind(&at.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        Ok(Listener::Tcp(TcpListener::from_std(socket.into())))
    }

    fn connect_tcp(&self, to: SocketAddr, from: Option<SocketAddr>) -> io::Result<TcpStream> {
        let socket = match from {
            Some(from) => dial_from(to, from)?,
            None => TcpStream::connect(to)?,
        };
        socket.set_nodelay(true)?;
        self.notice_dead_peers(SockRef::from(&socket))?;
        Ok(socket)
    }
}

fn is_interrupted(result: &io::Result<()>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted)
}

/// Which of stdin, stdout and stderr are terminals: one that has hung up is none, isatty(3).
fn terminals() -> [bool; 3] {
    use rustix::stdio::{stderr, stdin, stdout};
    [stdin(), stdout(), stderr()].map(rustix::termios::isatty)
}

/// True where one that was a terminal is none any more.
fn has_hung_up(before: [bool; 3], now: [bool; 3]) -> bool {
    before.iter().zip(now).any(|(&before, now)| before && !now)
}

/// Whether the process was started with `signal` ignored. False where there is no /proc.
fn ignored_at_start(signal: i32) -> bool {
    ignored_in(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), signal)
}

/// Reads SigIgn out of proc_pid_status(5): a mask in hexadecimal, signal 1 is the lowest bit.
fn ignored_in(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// The source of a connection's events.
fn source_of(peer: PeerId) -> Source {
    Source::Peer { slot: peer.slot, serial_low: peer.serial as u32 }
}

fn hints_of(event: &mio::event::Event) -> Hints {
    let mut hints = Hints::default();
    if event.is_readable() {
        hints = hints.with(Hints::READABLE);
    }
    if event.is_writable() {
        hints = hints.with(Hints::WRITABLE);
    }
    if event.is_read_closed() || event.is_write_closed() || event.is_error() {
        hints = hints.with(Hints::ENDED);
    }
    if event.is_priority() {
        hints = hints.with(Hints::URGENT);
    }
    hints
}

/// A TCP socket bound to `from`, dialing `to`. IP_BIND_ADDRESS_NO_PORT, which would let the kernel
/// choose the port at the connect (one per 4-tuple instead of one per address), has no safe call in
/// socket2 0.6 or rustix 1.1: one `from` address serves as many dials as there are ephemeral ports.
fn dial_from(to: SocketAddr, from: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    match socket.connect(&to.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

impl Os for MioOs {
    type Listener = Listener;
    type Stream = Stream;
    type Udp = Udp;
    type UnixDgram = UnixDgram;

    fn now(&mut self) -> Instant {
        Instant::now()
    }

    #[inline(always)] // so that little is returned through behind the call: os/stream.rs
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        assert!(events.capacity() > 0, "poll needs room for at least one event");
        events.clear();
        if self.events.iter().nth(self.told).is_none() {
            self.told = 0;
            let mut polled = self.poll.poll(&mut self.events, timeout);
            if is_interrupted(&polled) {
                // The signal itself is an event by now: told at once, before anything is drawn for
                // a terminal that may have another size.
                polled = self.poll.poll(&mut self.events, Some(Duration::ZERO));
            }
            if let Err(error) = polled {
                self.events.clear();
                return if error.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(error) };
            }
        }
        let batch = self.events.iter().skip(self.told).take(events.capacity());
        events.extend(batch.map(|e| Event { source: decode(e.token()), hints: hints_of(e) }));
        self.told += events.len();
        Ok(())
    }

    fn listen(&mut self, at: &Endpoint, mode: u32, index: usize) -> io::Result<Listener> {
        let mut listener = match (at, self.inherited.take(Kind::Stream, at)) {
            (Endpoint::Ip(_), Some(socket)) => {
                self.prepare_tcp(&socket)?;
                Listener::Tcp(TcpListener::from_std(socket.into()))
            }
            // Its path is the service manager's: it stays.
            (Endpoint::Unix(_), Some(socket)) => {
                Listener::Unix { socket: UnixListener::from_std(socket.into()), path: None }
            }
            (Endpoint::Ip(at), None) => self.listen_tcp(*at)?,
            (Endpoint::Unix(at), None) => {
                let listen = |socket: &Socket| socket.listen(BACKLOG);
                let (socket, path) = unix::bind(Type::STREAM, at, mode, listen)?;
                Listener::Unix { socket: UnixListener::from_std(socket.into()), path }
            }
        };
        listener.register(self.poll.registry(), encode(Source::Listener(index)))?;
        Ok(listener)
    }

    fn listener_address(&self, listener: &Listener) -> io::Result<Endpoint> {
        listener.address()
    }

    fn close_listener(&mut self, mut listener: Listener) {
        // Where the service manager has it too it stays open, and would still wake us, epoll(7).
        // An error changes nothing: it is closed all the same.
        let _ = listener.deregister(self.poll.registry());
    }

    fn accept(&mut self, listener: &mut Listener, peer: PeerId) -> io::Result<(Stream, Remote)> {
        let (mut stream, from) = listener.accept(self.settings.send_buffer)?;
        stream.register(self.poll.registry(), encode(source_of(peer)), BOTH)?;
        Ok((stream, from))
    }

    fn connect(
        &mut self,
        to: &Endpoint,
        from: Option<SocketAddr>,
        peer: PeerId,
    ) -> io::Result<Stream> {
        let mut stream = match to {
            Endpoint::Ip(to) => Stream::Tcp(self.connect_tcp(*to, from)?),
            Endpoint::Unix(to) => Stream::Unix(UnixStream::connect_addr(&unix::to_std(to)?)?),
        };
        stream.register(self.poll.registry(), encode(source_of(peer)), BOTH)?;
        Ok(stream)
    }

    fn connected(&mut self, stream: &mut Stream) -> io::Result<bool> {
        stream.connected()
    }

    fn console(&mut self, peer: PeerId) -> io::Result<Stream> {
        let mut console = Box::new(Stdio::of_process()?);
        console.register(self.poll.registry(), encode(source_of(peer)))?;
        Ok(Stream::Stdio(console))
    }

    fn transcript(&mut self, path: &Path, peer: PeerId) -> io::Result<Stream> {
        let mut file = Box::new(Output::append_to(path)?);
        file.register(self.poll.registry(), encode(source_of(peer)))?;
        Ok(Stream::File(file))
    }

    #[inline(always)] // os/stream.rs
    fn recv(&mut self, stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
        stream.recv(into)
    }

    fn reads_in_pieces(&self, stream: &Stream) -> bool {
        stream.reads_in_pieces()
    }

    #[inline(always)] // os/stream.rs
    fn send(&mut self, stream: &mut Stream, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        stream.send(runs)
    }

    fn shutdown(&mut self, stream: &mut Stream) {
        stream.shutdown();
    }

    fn close(&mut self, stream: Stream) {
        match stream {
            Stream::Tcp(_) | Stream::Unix(_) => {}
            Stream::File(mut file) => file.deregister(self.poll.registry()),
            Stream::Stdio(mut console) => {
                terminal::give_back();
                console.deregister(self.poll.registry());
            }
        }
    }

    fn bind_udp(&mut self, at: SocketAddr, broadcast: bool, index: usize) -> io::Result<Udp> {
        let mut udp = match self.inherited.take(Kind::Datagram, &at.into()) {
            Some(socket) => Udp::of(socket, at, broadcast)?,
            None => Udp::bind(at, broadcast, self.settings.ipv6_only)?,
        };
        udp.set_multicast(&self.settings.multicast)?;
        self.poll.registry().register(
            &mut udp.socket,
            encode(Source::Udp(index)),
            Interest::READABLE,
        )?;
        Ok(udp)
    }

    fn udp_address(&self, udp: &Udp) -> io::Result<SocketAddr> {
        udp.address()
    }

    fn join(&mut self, udp: &mut Udp, group: IpAddr, interface: u32) -> io::Result<()> {
        udp.join(group, interface)
    }

    fn udp_lost<'a>(&self, udps: impl Iterator<Item = &'a Udp>) -> Option<u64> {
        Udp::lost(udps)
    }

    fn recvfrom(&mut self, udp: &mut Udp, batch: &mut Batch) -> io::Result<usize> {
        udp.recvfrom(batch, &mut self.interfaces)
    }

    fn sendto(&mut self, udp: &mut Udp, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        udp.sendto(transmits)
    }

    fn bind_unix(&mut self, at: &UnixAddress, mode: u32, index: usize) -> io::Result<UnixDgram> {
        let inherited = self.inherited.take(Kind::Datagram, &at.clone().into());
        let mut dgram = match inherited {
            Some(socket) => UnixDgram::of(socket),
            None => UnixDgram::bind(at, mode)?,
        };
        let token = encode(Source::UnixDgram(index));
        self.poll.registry().register(&mut dgram.socket, token, Interest::READABLE)?;
        Ok(dgram)
    }

    fn recvfrom_unix(
        &mut self,
        socket: &mut UnixDgram,
        into: &mut [u8],
    ) -> io::Result<(usize, UnixAddress)> {
        socket.recvfrom(into)
    }

    fn sendto_unix(
        &mut self,
        socket: &mut UnixDgram,
        to: &UnixAddress,
        bytes: &[u8],
    ) -> io::Result<()> {
        socket.sendto(to, bytes)
    }

    fn signal(&mut self) -> Option<Caught> {
        // Each call empties the wake-up pipe and takes one kind; the others stay noted.
        self.signals.pending().next().map(|signal| match signal {
            SIGINT => Caught::Told(Signal::Interrupt),
            SIGTERM => Caught::Told(Signal::Terminate),
            SIGHUP if has_hung_up(self.terminals, terminals()) => Caught::Told(Signal::Hangup),
            SIGHUP => Caught::Told(Signal::Reload),
            SIGWINCH => Caught::Resized,
            SIGTSTP => Caught::Raise(Raise::Stop),
            SIGQUIT => Caught::Raise(Raise::Quit),
            _ => Caught::Told(Signal::Continue),
        })
    }

    fn take_terminal(&mut self, console: &mut Stream) -> io::Result<Window> {
        let Stream::Stdio(console) = console else { return Err(ErrorKind::Unsupported.into()) };
        let window = console.take_terminal()?;
        for signal in [SIGWINCH, SIGTSTP, SIGQUIT] {
            // One that we were told to ignore stays ignored; once added it is not added again.
            if !ignored_at_start(signal) {
                self.signals.add_signal(signal)?;
            }
        }
        Ok(window)
    }

    fn return_terminal(&mut self) {
        terminal::give_back();
    }

    fn raise(&mut self, raise: Raise) {
        let signal = match raise {
            Raise::Stop => SIGTSTP,
            Raise::Quit => SIGQUIT,
        };
        // Fails for signals that do not exist alone.
        let _ = emulate_default_handler(signal);
    }

    fn read_file(&mut self, path: &Path, bytes_max: usize) -> io::Result<File> {
        file::read(path, bytes_max)
    }

    fn hold_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<HeldFile> {
        held::hold(path, bytes)
    }

    fn notify(&mut self, notice: &Notice) -> io::Result<()> {
        let manager = match self.manager.take() {
            Some(manager) => manager,
            None => Manager::of_environment()?,
        };
        self.manager.insert(manager).notify(notice)
    }

    fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.log.write(&[IoSlice::new(bytes)])
    }
}

#[cfg(test)]
mod tests;
