//! A datagram socket of the Unix domain, unix(7): reliable, in order, each datagram whole. What must
//! not be here: who is answered, and counting.

use super::stream::uninterrupted;
use super::unix::{self, BoundPath};
use crate::handler::UnixAddress;
use mio::net::UnixDatagram;
use socket2::{SockAddr, SockRef, Socket, Type};
use std::io;

/// A bound one; its path, where it has one, is removed with it.
pub struct UnixDgram {
    /// Dropped before the socket, whose inode is nobody else's until then.
    _path: Option<BoundPath>,
    pub(super) socket: UnixDatagram,
}

impl UnixDgram {
    /// As `unix::bind`.
    pub(super) fn bind(at: &UnixAddress, mode: u32) -> io::Result<Self> {
        let (socket, path) = unix::bind(Type::DGRAM, at, mode, |_| Ok(()))?;
        Ok(UnixDgram { _path: path, socket: UnixDatagram::from_std(socket.into()) })
    }

    /// A socket that is bound already, and does not block; its path is not ours.
    pub(super) fn of(socket: Socket) -> Self {
        UnixDgram { _path: None, socket: UnixDatagram::from_std(socket.into()) }
    }

    /// recvfrom(2): its length and its sender. What does not fit `into` is cut off.
    pub(super) fn recvfrom(&self, into: &mut [u8]) -> io::Result<(usize, UnixAddress)> {
        let (len, from) = uninterrupted(|| self.socket.recv_from(into))?;
        Ok((len, unix::from_std(&from)))
    }

    /// sendto(2).
    pub(super) fn sendto(&self, to: &UnixAddress, bytes: &[u8]) -> io::Result<()> {
        let to: SockAddr = unix::sock_addr(to)?;
        uninterrupted(|| SockRef::from(&self.socket).send_to(bytes, &to)).map(drop)
    }
}
