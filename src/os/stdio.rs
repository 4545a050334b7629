//! The console and the log on descriptors that belong to somebody else: stdin, stdout, stderr.
//!
//! They are shared with the shell and with every other program on the terminal, and O_NONBLOCK
//! belongs to what is shared (the open file description, open(2)): setting it breaks the parent
//! (chafa#293, flux-core#1803, neovim#10284). So it is never set here on what was inherited. A
//! terminal or a pipe is opened once more for a description of our own; see `Way` for the rest.
//! What must not be here: lines, prompts, raw mode, and any decision when to read or write.

use super::stream::uninterrupted;
use super::terminal;
use crate::handler::Window;
use crate::log_queue::LogQueue;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use std::io::{self, ErrorKind, IoSlice, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of one write to a shared pipe that poll called writable: PIPE_BUF is what then fits
/// without blocking (pipe(7): poll says writable from a whole free page on).
const SHARED_PIPE_WRITE_MAX: usize = rustix::pipe::PIPE_BUF;

/// The same for a shared terminal: Linux calls it writable while fewer than 256 bytes wait in it
/// (`WAKEUP_CHARS`, drivers/tty/n_tty.c).
const SHARED_TERMINAL_WRITE_MAX: usize = 256;

/// How one descriptor is kept from blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Opened by us, O_NONBLOCK: the kernel says `WouldBlock` itself.
    Own,
    /// Shared with others and blocking: a poll of zero length before each call, small writes. Two
    /// readers of one pipe can still race between the poll and the read; nothing helps there.
    Ask,
    /// A socket (inetd, a service manager): MSG_DONTWAIT asks for each call what O_NONBLOCK would.
    Socket,
    /// Regular files, block devices, directories: epoll refuses them (EPERM), they never block.
    Plain,
}

/// One descriptor and the way to use it.
#[derive(Debug)]
struct Half {
    fd: OwnedFd,
    way: Way,
    terminal: bool,
    /// True: epoll knows it. A shared description outlives our close, so it must be taken out.
    registered: bool,
}

impl Half {
    /// Looks at what the descriptor is. `access` is read-only or write-only.
    fn new(inherited: OwnedFd, access: OFlags) -> io::Result<Self> {
        let terminal = inherited.is_terminal();
        let kind = FileType::from_raw_mode(fstat(&inherited)?.st_mode);
        let way = match kind {
            FileType::Socket => Way::Socket,
            FileType::RegularFile | FileType::Directory | FileType::BlockDevice => Way::Plain,
            _ => Way::Ask,
        };
        // Not any character device: to open some of them again is an act in itself.
        if (terminal || kind == FileType::Fifo)
            && let Ok(fd) = reopen(&inherited, access)
        {
            return Ok(Half { fd, way: Way::Own, terminal, registered: false });
        }
        Ok(Half { fd: inherited, way, terminal, registered: false })
    }

    /// Registers, unless epoll refuses (EPERM: it never blocks, so there is nothing to tell).
    fn register(&mut self, with: &Registry, token: Token, what: Interest) -> io::Result<()> {
        match with.register(&mut SourceFd(&self.fd.as_raw_fd()), token, what) {
            Ok(()) => self.registered = true,
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Takes it out of epoll again.
    fn deregister(&mut self, from: &Registry) {
        if std::mem::take(&mut self.registered) {
            let _ = from.deregister(&mut SourceFd(&self.fd.as_raw_fd()));
        }
    }

    /// poll(2) with a timeout of zero. A hang-up counts as ready: the call itself then tells.
    fn ready(&self, what: PollFlags) -> io::Result<()> {
        let mut fds = [PollFd::new(&self.fd, what)];
        match uninterrupted(|| Ok(rustix::event::poll(&mut fds, Some(&Timespec::default()))?))? {
            0 => Err(ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }
}

/// A second description of the same terminal or pipe, with flags of its own. Fails where the
/// opener may not (a terminal of another user, no /proc); the caller then asks before each call.
fn reopen(fd: &OwnedFd, access: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    uninterrupted(|| Ok(rustix::fs::open(&path, flags, Mode::empty())?))
}

/// What is read: stdin.
#[derive(Debug)]
pub struct Input(Half);

impl Input {
    /// Takes a descriptor that others may share; their flags are left alone.
    pub fn new(inherited: OwnedFd) -> io::Result<Self> {
        Ok(Input(Half::new(inherited, OFlags::RDONLY)?))
    }

    /// read(2). 0 is the end of input; `ResourceBusy`: the terminal is another job's just now.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let half = &self.0;
        if half.terminal && in_background(half.fd.as_fd()) {
            // A read would stop us (SIGTTIN), or spin where that is caught.
            return Err(ErrorKind::ResourceBusy.into());
        }
        if half.way == Way::Ask {
            half.ready(PollFlags::IN)?;
        }
        let read = match half.way {
            Way::Socket => rustix::net::recv(&half.fd, into, RecvFlags::DONTWAIT).map(|(n, _)| n),
            Way::Own | Way::Ask | Way::Plain => rustix::io::read(&half.fd, into),
        };
        match read {
            // An orphaned background group gets EIO instead of a stop (setpgid(2), tty_ioctl(4)).
            Err(Errno::IO) if half.terminal => Err(ErrorKind::ResourceBusy.into()),
            read => Ok(read?),
        }
    }
}

/// True where the terminal is controlled by another process group than ours. A terminal that is
/// not our controlling one (ENOTTY) knows no jobs, so it is never in the background.
pub(super) fn in_background(terminal: BorrowedFd<'_>) -> bool {
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group != rustix::process::getpgrp())
}

/// What is written: stdout, and stderr for the log.
#[derive(Debug)]
pub struct Output(Half);

impl Output {
    /// Takes a descriptor that others may share; their flags are left alone.
    pub fn new(inherited: OwnedFd) -> io::Result<Self> {
        Ok(Output(Half::new(inherited, OFlags::WRONLY)?))
    }

    /// A file that is appended to, made for its owner alone where there is none. What is not a
    /// regular file (a FIFO, a terminal) is written without blocking too.
    pub fn append_to(path: &Path) -> io::Result<Self> {
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR;
        Self::new(uninterrupted(|| Ok(rustix::fs::open(path, flags, mode)?))?)
    }

    /// writev(2). Fewer bytes than offered: it is full, and an event tells when it is not.
    pub fn write(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        let half = &self.0;
        match half.way {
            Way::Own => uninterrupted(|| Ok(rustix::io::writev(&half.fd, runs)?)),
            Way::Socket => uninterrupted(|| {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                let mut control = SendAncillaryBuffer::default();
                Ok(rustix::net::sendmsg(&half.fd, runs, &mut control, flags)?)
            }),
            Way::Plain => self.write_pieces(runs, usize::MAX),
            Way::Ask if half.terminal => self.write_pieces(runs, SHARED_TERMINAL_WRITE_MAX),
            Way::Ask => self.write_pieces(runs, SHARED_PIPE_WRITE_MAX),
        }
    }

    /// Goes on until everything is written or nothing more fits: a short count must mean full, or
    /// the event that the caller then waits for never comes. An error after some bytes is the
    /// error: the descriptor is broken (a full disk, a closed pipe), and no event tells that either.
    fn write_pieces(&self, runs: &[IoSlice<'_>], piece_max: usize) -> io::Result<usize> {
        let mut total = 0;
        for run in runs {
            let mut rest: &[u8] = run;
            while !rest.is_empty() {
                let piece = &rest[..rest.len().min(piece_max)];
                match uninterrupted(|| self.write_piece(piece)) {
                    Ok(n) => {
                        total += n;
                        rest = &rest[n..];
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock && total > 0 => {
                        return Ok(total);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(total)
    }

    fn write_piece(&self, piece: &[u8]) -> io::Result<usize> {
        if self.0.way == Way::Ask {
            self.0.ready(PollFlags::OUT)?;
        }
        match rustix::io::write(&self.0.fd, piece)? {
            0 => Err(ErrorKind::WriteZero.into()),
            n => Ok(n),
        }
    }

    /// Registers for writing under `token`.
    pub fn register(&mut self, with: &Registry, token: Token) -> io::Result<()> {
        self.0.register(with, token, Interest::WRITABLE)
    }

    /// To be called before it is dropped, as for the console.
    pub fn deregister(&mut self, from: &Registry) {
        self.0.deregister(from);
    }
}

/// The console as one connection: stdin is read, stdout is written.
#[derive(Debug)]
pub struct Stdio {
    input: Input,
    output: Output,
}

impl Stdio {
    /// Of two descriptors that others may share.
    pub fn new(input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        Ok(Stdio { input: Input::new(input)?, output: Output::new(output)? })
    }

    /// Of stdin and stdout. Copies the descriptors, so that closing the console closes neither.
    pub fn of_process() -> io::Result<Self> {
        let input = io::stdin().as_fd().try_clone_to_owned()?;
        Self::new(input, io::stdout().as_fd().try_clone_to_owned()?)
    }

    /// Registers both under one token: the events of the two are one connection's.
    pub fn register(&mut self, with: &Registry, token: Token) -> io::Result<()> {
        self.input.0.register(with, token, Interest::READABLE)?;
        self.output.register(with, token)
    }

    /// To be called before it is dropped: a shared description stays open, and in epoll, without us.
    pub fn deregister(&mut self, from: &Registry) {
        self.input.0.deregister(from);
        self.output.deregister(from);
    }

    /// Makes the terminal that both are on raw (`terminal::take`), and asks for its size.
    pub fn take_terminal(&mut self) -> io::Result<Window> {
        let Stdio { input: Input(input), output: Output(output) } = self;
        if !input.terminal || !output.terminal {
            return Err(ErrorKind::Unsupported.into());
        }
        if in_background(input.fd.as_fd()) {
            return Err(ErrorKind::ResourceBusy.into());
        }
        terminal::take(input.fd.as_fd(), output.fd.as_fd())?;
        let size = rustix::termios::tcgetwinsize(&output.fd)?;
        let log = io::stderr().is_terminal();
        Ok(Window { columns: size.ws_col, rows: size.ws_row, log })
    }

    /// See [`Input::read`].
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.input.read(into)
    }

    /// See [`Output::write`].
    pub fn write(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.output.write(runs)
    }
}

/// Writes what the log still holds to stderr when no loop runs any more, waiting for it at most
/// `within`: a stderr that nobody reads must not keep us from ending.
pub fn write_last(log: &LogQueue, within: Duration) {
    let stderr = io::stderr();
    let output = stderr.as_fd().try_clone_to_owned().and_then(Output::new);
    let Ok(mut output) = output else { return };
    let deadline = Instant::now() + within;
    while let Err(error) = log.drain(|bytes| output.write(&[IoSlice::new(bytes)])) {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        let mut stderr = [PollFd::new(&stderr, PollFlags::OUT)];
        let writable = rustix::event::poll(&mut stderr, Some(&left));
        if error.kind() != ErrorKind::WouldBlock || writable.is_ok_and(|ready| ready == 0) {
            return;
        }
    }
}

/// stderr and its columns, where it is a terminal: for a line that is drawn over itself.
pub fn progress_terminal() -> io::Result<Option<(Output, usize)>> {
    let stderr = io::stderr();
    if !stderr.is_terminal() {
        return Ok(None);
    }
    let columns = rustix::termios::tcgetwinsize(&stderr)?.ws_col;
    Ok(Some((Output::new(stderr.as_fd().try_clone_to_owned()?)?, usize::from(columns))))
}

/// Whether stdin and stdout are terminals, in this order. isatty(3).
pub fn console_is_terminal() -> (bool, bool) {
    (io::stdin().is_terminal(), io::stdout().is_terminal())
}

#[cfg(test)]
mod tests;
