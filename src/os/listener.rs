//! The kinds of listener: one accept for all. What must not be here: when it is tried.

use super::stream::{Stream, uninterrupted};
use super::udp::plain;
use super::unix::{self, BoundPath};
use crate::handler::{Endpoint, Remote};
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind};

/// A listening socket, non-blocking.
#[derive(Debug)]
pub enum Listener {
    /// TCP over IPv4 or IPv6.
    Tcp(TcpListener),
    /// A stream of the Unix domain.
    Unix {
        /// The path that goes with it; none for an abstract name. Dropped before the socket, whose
        /// inode is nobody else's until then.
        path: Option<BoundPath>,
        /// The socket.
        socket: UnixListener,
    },
}

impl Listener {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Listener::Unix { socket, .. } => registry.register(socket, token, Interest::READABLE),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Listener::Tcp(socket) => registry.deregister(socket),
            Listener::Unix { socket, .. } => registry.deregister(socket),
        }
    }

    /// Where it is really bound.
    pub fn address(&self) -> io::Result<Endpoint> {
        match self {
            Listener::Tcp(socket) => Ok(socket.local_addr()?.into()),
            Listener::Unix { socket, .. } => Ok(unix::from_std(&socket.local_addr()?).into()),
        }
    }

    /// accept(2), and what is to be set on what it brings. TCP's options come from the listener
    /// (`MioOs::prepare_tcp`); a Unix socket's do not, so `send_buffer` is set where it is not 0.
    pub(super) fn accept(&mut self, send_buffer: usize) -> io::Result<(Stream, Remote)> {
        match self {
            Listener::Tcp(listener) => {
                let (socket, from) = uninterrupted(|| listener.accept())?;
                Ok((Stream::Tcp(socket), Remote::Ip(plain(from))))
            }
            Listener::Unix { socket: listener, .. } => {
                let (socket, _) = uninterrupted(|| listener.accept())?;
                // Some systems refuse options on a socket whose peer is gone, which is this
                // connection's trouble and not the listener's.
                let lost = |_| io::Error::from(ErrorKind::ConnectionAborted);
                if send_buffer > 0 {
                    SockRef::from(&socket).set_send_buffer_size(send_buffer).map_err(lost)?;
                }
                let who = unix::credentials(&socket).map_err(lost)?;
                Ok((Stream::Unix(socket), Remote::Unix(who)))
            }
        }
    }
}
