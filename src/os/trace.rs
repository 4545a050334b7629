//! [`TraceOs`]: any [`Os`], each call told in one line, as strace(1) tells system calls. So no log
//! line stands in the loop, and the simulated system can be watched with the same eyes.
//!
//! Not told: the clock, and what writing the lines itself causes ([`Os::write_log`], a wait that
//! only said that stderr takes bytes again, a look round without waiting that found nothing):
//! told, each line would cause the next.

use super::{Batch, Event, Os, Source, Transmit};
use crate::handler::{PeerId, Signal};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
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
}

/// A stream that knows whose it is.
pub struct TracedStream<S> {
    stream: S,
    peer: PeerId,
}

impl<O: Os> TraceOs<O> {
    /// Around `os`.
    pub fn new(os: O) -> Self {
        TraceOs { os }
    }
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

    fn now(&mut self) -> Instant {
        self.os.now()
    }

    fn poll(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        let result = self.os.poll(events, timeout);
        let told = events.iter().filter(|event| event.source != Source::Log).count();
        match (&result, timeout) {
            (Err(error), _) => tell!("poll {}", Failure(error)),
            (Ok(()), _) if told == 1 => tell!("poll 1 event"),
            (Ok(()), _) if told > 1 => tell!("poll {told} events"),
            (Ok(()), _) if !events.is_empty() => {}
            (Ok(()), Some(Duration::ZERO)) => {}
            (Ok(()), Some(timeout)) => tell!("poll no event, would wait {timeout:?}"),
            (Ok(()), None) => tell!("poll no event, would wait for ever"),
        }
        result
    }

    fn listen(&mut self, at: SocketAddr, index: usize) -> io::Result<O::Listener> {
        let result = self.os.listen(at, index);
        match &result {
            Ok(_) => tell!("listen {at}"),
            Err(error) => tell!("listen {at} {}", Failure(error)),
        }
        result
    }

    fn listener_address(&self, listener: &O::Listener) -> io::Result<SocketAddr> {
        self.os.listener_address(listener)
    }

    fn accept(
        &mut self,
        listener: &mut O::Listener,
        peer: PeerId,
    ) -> io::Result<(Self::Stream, SocketAddr)> {
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
        to: SocketAddr,
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

    fn recv(&mut self, stream: &mut Self::Stream, into: &mut [u8]) -> io::Result<usize> {
        let result = self.os.recv(&mut stream.stream, into);
        let zero = "end of input";
        tell!("recv {} {}", stream.peer, Outcome { result: &result, zero });
        result
    }

    fn send(&mut self, stream: &mut Self::Stream, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        let result = self.os.send(&mut stream.stream, runs);
        tell!("send {} {}", stream.peer, Outcome { result: &result, zero: "0 bytes" });
        result
    }

    fn shutdown(&mut self, stream: &mut Self::Stream) {
        tell!("shutdown {}", stream.peer);
        self.os.shutdown(&mut stream.stream);
    }

    fn close(&mut self, stream: Self::Stream) {
        tell!("close {}", stream.peer);
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

    fn sendto(&mut self, udp: &mut O::Udp, transmit: &Transmit<'_>) -> io::Result<()> {
        let result = self.os.sendto(udp, transmit);
        let train = Train { len: transmit.bytes.len(), stride: transmit.stride };
        match &result {
            Ok(()) => tell!("sendto {} {train}", transmit.to),
            Err(error) => tell!("sendto {} {train} {}", transmit.to, Failure(error)),
        }
        result
    }

    fn signal(&mut self) -> Option<Signal> {
        let signal = self.os.signal();
        if let Some(signal) = signal {
            tell!("signal {signal:?}");
        }
        signal
    }

    fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.os.write_log(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::{Mutex, Once};
    use std::thread::ThreadId;

    /// A system that answers by rote, for one peer from one address.
    #[derive(Default)]
    struct Rote {
        polls: VecDeque<Vec<Event>>,
        counts: VecDeque<io::Result<usize>>,
    }

    fn somebody() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5_000))
    }

    impl Os for Rote {
        type Listener = ();
        type Stream = ();
        type Udp = ();

        fn now(&mut self) -> Instant {
            Instant::now()
        }
        fn poll(&mut self, events: &mut Vec<Event>, _: Option<Duration>) -> io::Result<()> {
            *events = self.polls.pop_front().unwrap();
            Ok(())
        }
        fn listen(&mut self, _: SocketAddr, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn listener_address(&self, (): &()) -> io::Result<SocketAddr> {
            Ok(somebody())
        }
        fn accept(&mut self, (): &mut (), _: PeerId) -> io::Result<((), SocketAddr)> {
            Ok(((), somebody()))
        }
        fn connect(&mut self, _: SocketAddr, _: Option<SocketAddr>, _: PeerId) -> io::Result<()> {
            Err(ErrorKind::ConnectionRefused.into())
        }
        fn connected(&mut self, (): &mut ()) -> io::Result<bool> {
            Ok(false)
        }
        fn console(&mut self, _: PeerId) -> io::Result<()> {
            Ok(())
        }
        fn recv(&mut self, (): &mut (), _: &mut [u8]) -> io::Result<usize> {
            self.counts.pop_front().unwrap()
        }
        fn send(&mut self, (): &mut (), _: &[IoSlice<'_>]) -> io::Result<usize> {
            self.counts.pop_front().unwrap()
        }
        fn shutdown(&mut self, (): &mut ()) {}
        fn close(&mut self, (): ()) {}
        fn bind_udp(&mut self, _: SocketAddr, _: bool, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn udp_address(&self, (): &()) -> io::Result<SocketAddr> {
            Ok(somebody())
        }
        fn recvfrom(&mut self, (): &mut (), batch: &mut Batch) -> io::Result<usize> {
            for (head, (len, stride)) in batch.heads.iter_mut().zip([(5, 5), (0, 0), (25, 10)]) {
                (head.from, head.len, head.stride) = (somebody(), len, stride);
            }
            Ok(3)
        }
        fn sendto(&mut self, (): &mut (), _: &Transmit<'_>) -> io::Result<()> {
            Ok(())
        }
        fn signal(&mut self) -> Option<Signal> {
            None
        }
        fn write_log(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
    }

    /// Keeps the lines of each thread, for the tests run side by side.
    struct Notebook(Mutex<Vec<(ThreadId, String)>>);

    static NOTEBOOK: Notebook = Notebook(Mutex::new(Vec::new()));
    static OPENED: Once = Once::new();

    impl log::Log for Notebook {
        fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
            metadata.target() == TARGET
        }
        fn log(&self, record: &log::Record<'_>) {
            if self.enabled(record.metadata()) {
                let line = (std::thread::current().id(), record.args().to_string());
                self.0.lock().unwrap().push(line);
            }
        }
        fn flush(&self) {}
    }

    /// The lines that `calls` made.
    fn told(rote: Rote, calls: impl FnOnce(&mut TraceOs<Rote>)) -> Vec<String> {
        OPENED.call_once(|| {
            log::set_logger(&NOTEBOOK).unwrap();
            log::set_max_level(log::LevelFilter::Debug);
        });
        calls(&mut TraceOs::new(rote));
        let here = std::thread::current().id();
        let mut lines = NOTEBOOK.0.lock().unwrap();
        lines.extract_if(.., |(thread, _)| *thread == here).map(|(_, line)| line).collect()
    }

    const PEER: PeerId = PeerId { serial: 812, slot: 3 };

    #[test]
    fn each_call_on_a_connection_is_one_line_with_its_peer() {
        let counts = [Ok(12), Err(ErrorKind::WouldBlock.into()), Ok(0), Ok(24)].into();
        let lines = told(Rote { counts, ..Rote::default() }, |os| {
            os.listen(somebody(), 0).unwrap();
            let (mut stream, _) = os.accept(&mut (), PEER).unwrap();
            for _ in 0..3 {
                let _ = os.recv(&mut stream, &mut [0; 64]);
            }
            os.send(&mut stream, &[]).unwrap();
            os.shutdown(&mut stream);
            os.close(stream);
            let _ = os.connect(somebody(), None, PEER);
        });
        let expected = [
            "listen 127.0.0.1:5000",
            "accept #812 from 127.0.0.1:5000",
            "recv #812 12 bytes",
            "recv #812 would block",
            "recv #812 end of input",
            "send #812 24 bytes",
            "shutdown #812",
            "close #812",
            "connect #812 to 127.0.0.1:5000 failed: connection refused",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn datagrams_are_counted_where_one_call_carries_several() {
        let lines = told(Rote::default(), |os| {
            os.bind_udp(somebody(), false, 0).unwrap();
            os.recvfrom(&mut (), &mut Batch::new()).unwrap();
            let bytes = [0; 25];
            let answer = Transmit { to: somebody(), from: None, bytes: &bytes, stride: 10 };
            os.sendto(&mut (), &answer).unwrap();
        });
        let expected = [
            "bind udp 127.0.0.1:5000",
            "recvfrom 127.0.0.1:5000 5 bytes",
            "recvfrom 127.0.0.1:5000 0 bytes",
            "recvfrom 127.0.0.1:5000 25 bytes in 3 datagrams",
            "sendto 127.0.0.1:5000 25 bytes in 3 datagrams",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_writing_the_lines_causes_is_not_told() {
        let log = Event { source: Source::Log, hints: crate::os::Hints::WRITABLE };
        let signal = Event { source: Source::Signals, hints: crate::os::Hints::READABLE };
        let polls =
            [vec![], vec![log], vec![log], vec![], vec![], vec![signal], vec![log, signal, signal]];
        let lines = told(Rote { polls: polls.into(), ..Rote::default() }, |os| {
            let mut events = Vec::new();
            os.poll(&mut events, Some(Duration::ZERO)).unwrap();
            os.poll(&mut events, None).unwrap();
            os.poll(&mut events, Some(Duration::ZERO)).unwrap();
            os.write_log(b"line\n").unwrap();
            os.poll(&mut events, Some(Duration::from_millis(1_500))).unwrap();
            os.poll(&mut events, None).unwrap();
            os.poll(&mut events, None).unwrap();
            os.poll(&mut events, None).unwrap();
        });
        let expected = [
            "poll no event, would wait 1.5s",
            "poll no event, would wait for ever",
            "poll 1 event",
            "poll 2 events",
        ];
        assert_eq!(lines, expected);
    }
}
