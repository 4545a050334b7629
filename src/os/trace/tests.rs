//! The lines, over a system that answers by rote.

use super::*;
use crate::handler::OWNER_ALONE;
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
    type UnixDgram = ();

    fn now(&mut self) -> Instant {
        Instant::now()
    }
    fn poll(&mut self, events: &mut Vec<Event>, _: Option<Duration>) -> io::Result<()> {
        *events = self.polls.pop_front().unwrap();
        Ok(())
    }
    fn listen(&mut self, _: &Endpoint, _: u32, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn listener_address(&self, (): &()) -> io::Result<Endpoint> {
        Ok(somebody().into())
    }
    fn close_listener(&mut self, (): ()) {}
    fn accept(&mut self, (): &mut (), _: PeerId) -> io::Result<((), Remote)> {
        Ok(((), somebody().into()))
    }
    fn connect(&mut self, _: &Endpoint, _: Option<SocketAddr>, _: PeerId) -> io::Result<()> {
        Err(ErrorKind::ConnectionRefused.into())
    }
    fn connected(&mut self, (): &mut ()) -> io::Result<bool> {
        Ok(false)
    }
    fn console(&mut self, _: PeerId) -> io::Result<()> {
        Ok(())
    }
    fn transcript(&mut self, _: &Path, _: PeerId) -> io::Result<()> {
        Ok(())
    }
    fn recv(&mut self, (): &mut (), _: &mut [u8]) -> io::Result<usize> {
        self.counts.pop_front().unwrap()
    }
    fn reads_in_pieces(&self, (): &()) -> bool {
        false
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
    fn bind_unix(&mut self, _: &UnixAddress, _: u32, _: usize) -> io::Result<()> {
        Ok(())
    }
    fn recvfrom_unix(&mut self, (): &mut (), _: &mut [u8]) -> io::Result<(usize, UnixAddress)> {
        Ok((5, UnixAddress::Unnamed))
    }
    fn sendto_unix(&mut self, (): &mut (), _: &UnixAddress, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
    fn join(&mut self, (): &mut (), _: IpAddr, _: u32) -> io::Result<()> {
        Ok(())
    }
    fn udp_lost<'a>(&self, _: impl Iterator<Item = &'a ()>) -> Option<u64> {
        None
    }
    fn recvfrom(&mut self, (): &mut (), batch: &mut Batch) -> io::Result<usize> {
        for (head, (len, stride)) in batch.heads.iter_mut().zip([(5, 5), (0, 0), (25, 10)]) {
            (head.from, head.len, head.stride) = (somebody(), len, stride);
        }
        Ok(3)
    }
    fn sendto(&mut self, (): &mut (), transmits: &[Transmit<'_>]) -> io::Result<usize> {
        let blocks = transmits.iter().position(|transmit| transmit.bytes == b"blocks");
        match blocks {
            Some(0) => Err(ErrorKind::WouldBlock.into()),
            sent => Ok(sent.unwrap_or(transmits.len())),
        }
    }
    fn signal(&mut self) -> Option<Caught> {
        None
    }
    fn take_terminal(&mut self, (): &mut ()) -> io::Result<Window> {
        Ok(Window { columns: 80, rows: 24, log: true })
    }
    fn return_terminal(&mut self) {}
    fn raise(&mut self, _: Raise) {}
    fn read_file(&mut self, path: &Path, _: usize) -> io::Result<File> {
        match path.to_str() {
            Some("/etc/secret") => Ok(File { bytes: b"sesame\n".to_vec(), mode: 0o100_600 }),
            _ => Err(ErrorKind::NotFound.into()),
        }
    }
    fn hold_file(&mut self, _: &Path, _: &[u8]) -> io::Result<HeldFile> {
        Err(ErrorKind::ResourceBusy.into())
    }
    fn notify(&mut self, _: &Notice) -> io::Result<()> {
        Err(ErrorKind::WouldBlock.into())
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
        os.listen(&somebody().into(), OWNER_ALONE, 0).unwrap();
        let (mut stream, _) = os.accept(&mut (), PEER).unwrap();
        for _ in 0..3 {
            let _ = os.recv(&mut stream, &mut [0; 64]);
        }
        os.send(&mut stream, &[]).unwrap();
        os.shutdown(&mut stream);
        os.close(stream);
        let _ = os.connect(&somebody().into(), None, PEER);
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
        let blocks = Transmit { bytes: b"blocks", ..answer };
        assert_eq!(os.sendto(&mut (), &[answer, blocks, answer]).unwrap(), 1);
        os.sendto(&mut (), &[blocks, answer]).unwrap_err();
    });
    let expected = [
        "bind udp 127.0.0.1:5000",
        "recvfrom 127.0.0.1:5000 5 bytes",
        "recvfrom 127.0.0.1:5000 0 bytes",
        "recvfrom 127.0.0.1:5000 25 bytes in 3 datagrams",
        "sendto 127.0.0.1:5000 25 bytes in 3 datagrams",
        "sendto 127.0.0.1:5000 6 bytes would block",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn of_a_file_its_name_and_its_length_are_told_and_nothing_of_what_is_in_it() {
    let lines = told(Rote::default(), |os| {
        os.read_file(Path::new("/etc/secret"), 64).unwrap_or_else(|error| panic!("{error}"));
        assert!(os.read_file(Path::new("/etc/\n"), 64).is_err());
    });
    let expected =
        [r#"read_file "/etc/secret" 7 bytes"#, r#"read_file "/etc/\n" failed: entity not found"#];
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
    let expected =
        ["poll timed out after 1.5s", "poll interrupted", "poll 1 event", "poll 2 events"];
    assert_eq!(lines, expected);
}

#[test]
fn what_showing_the_lines_on_the_console_causes_is_not_told() {
    let source = Source::Peer { slot: 0, serial_low: 0 };
    let writable = Event { source, hints: Hints::WRITABLE };
    let readable = Event { source, hints: Hints::READABLE };
    let polls = [vec![writable], vec![readable, writable], vec![writable]].into();
    let counts = [Ok(1), Ok(2), Ok(3)].into();
    let lines = told(Rote { polls, counts }, |os| {
        let mut events = Vec::new();
        let mut console = os.console(PeerId { serial: 0, slot: 0 }).unwrap();
        os.send(&mut console, &[]).unwrap();
        os.take_terminal(&mut console).unwrap();
        os.send(&mut console, &[]).unwrap();
        os.poll(&mut events, None).unwrap();
        os.poll(&mut events, None).unwrap();
        os.return_terminal();
        os.send(&mut console, &[]).unwrap();
        os.poll(&mut events, None).unwrap();
    });
    let expected = [
        "console #0",
        "send #0 1 bytes",
        "take terminal #0 80 by 24",
        "poll 1 event",
        "return terminal",
        "send #0 3 bytes",
        "poll 1 event",
    ];
    assert_eq!(lines, expected);
}
