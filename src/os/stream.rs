//! The kinds of connection. A new transport (a Unix socket, TLS) is a variant here and nothing
//! else: the loop sees one type with one `recv` and one `send`.

use super::stdio::{Output, Stdio};
use mio::net::TcpStream;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

/// One connection. Small, because the slab holds ten thousand of them; the console, of which there
/// is one, stands in a box.
pub enum Stream {
    /// A TCP socket, non-blocking.
    Tcp(TcpStream),
    /// stdin and stdout.
    Stdio(Box<Stdio>),
    /// A file that is only written.
    File(Box<Output>),
}

impl Stream {
    /// recv(2), or the console's read. 0 is the end of input.
    pub fn recv(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => uninterrupted(|| socket.read(into)),
            Stream::Stdio(console) => uninterrupted(|| console.read(into)),
            Stream::File(_) => Ok(0),
        }
    }

    /// One send: send(2) of a single run, which costs the kernel less than a list of one, or
    /// writev(2).
    pub fn send(&mut self, runs: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => uninterrupted(|| match runs {
                [run] => socket.write(run),
                runs => socket.write_vectored(runs),
            }),
            Stream::Stdio(console) => console.write(runs),
            Stream::File(file) => file.write(runs),
        }
    }

    /// A FIN after the last byte; the others have none. An error means that the connection is gone
    /// (ENOTCONN), which the next recv tells better.
    pub fn shutdown(&mut self) {
        if let Stream::Tcp(socket) = self {
            let _ = socket.shutdown(Shutdown::Write);
        }
    }

    /// Did the dial succeed? SO_ERROR first, for it holds why not; then getpeername(2), because a
    /// spurious event may come while the handshake is still under way.
    pub fn connected(&mut self) -> io::Result<bool> {
        let Stream::Tcp(socket) = self else { return Ok(true) };
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Repeats a call that a signal interrupted: it cannot spin, each round needs a new signal.
pub(super) fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
