//! The border below the loop: every call that it makes to the outside, named as socket(7) and the
//! Python socket module name them. An [`Os`] makes no decision; the loop makes them all, so that
//! the simulated kernel (`sim`) sees every one of them.

pub mod activation;
pub mod clock;
mod file;
pub mod held;
pub mod interfaces;
pub mod journal;
pub mod limit;
pub mod listener;
pub mod mio;
pub mod notify;
pub mod signals;
pub mod stdio;
pub mod stream;
pub mod terminal;
mod token;
pub mod trace;
pub mod udp;
pub mod unix;
pub mod unix_dgram;

use crate::handler::{Endpoint, Hit, Notice, PeerId, Remote, Signal, UnixAddress, Window};
use held::HeldFile;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// What woke us: which source, and what the kernel says of it. poll(7)'s words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose event it is, exactly as it was registered: it may name a connection that is gone.
    pub source: Source,
    /// Hints, never the truth: the result of the next call is the truth.
    pub hints: Hints,
}

/// The sources that the loop waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A connection, by its slot and the low half of its serial.
    Peer {
        /// Index into the slab.
        slot: u32,
        /// Low 32 bits of the serial that the slot's tenant must have.
        serial_low: u32,
    },
    /// A listener, in the order of `listen`.
    Listener(usize),
    /// A UDP socket, in the order of `bind_udp`.
    Udp(usize),
    /// A datagram socket of the Unix domain, in the order of `bind_unix`.
    UnixDgram(usize),
    /// A signal was caught.
    Signals,
    /// stderr takes bytes again.
    Log,
}

/// Readiness hints of one event: a small set of flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Hints(pub u8);

impl Hints {
    /// A read may give bytes.
    pub const READABLE: Hints = Hints(1);
    /// A write may take bytes.
    pub const WRITABLE: Hints = Hints(2);
    /// The remote end shut down writing, or the connection hung up or failed (EPOLLRDHUP,
    /// EPOLLHUP, EPOLLERR): at least one more read is owed, however short the last one was.
    pub const ENDED: Hints = Hints(4);
    /// Urgent data stand in the stream (EPOLLPRI): a recv stops short at their mark whatever stands
    /// behind it (tcp(7)), so one more read is owed here too.
    pub const URGENT: Hints = Hints(8);

    /// All of both.
    pub const fn with(self, other: Hints) -> Hints {
        Hints(self.0 | other.0)
    }

    /// True where the two share a flag.
    pub const fn any(self, other: Hints) -> bool {
        self.0 & other.0 != 0
    }
}

/// A caught signal: what a program is told of, and what is the loop's own business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// For the program.
    Told(Signal),
    /// SIGWINCH: the terminal's size may have changed.
    Resized,
    /// SIGTSTP, which stops, and SIGQUIT, which ends: the terminal is to be given back before
    /// [`Os::raise`].
    Raise(Raise),
}

/// A signal whose default action is to be taken. signal(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raise {
    /// SIGTSTP: stops until SIGCONT.
    Stop,
    /// SIGQUIT: ends, with a core dump.
    Quit,
}

/// How many reads of datagrams one call may bring in. 32 is quinn-udp's batch on Linux.
pub const BATCH_READS: usize = 32;

/// How many sends of datagrams one call may carry out. Entering the kernel costs a twentieth of a
/// send, and eight have saved nearly all of that; headers that stay unused cost time too.
pub const BATCH_SENDS: usize = 8;

/// Datagrams of one train, at most: UDP_MAX_SEGMENTS, udp(7).
pub const TRAIN_DATAGRAMS_MAX: usize = 64;

/// The most bytes of a train: the greatest UDP payload over IPv4 (65,535 less the headers of 20 and
/// 8), which the whole of it must fit, udp(7).
pub const TRAIN_BYTES_MAX: usize = 65_507;

/// Bytes that one read of datagrams may fill: 65,535 is the longest UDP length there is (RFC 768),
/// so that no datagram is ever truncated. The 1,600 more are an odd number of cache lines: with a
/// power of two between them, the fronts of all reads would share one set of the cache.
pub const DATAGRAM_BYTES: usize = 65_536 + 1_600;

/// Buffers for a batch of datagrams, made once and reused: 2 MiB of address space of which only
/// the pages that were ever filled are in memory.
pub struct Batch {
    /// [`BATCH_READS`] times [`DATAGRAM_BYTES`].
    pub bytes: Box<[u8]>,
    /// How many reads the loop wants at most, 1 to [`BATCH_READS`]: preparing more than come costs time.
    pub want: usize,
    /// Nothing is left behind what was read: an event tells of what comes. False where the system
    /// does not say so: ask again.
    pub drained: bool,
    /// The socket sends several datagrams to one receiver in one call.
    pub sends_trains: bool,
    /// What each read brought; the first `reads` of them, as `recvfrom` returned.
    pub heads: [BatchHead; BATCH_READS],
}

/// One read of a batch: one datagram, or several of one sender that the kernel coalesced (UDP_GRO).
#[derive(Clone, Copy, Debug)]
pub struct BatchHead {
    /// The sender of all of them.
    pub from: SocketAddr,
    /// The local address to answer from, where the system tells it: that which was hit, or the
    /// receiving interface's own where a group or a broadcast address was.
    pub to: Option<IpAddr>,
    /// What kind of address was hit.
    pub hit: Hit,
    /// Where they begin in [`Batch::bytes`].
    pub at: usize,
    /// Bytes in all of them together.
    pub len: usize,
    /// Bytes in each but the last, which may be shorter; 0 is one empty datagram.
    pub stride: usize,
}

impl Batch {
    /// Takes the memory.
    pub fn new() -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        let head = BatchHead { from: nobody, to: None, hit: Hit::Own, at: 0, len: 0, stride: 0 };
        Batch {
            bytes: vec![0; BATCH_READS * DATAGRAM_BYTES].into_boxed_slice(),
            want: BATCH_READS,
            drained: false,
            sends_trains: false,
            heads: [head; BATCH_READS],
        }
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

/// One send of datagrams: `bytes` cut into pieces of `stride`, each a datagram of its own
/// (UDP_SEGMENT); one datagram where `stride` is not less than the length.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// Destination.
    pub to: SocketAddr,
    /// The local address to send from, where it must be a certain one.
    pub from: Option<IpAddr>,
    /// The datagrams, end to end.
    pub bytes: &'a [u8],
    /// Bytes in each but the last.
    pub stride: usize,
}

impl Transmit<'_> {
    /// More than one datagram.
    pub fn is_train(&self) -> bool {
        self.stride > 0 && self.stride < self.bytes.len()
    }

    /// How many datagrams it is.
    pub fn datagrams(&self) -> usize {
        if self.is_train() { self.bytes.len().div_ceil(self.stride) } else { 1 }
    }
}

/// A file as it was read. Not `Debug`: it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Type and permissions, inode(7).
    pub mode: u32,
}

/// What a failed accept means for the listener. accept(2) lists the errors; libuv, node and
/// haproxy learned the classes the hard way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptTrouble {
    /// Nobody waits: an event will tell.
    Drained,
    /// The connection at the front of the backlog is lost; the next may be fine.
    OneConnection,
    /// Out of descriptors or memory: no event tells when that is over.
    Exhausted,
    /// The listener itself is broken.
    Fatal,
}

/// Sorts an error of `accept`.
pub fn accept_trouble(error: &io::Error) -> AcceptTrouble {
    use rustix::io::Errno;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        _ if error.kind() == io::ErrorKind::WouldBlock => AcceptTrouble::Drained,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
            AcceptTrouble::Exhausted
        }
        Some(Errno::BADF | Errno::FAULT | Errno::INVAL | Errno::NOTSOCK | Errno::OPNOTSUPP) => {
            AcceptTrouble::Fatal
        }
        _ => AcceptTrouble::OneConnection,
    }
}

/// The calls of the loop.
///
/// No call blocks; what cannot be done now fails with [`io::ErrorKind::WouldBlock`], and an event
/// tells when it is worth another try: once, at the transition (edge-triggered, epoll(7)).
/// [`io::ErrorKind::Interrupted`] never comes out of a call: `poll` takes it for the end of its
/// wait. Every socket is registered by the call that makes it and never again: a connection for
/// both directions, a datagram socket for reading only, since what would block there is dropped.
pub trait Os {
    /// A listening socket.
    type Listener;
    /// A connection, or the console.
    type Stream;
    /// A UDP socket.
    type Udp;
    /// A datagram socket of the Unix domain.
    type UnixDgram;

    /// The monotonic clock. The only place where it is read.
    fn now(&mut self) -> Instant;

    /// Waits until something is ready or `timeout` has passed (`None`: for ever), then replaces
    /// `events` with at most its capacity of them; the rest come with the next call.
    /// An interrupted wait gives what is there at that moment, which may be nothing.
    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()>;

    /// socket, setsockopt (SO_REUSEADDR; IPV6_V6ONLY unless the address is `[::]`, which takes IPv4
    /// too), bind, listen with the system's greatest backlog, register as `Listener(index)`. A Unix
    /// socket's path gets the permissions `mode` before anybody can connect, and the place of a path
    /// at which nobody answers any more. Errors: as bind(2), for the caller to tell with the address.
    fn listen(&mut self, at: &Endpoint, mode: u32, index: usize) -> io::Result<Self::Listener>;

    /// The address that a listener is really bound to: port 0 has become a number.
    fn listener_address(&self, listener: &Self::Listener) -> io::Result<Endpoint>;

    /// close of a listener: those who wait in its backlog are refused. A path of its own is removed
    /// where it is still its own; so it is where the listener is dropped.
    fn close_listener(&mut self, listener: Self::Listener);

    /// accept, register as `peer`; TCP's options come from the listener; of a Unix socket getsockopt
    /// (SO_PEERCRED). Errors: accept(2); the loop sorts them. An error after the accept itself closes the socket.
    fn accept(
        &mut self,
        listener: &mut Self::Listener,
        peer: PeerId,
    ) -> io::Result<(Self::Stream, Remote)>;

    /// socket, bind where `from` is given, setsockopt (TCP_NODELAY), connect, register as `peer`.
    /// Being under way (EINPROGRESS) is success; a later event and `connected` tell the outcome. A
    /// Unix socket is connected at once or never: a full backlog fails (EAGAIN), `from` is ignored.
    fn connect(
        &mut self,
        to: &Endpoint,
        from: Option<SocketAddr>,
        peer: PeerId,
    ) -> io::Result<Self::Stream>;

    /// Asks a dialed socket: `Ok(true)` connected, `Ok(false)` still under way, an error if it
    /// failed (getsockopt SO_ERROR, then getpeername; as mio's `TcpStream::connect` says).
    fn connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool>;

    /// The console as one connection: stdin is read, stdout is written; registered as `peer`.
    /// A descriptor that epoll refuses (EPERM: a regular file, the null device) is simply always
    /// ready: its calls never say `WouldBlock`. Never changes the flags of an inherited
    /// descriptor's open file description: the shell shares it.
    fn console(&mut self, peer: PeerId) -> io::Result<Self::Stream>;

    /// open of a file to append to, made for its owner alone where there is none; registered as
    /// `peer`. Reading it gives the end of input. Errors: open(2); a FIFO that nobody reads is ENXIO.
    fn transcript(&mut self, path: &Path, peer: PeerId) -> io::Result<Self::Stream>;

    /// recv, or read for the console. 0 is the end of input. On the console
    /// [`io::ErrorKind::ResourceBusy`] says that the terminal belongs to another process group just
    /// now: no event will tell when that changes, so try again later.
    fn recv(&mut self, stream: &mut Self::Stream, into: &mut [u8]) -> io::Result<usize>;

    /// Whether a recv that filled less than it was given may have left something behind, so that
    /// only `WouldBlock` says that nothing more is there.
    fn reads_in_pieces(&self, stream: &Self::Stream) -> bool;

    /// One vectored send, or write for the console. Returns how many bytes were taken; fewer than
    /// offered means that the kernel's buffer is full and an event will tell when it is not.
    fn send(&mut self, stream: &mut Self::Stream, runs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// shutdown(SHUT_WR): a FIN after the last byte. Nothing for the console. Errors are of no
    /// interest: the connection is gone then, and the next recv says so.
    fn shutdown(&mut self, stream: &mut Self::Stream);

    /// close. The kernel deregisters it.
    fn close(&mut self, stream: Self::Stream);

    /// socket, setsockopt (receive buffer, SO_BROADCAST where `broadcast`, packet information),
    /// bind, register as `Udp(index)`.
    fn bind_udp(&mut self, at: SocketAddr, broadcast: bool, index: usize) -> io::Result<Self::Udp>;

    /// The address that a UDP socket is really bound to.
    fn udp_address(&self, udp: &Self::Udp) -> io::Result<SocketAddr>;

    /// setsockopt (IP_ADD_MEMBERSHIP): datagrams sent to this group come in, too; 0 lets the system
    /// choose the interface. Only those of groups that this socket joined do.
    fn join(&mut self, udp: &mut Self::Udp, group: IpAddr, interface: u32) -> io::Result<()>;

    /// How many datagrams the kernel has dropped because these sockets' receive buffers were full,
    /// where it tells. Looks through all sockets of the machine: for a counter that somebody asked for.
    fn udp_lost<'a>(&self, udps: impl Iterator<Item = &'a Self::Udp>) -> Option<u64>
    where
        Self::Udp: 'a;

    /// recvfrom, up to `batch.want` at once: how many heads of `batch` are filled (at least 1), and
    /// whether those were all (`batch.drained`).
    fn recvfrom(&mut self, udp: &mut Self::Udp, batch: &mut Batch) -> io::Result<usize>;

    /// sendto, of 1 to [`BATCH_SENDS`]: how many of them were sent, from the first on and at least that one.
    /// What kept the next one is told when it is the first. An error is the first one's.
    fn sendto(&mut self, udp: &mut Self::Udp, transmits: &[Transmit<'_>]) -> io::Result<usize>;

    /// socket, bind as `listen` does it for a Unix address, register as `UnixDgram(index)`.
    fn bind_unix(
        &mut self,
        at: &UnixAddress,
        mode: u32,
        index: usize,
    ) -> io::Result<Self::UnixDgram>;

    /// recvfrom of one datagram: its length, and its sender, who may have no name. What does not fit
    /// `into` is lost, and then the length is that of `into`.
    fn recvfrom_unix(
        &mut self,
        socket: &mut Self::UnixDgram,
        into: &mut [u8],
    ) -> io::Result<(usize, UnixAddress)>;

    /// sendto. [`io::ErrorKind::WouldBlock`] is a receiver without room, and nobody tells when it has.
    fn sendto_unix(
        &mut self,
        socket: &mut Self::UnixDgram,
        to: &UnixAddress,
        bytes: &[u8],
    ) -> io::Result<()>;

    /// The next caught signal, `None` when all have been told.
    fn signal(&mut self) -> Option<Caught>;

    /// tcsetattr: the console's terminal becomes raw (keys come as they are pressed; signals by key
    /// and flow control stay), and its size is asked. From the first call on SIGWINCH, SIGTSTP and
    /// SIGQUIT are caught. May be called again at any time. [`io::ErrorKind::ResourceBusy`]: it is
    /// another job's just now; another error: stdin or stdout is none.
    fn take_terminal(&mut self, console: &mut Self::Stream) -> io::Result<Window>;

    /// tcsetattr: it is as it was before `take_terminal`. Nothing where it was not taken, or is
    /// another job's by now. `close` of the console does so too.
    fn return_terminal(&mut self);

    /// Takes a signal's default action; returns after the SIGCONT that ends a stop.
    fn raise(&mut self, raise: Raise);

    /// open, fstat, read and close: all of a regular file, or an error where it is none, or longer
    /// than `bytes_max`. The one call that may take a disk's time: nobody waits for a file that does
    /// not answer as one on a disk does.
    fn read_file(&mut self, path: &Path, bytes_max: usize) -> io::Result<File>;

    /// open, flock, write and rename: a file that is there, whole, as long as what is returned.
    /// Replaces what a process that is gone left behind; [`io::ErrorKind::ResourceBusy`]: one that lives
    /// holds it. As `read_file`, it may take a disk's time.
    fn hold_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<HeldFile>;

    /// sendto to the service manager's socket (NOTIFY_SOCKET): one datagram.
    fn notify(&mut self, notice: &Notice) -> io::Result<()>;

    /// write to stderr; registered as `Log`. Log lines come from a bounded queue, see
    /// `log_queue`.
    fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize>;
}
