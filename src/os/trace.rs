//! [`TraceOs`]: any [`Os`], each call told in one line, as strace(1) tells system calls. So no log
//! line stands in the loop, and the simulated system can be watched with the same eyes.
//!
//! Not told: the clock, and what writing the lines itself causes ([`Os::write_log`], a wait that
//! only said that stderr takes bytes again, a look round without waiting that found nothing):
//! told, each line would cause the next. Where the lines are shown on the console's screen, its sends
//! and the events that only say that it takes bytes again are left out too.

use super::held::HeldFile;
use super::{Batch, Caught, Event, File, Hints, Os, Raise, Source, Transmit};
use crate::handler::{Endpoint, Notice, PeerId, Remote, UnixAddress, Window};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

/// The log target of every line, so that `RUST_LOG=reactor::os=debug` shows nothing else.
pub const TARGET: &str = "reactor::os";

/// One line at debug level. The arguments are not even looked at where that is off.
macro_rules! tell {
    ($($line:tt)*) => { log::debug!(target: TARGET, $($line)*) };
}

/// An [`Os`] that tells what it does.
pub struct TraceOs<O: Os> {
    os: O,
    /// The console, while the lines are shown on it.
    shown_on: Option<PeerId>,
}

/// A stream that knows whose it is.
pub struct TracedStream<S> {
    stream: S,
    peer: PeerId,
}

impl<O: Os> TraceOs<O> {
    /// Around `os`.
    pub fn new(os: O) -> Self {
        TraceOs { os, shown_on: None }
    }
}

/// Whether an event says no more than that the lines can be written.
fn is_of_lines(event: &Event, shown_on: Option<PeerId>) -> bool {
    let console = shown_on.is_some_and(|peer| {
        event.source == Source::Peer { slot: peer.slot, serial_low: peer.serial as u32 }
    });
    event.source == Source::Log || (console && event.hints == Hints::WRITABLE)
}

/// The outcome of a call that counts bytes, as the end of its line.
struct Outcome<'a> {
    result: &'a io::Result<usize>,
    /// What zero bytes mean: "end of input" for a read.
    zero: &'static str,
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.result {
            Ok(0) => f.write_str(self.zero),
            Ok(n) => write!(f, "{n} bytes"),
            Err(error) => write!(f, "{}", Failure(error)),
        }
    }
}

/// An error in the words of a line.
struct Failure<'a>(&'a io::Error);

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ErrorKind::WouldBlock => f.write_str("would block"),
            _ => write!(f, "failed: {}", self.0),
        }
    }
}

/// `len` bytes, and how many datagrams they are where that is more than one.
struct Train {
    len: usize,
    stride: usize,
}

impl fmt::Display for Train {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)?;
        if self.stride > 0 && self.stride < self.len {
            write!(f, " in {} datagrams", self.len.div_ceil(self.stride))?;
        }
        Ok(())
    }
}

impl<O: Os> Os for TraceOs<O> {
    type Listener = O::Listener;
    type Stream = TracedStream<O::Stream>;
    type Udp = O::Udp;
    type UnixDgram = O::UnixDgram;

    fn now(&mut self) -> Instant {
        self.os.now()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let result = self.os.poll(events, timeout);
        let told = events.iter().filter(|event| !is_of_lines(event, self.shown_on)).count();
        match (&result, timeout) {
            (Err(error), _) => tell!("poll {}", Failure(error)),
            (Ok(()), _) if told == 1 => tell!("poll 1 event"),
            (Ok(()), _) if told > 1 => tell!("poll {told} events"),
            (Ok(()), _) if !events.is_empty() => {}
            (Ok(()), Some(Duration::ZERO)) => {}
            (Ok(()), Some(timeout)) => tell!("poll timed out after {timeout:?}"),
            (Ok(()), None) => tell!("poll interrupted"),
        }
        result
    }

    fn listen(&mut self, at: &Endpoint, mode: u32, index: usize) -> io::Result<O::Listener> {
        let result = self.os.listen(at, mode, index);
        match &result {
            Ok(_) => tell!("listen {at}"),
            Err(error) => tell!("listen {at} {}", Failure(error)),
        }
        result
    }

    fn listener_address(&self, listener: &O::Listener) -> io::Result<Endpoint> {
        self.os.listener_address(listener)
    }

    fn close_listener(&mut self, listener: O::Listener) {
        tell!("close a listener");
        self.os.close_listener(listener);
    }

    fn accept(
        &mut self,
        listener: &mut O::Listener,
        peer: PeerId,
    ) -> io::Result<(Self::Stream, Remote)> {
        match self.os.accept(listener, peer) {
            Ok((stream, from)) => {
                tell!("accept {peer} from {from}");
                Ok((TracedStream { stream, peer }, from))
            }
            Err(error) => {
                tell!("accept {}", Failure(&error));
                Err(error)
            }
        }
    }

    fn connect(
        &mut self,
        to: &Endpoint,
        from: Option<SocketAddr>,
        peer: PeerId,
    ) -> io::Result<Self::Stream> {
        let result = self.os.connect(to, from, peer);
        match (&result, from) {
            (Ok(_), None) => tell!("connect {peer} to {to}"),
            (Ok(_), Some(from)) => tell!("connect {peer} to {to} from {from}"),
            (Err(error), _) => tell!("connect {peer} to {to} {}", Failure(error)),
        }
        Ok(TracedStream { stream: result?, peer })
    }

    fn connected(&mut self, stream: &mut Self::Stream) -> io::Result<bool> {
        let result = self.os.connected(&mut stream.stream);
        match &result {
            Ok(true) => tell!("connected {}", stream.peer),
            Ok(false) => tell!("connected {} not yet", stream.peer),
            Err(error) => tell!("connected {} {}", stream.peer, Failure(error)),
        }
        result
    }

    fn console(&mut self, peer: PeerId) -> io::Result<Self::Stream> {
        let result = self.os.console(peer);
        match &result {
            Ok(_) => tell!("console {peer}"),
            Err(error) => tell!("console {peer} {}", Failure(error)),
        }
        Ok(TracedStream { stream: result?, peer })
    }

    fn transcript(&mut self, path: &Path, peer: PeerId) -> io::Result<Self::Stream> {
        let result = self.os.transcript(path, peer);
        match &result {
            Ok(_) => tell!("open {peer} {}", path.display()),
            Err(error) => tell!("open {peer} {} {}", path.display(), Failure(error)),
        }
        Ok(TracedStream { stream: result?, peer })
    }

    fn recv(&mut self, stream: &mut Self::Stream, into: &mut [u8]) -> io::Result<usize> {
        let result = self.os.recv(&mut stream.stream, into);
        let zero = "end of input";
        tell!("recv {} {}", stream.peer, Outcome { result: &result, zero });
        result
    }

    fn reads_in_pieces(&self, stream: &Self::Stream) -> bool {
        self.os.reads_in_pieces(&stream.stream)
    }

    fn send(&mut self, stream: &mut Self::Stream, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.os.send(&mut stream.stream, runs);
        if self.shown_on != Some(stream.peer) {
            tell!("send {} {}", stream.peer, Outcome { result: &result, zero: "0 bytes" });
        }
        result
    }

    fn shutdown(&mut self, stream: &mut Self::Stream) {
        tell!("shutdown {}", stream.peer);
        self.os.shutdown(&mut stream.stream);
    }

    fn close(&mut self, stream: Self::Stream) {
        tell!("close {}", stream.peer);
        self.shown_on = self.shown_on.filter(|console| *console != stream.peer);
        self.os.close(stream.stream);
    }

    fn bind_udp(&mut self, at: SocketAddr, broadcast: bool, index: usize) -> io::Result<O::Udp> {
        let result = self.os.bind_udp(at, broadcast, index);
        match &result {
            Ok(_) => tell!("bind udp {at}"),
            Err(error) => tell!("bind udp {at} {}", Failure(error)),
        }
        result
    }

    fn udp_address(&self, udp: &O::Udp) -> io::Result<SocketAddr> {
        self.os.udp_address(udp)
    }

    fn join(&mut self, udp: &mut O::Udp, group: IpAddr, interface: u32) -> io::Result<()> {
        let result = self.os.join(udp, group, interface);
        match &result {
            Ok(()) => tell!("join {group} interface {interface}"),
            Err(error) => tell!("join {group} interface {interface} {}", Failure(error)),
        }
        result
    }

    fn udp_lost<'a>(&self, udps: impl Iterator<Item = &'a O::Udp>) -> Option<u64>
    where
        O::Udp: 'a,
    {
        self.os.udp_lost(udps)
    }

    fn recvfrom(&mut self, udp: &mut O::Udp, batch: &mut Batch) -> io::Result<usize> {
        let result = self.os.recvfrom(udp, batch);
        match &result {
            Ok(reads) => {
                for head in &batch.heads[..*reads] {
                    let train = Train { len: head.len, stride: head.stride };
                    tell!("recvfrom {} {train}", head.from);
                }
            }
            Err(error) => tell!("recvfrom {}", Failure(error)),
        }
        result
    }

    fn sendto(&mut self, udp: &mut O::Udp, transmits: &[Transmit<'_>]) -> io::Result<usize> {
        let result = self.os.sendto(udp, transmits);
        for transmit in &transmits[..*result.as_ref().unwrap_or(&1)] {
            let train = Train { len: transmit.bytes.len(), stride: transmit.stride };
            match &result {
                Ok(_) => tell!("sendto {} {train}", transmit.to),
                Err(error) => tell!("sendto {} {train} {}", transmit.to, Failure(error)),
            }
        }
        result
    }

    fn bind_unix(&mut self, at: &UnixAddress, mode: u32, index: usize) -> io::Result<O::UnixDgram> {
        let result = self.os.bind_unix(at, mode, index);
        match &result {
            Ok(_) => tell!("bind unix {at}"),
            Err(error) => tell!("bind unix {at} {}", Failure(error)),
        }
        result
    }

    fn recvfrom_unix(
        &mut self,
        socket: &mut O::UnixDgram,
        into: &mut [u8],
    ) -> io::Result<(usize, UnixAddress)> {
        let result = self.os.recvfrom_unix(socket, into);
        match &result {
            Ok((len, from)) => tell!("recvfrom unix:{from} {len} bytes"),
            Err(error) => tell!("recvfrom {}", Failure(error)),
        }
        result
    }

    fn sendto_unix(
        &mut self,
        socket: &mut O::UnixDgram,
        to: &UnixAddress,
        bytes: &[u8],
    ) -> io::Result<()> {
        let result = self.os.sendto_unix(socket, to, bytes);
        match &result {
            Ok(()) => tell!("sendto unix:{to} {} bytes", bytes.len()),
            Err(error) => tell!("sendto unix:{to} {} bytes {}", bytes.len(), Failure(error)),
        }
        result
    }

    fn signal(&mut self) -> Option<Caught> {
        let caught = self.os.signal();
        match caught {
            Some(Caught::Told(signal)) => tell!("signal {signal:?}"),
            Some(caught) => tell!("signal {caught:?}"),
            None => {}
        }
        caught
    }

    fn take_terminal(&mut self, console: &mut Self::Stream) -> io::Result<Window> {
        let result = self.os.take_terminal(&mut console.stream);
        match &result {
            Ok(Window { columns, rows, .. }) => {
                tell!("take terminal {} {columns} by {rows}", console.peer);
            }
            Err(error) => tell!("take terminal {} {}", console.peer, Failure(error)),
        }
        self.shown_on = result.as_ref().ok().filter(|window| window.log).map(|_| console.peer);
        result
    }

    fn return_terminal(&mut self) {
        self.shown_on = None;
        tell!("return terminal");
        self.os.return_terminal();
    }

    fn raise(&mut self, raise: Raise) {
        tell!("raise {raise:?}");
        self.os.raise(raise);
    }

    fn read_file(&mut self, path: &Path, bytes_max: usize) -> io::Result<File> {
        let result = self.os.read_file(path, bytes_max);
        match &result {
            Ok(file) => tell!("read_file {path:?} {} bytes", file.bytes.len()),
            Err(error) => tell!("read_file {path:?} {}", Failure(error)),
        }
        result
    }

    fn hold_file(&mut self, path: &Path, bytes: &[u8]) -> io::Result<HeldFile> {
        let result = self.os.hold_file(path, bytes);
        match &result {
            Ok(_) => tell!("hold_file {path:?} {} bytes", bytes.len()),
            Err(error) => tell!("hold_file {path:?} {}", Failure(error)),
        }
        result
    }

    fn notify(&mut self, notice: &Notice) -> io::Result<()> {
        let result = self.os.notify(notice);
        match &result {
            Ok(()) => tell!("notify {notice:?}"),
            Err(error) => tell!("notify {notice:?} {}", Failure(error)),
        }
        result
    }

    fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.os.write_log(bytes)
    }
}

#[cfg(test)]
mod tests;
