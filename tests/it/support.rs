//! What every theme needs: the real binary as a child, and blocking peers with deadlines.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{self, Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Every wait ends by then. What a test waits for takes milliseconds; this is for a busy machine.
pub(super) const WITHIN: Duration = Duration::from_secs(20);

/// Tells on the real stderr, which the test harness does not capture, that this machine lacks
/// something; `.ci/run` lists these lines.
pub(super) fn skip(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

/// Whether this machine has IPv6 on its loopback.
pub(super) fn has_ipv6() -> bool {
    let has = UdpSocket::bind("[::1]:0").is_ok();
    if !has {
        skip("no IPv6 loopback");
    }
    has
}

/// A running `reactor`, killed when it is dropped.
pub(super) struct Program {
    child: Child,
    /// stdin of the child, where it is a pipe.
    pub(super) stdin: Option<ChildStdin>,
    /// What it writes to stdout, where that is a pipe.
    pub(super) out: Output,
    /// What it writes to stderr.
    pub(super) err: Output,
}

/// The binary, with its three descriptors as pipes.
pub(super) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reactor"));
    command.args(args).env_remove("RUST_LOG");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts the binary with these arguments.
    pub(super) fn start(args: &[&str]) -> Self {
        Self::spawn(command(args))
    }

    /// Starts a command; its stderr must be a pipe.
    pub(super) fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        drop(command); // and with it our copies of the child's descriptors
        let stdin = child.stdin.take();
        let out = child.stdout.take().map_or_else(Output::default, Output::of);
        let err = Output::of(child.stderr.take().expect("stderr is a pipe"));
        Program { child, stdin, out, err }
    }

    /// `serve` with chat on a free port.
    pub(super) fn chat() -> Self {
        Self::start(&["serve", "--tcp", "127.0.0.1:0"])
    }

    /// `serve --protocol` on a free port.
    pub(super) fn relay(protocol: &str) -> Self {
        Self::start(&["-v", "serve", "--tcp", "127.0.0.1:0", "--protocol", protocol])
    }

    /// `serve` with chat on a free port, with these arguments too.
    pub(super) fn serve(more: &[&str]) -> Self {
        Self::start(&[&["-v", "serve", "--tcp", "127.0.0.1:0"], more].concat())
    }

    /// Where it listens for connections.
    pub(super) fn tcp(&self) -> SocketAddr {
        self.listening("tcp")
    }

    /// Where it answers datagrams.
    pub(super) fn udp(&self) -> SocketAddr {
        self.listening("udp")
    }

    fn listening(&self, transport: &str) -> SocketAddr {
        let line = self.err.wait_for(&format!("listening {transport} "));
        let at = line.split(' ').nth(2).expect("an address is its third word");
        at.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its stdin.
    pub(super) fn type_in(&mut self, text: impl AsRef<[u8]>) {
        self.stdin.as_mut().expect("stdin is open").write_all(text.as_ref()).expect("stdin");
    }

    /// Writes more to its stdin than a pipe holds, and ends it: on a thread, for the child may
    /// want to be read first.
    pub(super) fn type_in_all(&mut self, text: impl AsRef<[u8]> + Send + 'static) {
        let mut stdin = self.stdin.take().expect("stdin is open");
        std::thread::spawn(move || stdin.write_all(text.as_ref()));
    }

    /// Ends its stdin.
    pub(super) fn end_input(&mut self) {
        self.stdin = None;
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child is there");
    }

    /// Waits for its end. It holds stderr until it ends.
    pub(super) fn status(&mut self) -> ExitStatus {
        self.err.wait_until("the program's end", |text, ended| ended.then_some(text.len()));
        self.child.wait().expect("our child")
    }

    /// Waits for its end and returns its exit code.
    pub(super) fn exit(&mut self) -> i32 {
        let status = self.status();
        status.code().unwrap_or_else(|| panic!("{status}; stderr: {}", self.err.text()))
    }

    /// Its end by itself, with this code and this one line on stderr.
    pub(super) fn expect_failure(mut self, code: i32, line: &str) {
        self.end_input();
        let exited = self.exit();
        assert_eq!((exited, &*self.err.text()), (code, &*format!("reactor: {line}\n")));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("stderr of {}:\n{}", self.child.id(), self.err.text());
        }
    }
}

/// What a child writes, collected by a thread as it comes.
#[derive(Clone, Default)]
pub(super) struct Output(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Default)]
struct Collected {
    bytes: Vec<u8>,
    ended: bool,
    /// `expect_line` has handed out this much.
    taken: usize,
}

impl Output {
    /// Of a pipe or of a terminal's master (whose reads fail when the last slave closes).
    pub(super) fn of(mut from: impl Read + Send + 'static) -> Self {
        let output = Output::default();
        let shared = output.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let read = from.read(&mut buffer);
                let (collected, changed) = &*shared.0;
                let mut collected = collected.lock().unwrap();
                match read {
                    Ok(n) if n > 0 => collected.bytes.extend_from_slice(&buffer[..n]),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => collected.ended = true,
                }
                changed.notify_all();
                if collected.ended {
                    return;
                }
            }
        });
        output
    }

    /// All of it, so far.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.0.lock().unwrap().bytes).into_owned()
    }

    /// All of it, when it has ended.
    pub(super) fn all(&self) -> String {
        let whole =
            |bytes: &[u8], ended: bool| ended.then(|| String::from_utf8_lossy(bytes).into_owned());
        self.wait_until("the end", whole)
    }

    /// Waits until `found` gives something for all that came so far (and whether it has ended).
    pub(super) fn wait_until<T>(&self, what: &str, found: impl Fn(&[u8], bool) -> Option<T>) -> T {
        let (collected, changed) = &*self.0;
        let mut collected = collected.lock().unwrap();
        let deadline = Instant::now() + WITHIN;
        loop {
            if let Some(found) = found(&collected.bytes, collected.ended) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if collected.ended || left.is_zero() {
                let so_far = String::from_utf8_lossy(&collected.bytes).into_owned();
                let why = if collected.ended { "it ended" } else { "no more came" };
                drop(collected); // or its poison would hide this panic
                panic!("waiting for {what:?}: {why} after:\n{so_far}");
            }
            collected = changed.wait_timeout(collected, left).unwrap().0;
        }
    }

    /// Waits for a whole line that holds `part`, anywhere, and returns it without its newline.
    pub(super) fn wait_for(&self, part: &str) -> String {
        self.wait_until(part, |bytes, _| {
            let whole = &bytes[..bytes.iter().rposition(|&byte| byte == b'\n')? + 1];
            let text = String::from_utf8_lossy(whole);
            text.lines().find(|line| line.contains(part)).map(str::to_owned)
        })
    }

    /// The next line is this one.
    pub(super) fn expect_line(&self, line: &str) {
        let at = self.0.0.lock().unwrap().taken;
        let (next, len) = self.wait_until(line, |bytes, _| {
            let len = bytes[at..].iter().position(|&byte| byte == b'\n')? + 1;
            Some((String::from_utf8_lossy(&bytes[at..][..len]).into_owned(), len))
        });
        assert_eq!(next, format!("{line}\n"));
        self.0.0.lock().unwrap().taken += len;
    }

    /// The next bytes are these.
    pub(super) fn expect_bytes(&self, wanted: impl AsRef<[u8]>) {
        let wanted = wanted.as_ref();
        let at = self.0.0.lock().unwrap().taken;
        let shown = String::from_utf8_lossy(wanted);
        let next = self.wait_until(&shown, |bytes, _| {
            bytes[at..].get(..wanted.len()).map(|next| String::from_utf8_lossy(next).into_owned())
        });
        assert_eq!(next, shown);
        self.0.0.lock().unwrap().taken += wanted.len();
    }

    /// It ends with nothing behind what was expected so far.
    pub(super) fn expect_end(&self) {
        let at = self.0.0.lock().unwrap().taken;
        let rest = self.wait_until("the end", |bytes, ended| {
            ended.then(|| String::from_utf8_lossy(&bytes[at..]).into_owned())
        });
        assert_eq!(rest, "");
    }
}

/// A stranger's blocking socket.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// `guest812` where it joined a chat.
    pub(super) name: String,
    received: Vec<u8>,
}

impl Peer {
    pub(super) fn connect(to: SocketAddr) -> Self {
        Self::of(TcpStream::connect_timeout(&to, WITHIN).unwrap_or_else(|e| panic!("{to}: {e}")))
    }

    pub(super) fn of(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream.set_write_timeout(Some(WITHIN)).unwrap();
        Peer { stream, name: String::new(), received: Vec::new() }
    }

    /// Connects to a chat and reads the greeting.
    pub(super) fn join(to: SocketAddr) -> Self {
        let mut peer = Self::connect(to);
        peer.greeted();
        peer
    }

    /// The next line is the greeting.
    pub(super) fn greeted(&mut self) {
        let line = self.line();
        let name = line.strip_prefix("* you are ").unwrap_or_else(|| panic!("greeted: {line:?}"));
        self.name = name.to_owned();
    }

    pub(super) fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// One recv; 0 at the end.
    pub(super) fn receive(&mut self) -> usize {
        let mut buffer = [0; 16 * 1024];
        let n = uninterrupted(|| self.stream.read(&mut buffer)).unwrap_or_else(|error| {
            panic!("{error} after {:?}", String::from_utf8_lossy(&self.received))
        });
        self.received.extend_from_slice(&buffer[..n]);
        n
    }

    /// The next line without its LF; what stands at the end without one is a line too.
    pub(super) fn line(&mut self) -> String {
        let mut searched = 0;
        let len = loop {
            if let Some(at) = self.received[searched..].iter().position(|&byte| byte == b'\n') {
                break searched + at + 1;
            }
            searched = self.received.len();
            if self.receive() == 0 {
                break searched;
            }
        };
        let line: Vec<u8> = self.received.drain(..len).collect();
        String::from_utf8(line.strip_suffix(b"\n").unwrap_or(&line).to_vec()).expect("UTF-8")
    }

    pub(super) fn expect_line(&mut self, line: impl AsRef<str>) {
        assert_eq!(self.line(), line.as_ref(), "heard by {:?}", self.name);
    }

    pub(super) fn expect_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        while self.received.len() < bytes.len() {
            assert_ne!(self.receive(), 0, "the end after {:?}", self.received);
        }
        let next: Vec<u8> = self.received.drain(..bytes.len()).collect();
        assert_equal(&next, bytes);
    }

    /// Nothing more comes, and the other side has ended.
    pub(super) fn expect_end(&mut self) {
        if self.received.is_empty() {
            self.receive();
        }
        assert_eq!(String::from_utf8_lossy(&self.received), "");
    }

    /// Half-closes.
    pub(super) fn end_output(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("still connected");
    }
}

/// With a timeout on it, a call on a socket is not restarted after a signal, SIGCONT among them
/// (signal(7)): it is made again.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Equal, or a short word on where they differ.
pub(super) fn assert_equal<T: PartialEq + Debug>(left: &[T], right: &[T]) {
    if left != right {
        let at = left.iter().zip(right).position(|(l, r)| l != r);
        let at = at.unwrap_or(left.len().min(right.len()));
        let piece = |from: &[T]| format!("{:?}", &from[at..from.len().min(at + 40)]);
        panic!("differ from {at} on: {} and {}", piece(left), piece(right));
    }
}

/// Accepts within the deadline.
pub(super) fn accept_stream(listener: &TcpListener) -> TcpStream {
    let within = Timespec::try_from(WITHIN).unwrap();
    let somebody = uninterrupted(|| {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        Ok(rustix::event::poll(&mut fds, Some(&within))?)
    });
    assert_eq!(somebody.unwrap(), 1, "nobody connects");
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(WITHIN)).unwrap();
    stream
}

/// The next datagram that comes in, and from where.
pub(super) fn receive_from(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let received = uninterrupted(|| socket.recv_from(&mut buffer));
    let (len, from) = received.expect("a datagram");
    buffer.truncate(len);
    (buffer, from)
}

/// A blocking UDP socket on a free port of this address.
pub(super) fn udp_socket(at: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap_or_else(|error| panic!("bind {at}: {error}"));
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    socket
}

/// Both ends of a pipe (read, write) that no child inherits by accident: held open there, an end
/// would never seem closed.
pub(super) fn pipe() -> (File, File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (read.into(), write.into())
}

/// A folder of one test's own, with all in it gone when it is dropped.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("reactor-it-{}-d{number}", process::id()));
        let _ = fs::remove_dir_all(&path); // of a process that was killed and had our number
        fs::create_dir(&path).unwrap();
        Folder(path)
    }

    /// The path of one file in it.
    pub(super) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens a file that holds this and has no name any more.
pub(super) fn file_of(bytes: impl AsRef<[u8]>) -> File {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("reactor-it-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    fs::write(&path, bytes).unwrap();
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    file
}

/// Master and slave of a new terminal that echoes nothing and changes nothing.
pub(super) fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    let mut modes = rustix::termios::tcgetattr(&slave).unwrap();
    modes.local_modes.remove(rustix::termios::LocalModes::ECHO);
    modes.output_modes.remove(rustix::termios::OutputModes::OPOST);
    rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &modes).unwrap();
    (master.into(), slave.into())
}

/// Everything that was sent before has been read and answered: the server's turn is over. What
/// others say in between is dropped.
pub(super) fn hear_pong(peer: &mut Peer) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let word = format!("p{}", NEXT.fetch_add(1, Ordering::Relaxed));
    peer.say(format!("/ping {word}\n"));
    while peer.line() != format!("* pong: {word}") {}
}

/// Resident memory of a process in bytes; None where there is no proc_pid_status(5).
pub(super) fn resident(pid: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024)
}

/// Open descriptors of a process; None where there is no proc_pid_fd(5).
pub(super) fn descriptors(pid: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count())
}
