//! The kinds of connection. A new transport (TLS) is a variant here and nothing
//! else: the loop sees one type with one `recv` and one `send`.

use super::stdio::{Output, Stdio};
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::{RecvFlags, SendFlags};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::AsFd;

/// One connection. Small, because the slab holds ten thousand of them; the console, of which there
/// is one, stands in a box.
pub enum Stream {
    /// A TCP socket, non-blocking.
    Tcp(TcpStream),
    /// A stream socket of the Unix domain, non-blocking.
    Unix(UnixStream),
    /// stdin and stdout.
    Stdio(Box<Stdio>),
    /// A file that is only written.
    File(Box<Output>),
}

impl Stream {
    /// A socket's registration; the others have their own.
    pub(super) fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interest: Interest,
    ) -> io::Result<()> {
        match self {
            Stream::Tcp(socket) => registry.register(socket, token, interest),
            Stream::Unix(socket) => registry.register(socket, token, interest),
            Stream::Stdio(console) => console.register(registry, token),
            Stream::File(file) => file.register(registry, token),
        }
    }

    /// Whether a read may give less than there is room for although more is there: a terminal gives
    /// a line a read, and a Unix socket ends a read behind descriptors that were sent with it
    /// (unix(7), SCM_RIGHTS; nobody asks for them here, so the kernel closes them).
    pub fn reads_in_pieces(&self) -> bool {
        !matches!(self, Stream::Tcp(_))
    }

    /// recv(2), or the console's read. 0 is the end of input.
    #[inline(always)]
    pub fn recv(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => read(socket, into),
            Stream::Unix(socket) => read(socket, into),
            Stream::Stdio(console) => uninterrupted(|| console.read(into)),
            Stream::File(_) => Ok(0),
        }
    }

    /// One send: send(2) of a single run, which costs the kernel less than a list of one, or
    /// writev(2).
    #[inline(always)]
    pub fn send(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => write(socket, runs),
            Stream::Unix(socket) => write(socket, runs),
            Stream::Stdio(console) => console.write(runs),
            Stream::File(file) => file.write(runs),
        }
    }

    /// A FIN after the last byte; the others have none. An error means that the connection is gone
    /// (ENOTCONN), which the next recv tells better.
    pub fn shutdown(&mut self) {
        let _ = match self {
            Stream::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Stream::Unix(socket) => socket.shutdown(Shutdown::Write),
            Stream::Stdio(_) | Stream::File(_) => Ok(()),
        };
    }

    /// Did the dial succeed? SO_ERROR first, for it holds why not; then getpeername(2), because a
    /// spurious event may come while the handshake is still under way.
    pub fn connected(&mut self) -> io::Result<bool> {
        let (error, peer) = match self {
            Stream::Tcp(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Unix(socket) => (socket.take_error()?, socket.peer_addr().map(drop)),
            Stream::Stdio(_) | Stream::File(_) => return Ok(true),
        };
        if let Some(error) = error {
            return Err(error);
        }
        match peer {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

// These calls are made where the loop asks for them, down to the instruction that enters the kernel:
// `inline(always)`, and not through libc's and the standard library's frames. Who returns through a
// frame that was there before the call is predicted to go where the kernel's own calls came from,
// and some processors then lose what they knew of the kernel's pages (DECISIONS 93, with figures).

#[inline(always)]
fn read(socket: &impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    uninterrupted(|| Ok(rustix::net::recv(socket, &mut *into, RecvFlags::empty())?.0))
}

/// A closed peer is an error and no signal, of writev too: Rust programs ignore SIGPIPE.
#[inline(always)]
fn write(socket: &impl AsFd, runs: &[IoSlice<'_>]) -> io::Result<usize> {
    uninterrupted(|| match runs {
        [run] => Ok(rustix::net::send(socket, run, SendFlags::NOSIGNAL)?),
        runs => Ok(rustix::io::writev(socket, runs)?),
    })
}

/// Repeats a call that a signal interrupted: it cannot spin, each round needs a new signal.
#[inline(always)]
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
