//! Console and log over pipes, terminals, sockets and files of the tests' own.

use super::*;
use mio::{Events, Poll};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

fn is_blocking(fd: &OwnedFd) -> bool {
    !rustix::fs::fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

fn write(output: &mut Output, bytes: &[u8]) -> io::Result<usize> {
    output.write(&[IoSlice::new(bytes)])
}

/// As it is where opening once more fails.
fn asking_output(fd: OwnedFd) -> Output {
    let terminal = fd.is_terminal();
    Output(Half { fd, way: Way::Ask, terminal, registered: false })
}

/// Master and slave of a new pseudo-terminal, which becomes nobody's controlling one.
fn terminal() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

/// Waits for an event of `token`.
fn until_told(poll: &mut Poll, token: Token) {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Events::with_capacity(8);
    loop {
        assert!(Instant::now() < deadline, "no event for {token:?}");
        let waited = poll.poll(&mut events, Some(Duration::from_millis(50)));
        if waited.is_ok() && events.iter().any(|event| event.token() == token) {
            return;
        }
    }
}

/// Writes until it is full, takes it all out at the other end, and waits for the event.
fn fills_blocks_and_tells(mut output: Output, other_end: &OwnedFd) {
    let mut poll = Poll::new().unwrap();
    output.register(poll.registry(), Token(7)).unwrap();
    until_told(&mut poll, Token(7));
    let block = vec![b'x'; 1 << 20];
    let mut total = write(&mut output, &block).unwrap();
    assert!(total < block.len(), "a short count: it is full");
    would_block(write(&mut output, &block));
    while total > 0 {
        total -= rustix::io::read(other_end, &mut vec![0; total]).unwrap();
    }
    until_told(&mut poll, Token(7));
    assert_eq!(write(&mut output, b"more").unwrap(), 4);
    output.0.deregister(poll.registry());
}

#[test]
fn a_pipe_is_read_without_blocking_and_without_touching_its_flags() {
    let (read, written) = rustix::pipe::pipe().unwrap();
    let shared = read.try_clone().unwrap();
    let mut input = Input::new(read).unwrap();
    assert_eq!(input.0.way, Way::Own);
    let mut into = [0; 16];
    would_block(input.read(&mut into));
    rustix::io::write(&written, b"hello").unwrap();
    assert_eq!(input.read(&mut into).unwrap(), 5);
    would_block(input.read(&mut into));
    drop(written);
    assert_eq!(input.read(&mut into).unwrap(), 0);
    assert!(is_blocking(&shared));
}

#[test]
fn a_shared_pipe_is_asked_before_each_read() {
    let (read, written) = rustix::pipe::pipe().unwrap();
    let mut input = Input(Half { fd: read, way: Way::Ask, terminal: false, registered: false });
    let mut into = [0; 4];
    would_block(input.read(&mut into));
    rustix::io::write(&written, b"hello").unwrap();
    assert_eq!(input.read(&mut into).unwrap(), 4);
    assert_eq!(input.read(&mut into).unwrap(), 1);
    would_block(input.read(&mut into));
    drop(written);
    assert_eq!(input.read(&mut into).unwrap(), 0);
}

#[test]
fn a_full_pipe_would_block_and_tells_when_it_is_not() {
    let (read, written) = rustix::pipe::pipe().unwrap();
    let shared = written.try_clone().unwrap();
    let output = Output::new(written).unwrap();
    assert_eq!(output.0.way, Way::Own);
    fills_blocks_and_tells(output, &read);
    assert!(is_blocking(&shared));
}

#[test]
fn a_full_shared_pipe_would_block_and_tells_when_it_is_not() {
    let (read, written) = rustix::pipe::pipe().unwrap();
    fills_blocks_and_tells(asking_output(written), &read);
}

#[test]
fn a_pipe_that_nobody_reads_is_broken() {
    let (read, written) = rustix::pipe::pipe().unwrap();
    drop(read);
    let asking = asking_output(written.try_clone().unwrap());
    for mut output in [Output::new(written).unwrap(), asking] {
        assert_eq!(write(&mut output, b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}

#[test]
fn a_terminal_is_read_and_written_without_touching_its_flags() {
    let (master, slave) = terminal();
    let shared = slave.try_clone().unwrap();
    let mut console = Stdio::new(slave.try_clone().unwrap(), slave).unwrap();
    assert_eq!((console.input.0.way, console.output.0.way), (Way::Own, Way::Own));
    let mut into = [0; 64];
    would_block(console.read(&mut into));
    rustix::io::write(&master, b"hi\n").unwrap();
    assert_eq!(console.read(&mut into).unwrap(), 3);
    let runs = [IoSlice::new(b"a"), IoSlice::new(b"b\n")];
    assert_eq!(console.write(&runs).unwrap(), 3);
    let mut seen = Vec::new();
    while !seen.ends_with(b"ab\r\n") {
        let n = rustix::io::read(&master, &mut into).unwrap();
        seen.extend_from_slice(&into[..n]);
    }
    assert!(is_blocking(&shared));
}

#[test]
fn a_shared_terminal_that_is_full_would_block() {
    let (_master, slave) = terminal();
    let mut output = asking_output(slave);
    let block = [b'x'; 1 << 16];
    assert!(write(&mut output, &block).unwrap() < block.len());
    while write(&mut output, &block).is_ok() {}
    would_block(write(&mut output, &block));
}

#[test]
fn a_terminal_whose_other_end_is_gone_is_busy() {
    let (master, slave) = terminal();
    let mut input = Input::new(slave).unwrap();
    drop(master);
    match input.read(&mut [0; 8]) {
        Ok(0) => {} // it was hung up
        result => assert_eq!(result.unwrap_err().kind(), ErrorKind::ResourceBusy),
    }
}

#[test]
fn a_socket_is_used_without_touching_its_flags() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let shared = OwnedFd::from(ours.try_clone().unwrap());
    let mut input = Input::new(ours.try_clone().unwrap().into()).unwrap();
    assert_eq!(input.0.way, Way::Socket);
    would_block(input.read(&mut [0; 8]));
    let theirs = OwnedFd::from(theirs);
    fills_blocks_and_tells(Output::new(ours.into()).unwrap(), &theirs);
    rustix::io::write(&theirs, b"hello").unwrap();
    assert_eq!(input.read(&mut [0; 8]).unwrap(), 5);
    rustix::net::shutdown(&theirs, rustix::net::Shutdown::Write).unwrap();
    assert_eq!(input.read(&mut [0; 8]).unwrap(), 0);
    assert!(is_blocking(&shared));
}

#[test]
fn what_epoll_refuses_is_not_registered_and_never_would_block() {
    let poll = Poll::new().unwrap();
    let null: OwnedFd = std::fs::File::open("/dev/null").unwrap().into();
    let file: OwnedFd = std::fs::File::open("/proc/self/exe").unwrap().into();
    for (fd, bytes) in [(null, 0), (file, 16)] {
        let mut input = Input::new(fd).unwrap();
        input.0.register(poll.registry(), Token(1), Interest::READABLE).unwrap();
        assert!(!input.0.registered);
        assert_eq!(input.read(&mut [0; 16]).unwrap(), bytes);
    }
}

#[test]
fn a_file_takes_everything_at_once() {
    let file = rustix::fs::memfd_create("out", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let null: OwnedFd = std::fs::File::create("/dev/null").unwrap().into();
    let block = vec![b'x'; 1 << 20];
    for fd in [file.try_clone().unwrap(), null] {
        let mut output = Output::new(fd).unwrap();
        let runs = [IoSlice::new(&block), IoSlice::new(b"end")];
        assert_eq!(output.write(&runs).unwrap(), block.len() + 3);
    }
    assert_eq!(fstat(&file).unwrap().st_size, block.len() as i64 + 3);
}

#[test]
fn a_full_disk_is_an_error() {
    let full: OwnedFd = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap().into();
    let error = write(&mut Output::new(full).unwrap(), b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

#[test]
fn a_directory_is_an_error_at_the_first_read() {
    let directory: OwnedFd = std::fs::File::open("/").unwrap().into();
    let error = Input::new(directory).unwrap().read(&mut [0; 8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
}

#[test]
fn a_shared_description_leaves_epoll_with_us() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let shared = ours.try_clone().unwrap();
    let mut poll = Poll::new().unwrap();
    let mut console = Stdio::new(ours.try_clone().unwrap().into(), ours.into()).unwrap();
    console.register(poll.registry(), Token(5)).unwrap();
    until_told(&mut poll, Token(5));
    console.deregister(poll.registry());
    drop(console);
    rustix::io::write(&theirs, b"x").unwrap();
    let mut events = Events::with_capacity(8);
    let _ = poll.poll(&mut events, Some(Duration::from_millis(50)));
    assert!(events.is_empty(), "a socket that is still open elsewhere stayed registered");
    drop(shared);
}
