//! The contract between the loop and the programs that run on it: plain data and one trait.
//!
//! Nothing here knows mio, lines or names. The loop calls down into a [`Handler`] and the handler
//! never calls up: it returns values and hands out [`Action`]s when it is asked. The shape (no
//! socket and no clock in the core, `now` as an argument, pull after each call) is that of
//! quinn-proto and str0m.

mod endpoint;

use crate::stats::Stats;
pub use endpoint::{Credentials, Endpoint, OWNER_ALONE, Remote, UnixAddress};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How many slices one vectored send may carry. A turn reads a talker once, so its own lines cut
/// what the turn brought in two: with an outbox and the end of the log's ring that makes four. 16
/// serve a talker that is six turns behind; the rest follows in the next send. Each place is set to
/// zero for each peer that is written to, which 64 of them made dear.
pub const SLICES_MAX: usize = 16;

/// A deadline that is none: a year. Added to an `Instant` it does not overflow.
pub const FOR_EVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Names one connection for as long as the process runs.
///
/// Invariant: `slot` is reused, `serial` never is. An id whose serial is not that of the slot's
/// tenant is stale and harmless: the loop ignores it. Displays as `#812`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId {
    /// Counts from 1 in the order of accepts and dials; the console, which is neither, has 0.
    pub serial: u64,
    /// The place in the loop's slab: an index for a handler's own table.
    pub slot: u32,
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial)
    }
}

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A listener accepted it.
    Accepted {
        /// Which, in the order of `reactor::Reactor::listen`.
        listener: usize,
        /// Who is at the other end.
        from: Remote,
    },
    /// [`Action::Connect`] dialed it, and it is established.
    Dialed,
    /// The process's own stdin (what it sends us) and stdout (what it receives).
    Console,
    /// A file that is written and never read: what was shown, line by line.
    Transcript,
}

/// The one reason for which a connection ended. Logged once, counted once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer ended its input, and what it was owed has been sent.
    Left,
    /// We had nothing more to say to it: the program's own wish.
    Done,
    /// A line went over the length limit.
    TooLong,
    /// It read so slowly that the log dropped what it had not been sent.
    Lagged,
    /// It took no byte, or too few while it held others up, for the stall timeout while something
    /// was pending.
    Stalled,
    /// It sent nothing for the idle timeout.
    Idle,
    /// A line of it had no end within the line timeout.
    LineTimeout,
    /// It went on saying more than it may.
    Flood,
    /// All buffers together held too much, and of all connections this one was to go.
    Buffers,
    /// The operator showed it the door.
    Kicked,
    /// Its address may not come in, as the operator said at run time.
    Banned,
    /// Its address may not come in, by the rules.
    Denied,
    /// There are as many peers as there may be.
    Full,
    /// There are as many peers from its address as there may be.
    AddressFull,
    /// Its address connects too often.
    TooFast,
    /// It did not say the secret.
    NoSecret,
    /// The process is stopping.
    Stopping,
    /// It did not take what it was owed before the deadline of [`Action::Finish`].
    NotFlushed,
    /// No handshake within the dial's timeout.
    DialTimeout,
    /// A system call failed; the number is `errno`, see errno(3).
    Failed(Call, i32),
}

/// The call that failed, by its name in the socket vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// connect(2), at once or by `SO_ERROR` later.
    Connect,
    /// recv(2), or read(2) on the console.
    Recv,
    /// send(2), or write(2) on the console.
    Send,
}

impl CloseReason {
    /// The reason that a failed call gives.
    pub fn failed(call: Call, error: &io::Error) -> Self {
        CloseReason::Failed(call, error.raw_os_error().unwrap_or(0))
    }
}

impl CloseReason {
    /// The reason in words; of a failed call its name alone, so that reasons can be counted.
    pub fn word(&self) -> &'static str {
        match self {
            CloseReason::Left => "left",
            CloseReason::Done => "done",
            CloseReason::TooLong => "line too long",
            CloseReason::Lagged => "reading too slowly",
            CloseReason::Stalled => "took nothing of what was pending in time",
            CloseReason::Idle => "sent nothing for too long",
            CloseReason::LineTimeout => "a line was not ended in time",
            CloseReason::Flood => "flooding",
            CloseReason::Buffers => "all buffers together are full",
            CloseReason::Kicked => "kicked",
            CloseReason::Banned => "banned",
            CloseReason::Denied => "not allowed",
            CloseReason::Full => "too many peers",
            CloseReason::AddressFull => "too many peers from its address",
            CloseReason::TooFast => "too many connections from its address",
            CloseReason::NoSecret => "no secret",
            CloseReason::Stopping => "stopping",
            CloseReason::NotFlushed => "did not take what was pending in time",
            CloseReason::DialTimeout => "connect: timed out",
            CloseReason::Failed(Call::Connect, _) => "connect",
            CloseReason::Failed(Call::Recv, _) => "recv",
            CloseReason::Failed(Call::Send, _) => "send",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            CloseReason::Failed(_, errno) => {
                write!(f, ": {}", io::Error::from_raw_os_error(*errno))
            }
            _ => Ok(()),
        }
    }
}

/// What a handler asks of the loop. Carried out in the turn's act phase, in the order given.
/// An action on a peer that is gone is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dials; ends in one `opened(…, Origin::Dialed)`, or in one `closed` with nothing before it.
    Connect {
        /// Where to.
        to: Endpoint,
        /// The local address to bind first, where one is wanted; port 0 for any. Not for Unix.
        from: Option<SocketAddr>,
        /// How long the handshake may take.
        timeout: Duration,
    },
    /// Sends datagrams to one destination from UDP socket `socket` (in the order they were bound),
    /// together where the system can (UDP_SEGMENT, udp(7)). What would block is dropped and
    /// counted.
    SendTo {
        /// Index of the UDP socket.
        socket: usize,
        /// Destination.
        to: SocketAddr,
        /// The datagrams, end to end.
        bytes: Vec<u8>,
        /// Bytes in each but the last, at most 65,507; 0, or no less than `bytes`, is one datagram.
        stride: usize,
    },
    /// Half-close: once nothing is pending, shuts down writing; reading goes on.
    HalfClose(PeerId),
    /// Reads no more, sends what is pending, shuts down writing, reads and drops what still comes
    /// until the peer's end (at most `reactor::DRAIN_MS_MAX`), closes. A plain close with
    /// unread input would make the kernel send RST, which can destroy the last message
    /// (RFC 2525 §2.17).
    Finish {
        /// Whom.
        peer: PeerId,
        /// What `closed` will be told.
        why: CloseReason,
        /// How long sending what is pending may take; then it is cut as `NotFlushed`.
        within: Duration,
    },
    /// Closes in this turn's sweep, pending or not.
    Close(PeerId, CloseReason),
    /// Closes a listener: nobody new comes in there.
    Refuse {
        /// Which, in the order of `reactor::Reactor::listen`.
        listener: usize,
    },
    /// Changes how long a connection may take nothing of what is pending, from now on.
    StallTimeout(Duration),
    /// Changes what all buffers together may hold, in bytes, from now on.
    BuffersTotal(usize),
    /// Asks for one `reported`, in the same phase.
    Report,
    /// The console's terminal in raw mode (true) from now on, whenever it is ours: keys come as they
    /// are pressed, and [`Handler::screen`] tells how big it is. False gives it back. Ignored where
    /// stdin or stdout is none.
    Terminal(bool),
    /// Reads a file whole and asks for one `file_read`, in the same phase.
    ReadFile {
        /// Which.
        path: PathBuf,
        /// A longer one is an error.
        bytes_max: usize,
    },
    /// Tells the service manager, and asks for one `notified`, in the same phase.
    Notify(Notice),
    /// Ends a hold: the kept bytes are offered again, then reading goes on.
    Resume(PeerId),
    /// No more accepts; what has arrived is read; every connection is finished; then `run`
    /// returns. A second one with a shorter time replaces the first.
    Stop {
        /// What is still there after this is cut; `None` waits as long as it takes.
        within: Option<Duration>,
    },
}

/// What a service manager is told. sd_notify(3). The texts are one line each, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// READY: everything is bound; or what RELOADING began is done.
    Ready(String),
    /// RELOADING.
    Reloading,
    /// STOPPING.
    Stopping(String),
    /// STATUS alone.
    Status(String),
    /// WATCHDOG: alive.
    Watchdog,
}

/// A caught signal, by its meaning. signal(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP, and a terminal that the process was started on has hung up.
    Hangup,
    /// SIGHUP without that: what was read at the start is to be read again.
    Reload,
    /// SIGCONT: after a stop; the terminal may be ours again.
    Continue,
}

/// What has become of the console's terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Raw and ours: keys come one by one, the screen has this size. Told again when it changes and
    /// after a stop, when what stood there is to be drawn anew.
    Ours(Window),
    /// It is given back at the end of this turn's flush, before the process stops or dies by a
    /// signal: what must not stay on it is to be erased now.
    Leaving,
    /// Given back, or another job's: plain lines, which it edits and echoes itself.
    Lost,
}

/// A terminal's size. ioctl_tty(2), TIOCGWINSZ; 0 where it does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// stderr is a terminal too: while this window is ours the loop leaves the log queue to the
    /// handler, which shows its lines where they tear nothing.
    pub log: bool,
}

/// What became of the bytes that were offered to [`Handler::received`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// So many bytes, from the front, are done with. At most what was offered.
    pub consumed: usize,
    /// True: read this peer no more until [`Action::Resume`].
    pub hold: bool,
}

/// What kind of address a datagram was sent to. ip(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// One of our own.
    Own,
    /// A multicast group, RFC 1112.
    Multicast,
    /// Everybody on a network, RFC 919.
    Broadcast,
}

/// One datagram as it came in. recvfrom(2).
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Which UDP socket, in the order they were bound.
    pub socket: usize,
    /// The sender.
    pub from: SocketAddr,
    /// The address of our own that an answer leaves from, where the system tells it (IP_PKTINFO,
    /// ip(7)): that which was hit, or where all were hit, the receiving interface's own.
    pub to: Option<IpAddr>,
    /// What kind of address was hit.
    pub hit: Hit,
    /// 0 to 65,507 bytes, never truncated.
    pub bytes: &'a [u8],
}

/// One datagram of the Unix domain as it came in. recvfrom(2), unix(7).
#[derive(Clone, Copy, Debug)]
pub struct UnixDatagram<'a> {
    /// Which socket, in the order of `reactor::Reactor::bind_unix`.
    pub socket: usize,
    /// The sender, who may have no name.
    pub from: &'a UnixAddress,
    /// Whole; 2 MiB at most.
    pub bytes: &'a [u8],
}

/// The runs of bytes that one vectored send will offer. At most [`SLICES_MAX`] runs.
pub struct Slices<'a> {
    runs: [IoSlice<'a>; SLICES_MAX],
    len: usize,
    bytes: usize,
    all: bool,
}

impl<'a> Slices<'a> {
    /// No runs yet.
    pub fn new() -> Self {
        Slices { runs: [IoSlice::new(&[]); SLICES_MAX], len: 0, bytes: 0, all: false }
    }

    /// Adds a run and says whether there was room for it; an empty run takes no room.
    pub fn push(&mut self, run: &'a [u8]) -> bool {
        if run.is_empty() {
            return true;
        }
        if self.len == SLICES_MAX {
            return false;
        }
        self.runs[self.len] = IoSlice::new(run);
        self.len += 1;
        self.bytes += run.len();
        true
    }

    /// Nothing else is pending: what was added is all, and `sent` of all of it brings up no more.
    /// The loop then need not ask again.
    pub fn that_is_all(&mut self) {
        self.all = true;
    }

    /// Whether that was said.
    pub fn are_all(&self) -> bool {
        self.all
    }

    /// The runs, in the order they were added.
    pub fn runs(&self) -> &[IoSlice<'a>] {
        &self.runs[..self.len]
    }

    /// Bytes in all runs together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Default for Slices<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// A program on the loop. `serve`, `connect` and `bench` are the three.
///
/// Every call is made by `Reactor::turn`, in the phase named here. `now` is from the monotonic clock,
/// which a turn reads when its wait is over (for note and accept, and for `reads`), when bytes or
/// datagrams were read (for what is told of them), behind a send (`Budgets::sends_a_look`), and at
/// its end (for the next wait). Expire, act and sweep go by the last of these, so it never goes back.
/// After any call the loop asks `next_action`, `next_dirty` and `next_deadline` again before it
/// waits, so a handler only has to remember what it wants.
///
/// What most programs leave alone has a body here. Two have none: without `signalled` nobody could
/// stop the program, and without `next_action` it could ask for nothing.
pub trait Handler {
    /// accept or act: a connection is open. First call for this peer; its slot may have belonged
    /// to a peer that is `closed` by now.
    fn opened(&mut self, _peer: PeerId, _origin: Origin, _now: Instant) {}

    /// read: asked before each recv. False holds the peer as [`Taken::hold`] does, before any byte
    /// is taken from the kernel, so that a held crowd costs no memory. By itself it reads everybody.
    fn reads(&mut self, _peer: PeerId, _now: Instant) -> bool {
        true
    }

    /// read: bytes of the stream, in order. `bytes` starts with what was not consumed last time;
    /// its first `seen` bytes have been offered before (0 after a hold), so a search for a newline
    /// need not look at them again. What is not consumed is kept and offered again with what
    /// follows. A handler keeps its rest below a bound of its own: rest and one read
    /// (`reactor::Budgets::scratch_bytes`) is all that a connection's input ever takes. By itself it
    /// drops what comes.
    fn received(&mut self, _peer: PeerId, bytes: &[u8], _seen: usize, _now: Instant) -> Taken {
        Taken { consumed: bytes.len(), hold: false }
    }

    /// read: end of input (the peer's FIN, or the end of stdin), told after all bytes; `rest` is
    /// what was not consumed. False holds the peer: it is told again after [`Action::Resume`]. The
    /// loop decides nothing, nor does this body: the writing half stays open, and the connection in
    /// its slot, until an action says otherwise.
    fn ended(&mut self, _peer: PeerId, _rest: &[u8], _now: Instant) -> bool {
        true
    }

    /// sweep: the connection is gone, its slot is free after this call. Last call for this peer;
    /// for a dial that failed also the first.
    fn closed(&mut self, _peer: PeerId, _why: CloseReason, _now: Instant) {}

    /// read: a datagram. The answer goes back to its sender from the address that was hit. By itself
    /// it answers none.
    fn datagram<'a>(&'a mut self, _datagram: Datagram<'a>, _now: Instant) -> Option<&'a [u8]> {
        None
    }

    /// read: a datagram of the Unix domain. The answer goes back to its sender, who must have a name.
    fn unix_datagram<'a>(
        &'a mut self,
        _datagram: UnixDatagram<'a>,
        _now: Instant,
    ) -> Option<&'a [u8]> {
        None
    }

    /// note: a signal was caught; several of one kind may be told as one.
    fn signalled(&mut self, signal: Signal, now: Instant);

    /// note, act: what has become of the console's terminal, after [`Action::Terminal`]. Nothing to
    /// do for a program that never asks for one.
    fn screen(&mut self, _screen: Screen) {}

    /// act: the loop's counters, as [`Action::Report`] asked for them.
    fn reported(&mut self, _stats: &Stats) {}

    /// act: what [`Action::ReadFile`] asked for.
    fn file_read(&mut self, _contents: io::Result<Vec<u8>>) {}

    /// act: what became of [`Action::Notify`]; what would have blocked was not sent.
    fn notified(&mut self, _notice: Notice, _outcome: io::Result<()>, _now: Instant) {}

    /// expire: `now` has reached `next_deadline`.
    fn expired(&mut self, _now: Instant) {}

    /// wait and expire: the moment at which `expired` is wanted, if any.
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// flush: a peer that may have something pending, until none is left. A peer that the loop
    /// cannot write to just now is offered again by itself when it can, so it need not be repeated.
    fn next_dirty(&mut self) -> Option<PeerId> {
        None
    }

    /// wait and act: the next wish, until none is left.
    fn next_action(&mut self, now: Instant) -> Option<Action>;

    /// flush: adds what this peer is owed to `slices`, as much as fits, oldest first. Adding
    /// nothing means that nothing is pending.
    fn pending<'a>(&'a mut self, _peer: PeerId, _slices: &mut Slices<'a>) {}

    /// flush: the kernel took the first `n` bytes of what `pending` gave last.
    fn sent(&mut self, _peer: PeerId, _n: usize, _now: Instant) {}

    /// read and sweep: bytes that it holds for single peers now, beside logs that all of them
    /// share. Asked after each read, so a running count. Past the loop's bound on this and all kept
    /// input together, connections are closed as [`CloseReason::Buffers`]; what one held must be
    /// off the count when `closed` returns.
    fn buffered(&self) -> usize {
        0
    }
}
