//! Sockets that the service manager has bound for us: LISTEN_FDS, sd_listen_fds(3). Each is found out
//! by what it is and where it is bound, so a program asks for the address and gets the socket instead
//! of one of its own. The crate listenfd takes the descriptors over, which is no safe code. What must
//! not be here: which flag gives way.

use super::unix;
use crate::handler::{Endpoint, UnixAddress};
use listenfd::ListenFd;
use socket2::Socket;
use std::env;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// The first descriptor, SD_LISTEN_FDS_START.
const FIRST: usize = 3;

/// What an inherited socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Listening for connections.
    Stream,
    /// For datagrams.
    Datagram,
}

/// Sockets that nobody has asked for yet.
#[derive(Debug, Default)]
pub struct Inherited(Vec<(Kind, Endpoint, Socket)>);

impl Inherited {
    /// Those that LISTEN_FDS and LISTEN_PID mean for this process; none where one of them is absent or
    /// LISTEN_PID is another's. To be called before anything else opens a descriptor. Errors: one line.
    pub fn of_environment() -> Result<Self, String> {
        let mut inherited = Inherited::default();
        // listenfd would take them without a LISTEN_PID too, and from another descriptor on.
        let pid = env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok());
        if pid != Some(std::process::id()) {
            return Ok(inherited);
        }
        if env::var_os("LISTEN_FDS_FIRST_FD").is_some() {
            return Err(format!(
                "LISTEN_FDS_FIRST_FD is set: LISTEN_FDS begins at {FIRST}; unset it"
            ));
        }
        let mut fds = ListenFd::from_env();
        for index in 0..fds.len() {
            let socket = take(&mut fds, index);
            let (kind, at, socket) = socket
                .map_err(|error| format!("LISTEN_FDS: descriptor {}: {error}", FIRST + index))?;
            socket.set_nonblocking(true).map_err(|error| format!("LISTEN_FDS: {error}"))?;
            inherited.0.push((kind, at, socket));
        }
        Ok(inherited)
    }

    /// Where those of IP are bound.
    pub fn ip(&self, kind: Kind) -> Vec<SocketAddr> {
        self.of(kind).filter_map(Endpoint::ip).collect()
    }

    /// Where those of the Unix domain are bound.
    pub fn unix(&self, kind: Kind) -> Vec<UnixAddress> {
        let unix = |at: &Endpoint| match at {
            Endpoint::Unix(at) => Some(at.clone()),
            Endpoint::Ip(_) => None,
        };
        self.of(kind).filter_map(unix).collect()
    }

    fn of(&self, of: Kind) -> impl Iterator<Item = &Endpoint> {
        self.0.iter().filter(move |(kind, ..)| *kind == of).map(|(_, at, _)| at)
    }

    /// The socket that is bound there, once. Non-blocking.
    pub(super) fn take(&mut self, kind: Kind, at: &Endpoint) -> Option<Socket> {
        let place = self.0.iter().position(|(k, a, _)| (*k, a) == (kind, at))?;
        Some(self.0.remove(place).2)
    }
}

/// The socket at an index, by what it is. listenfd leaves it in its place where it is something else.
fn take(fds: &mut ListenFd, index: usize) -> io::Result<(Kind, Endpoint, Socket)> {
    let other = |why: &str| Err(io::Error::other(why));
    let (kind, at, socket) = if let Ok(Some(socket)) = fds.take_tcp_listener(index) {
        (Kind::Stream, socket.local_addr()?.into(), OwnedFd::from(socket))
    } else if let Ok(Some(socket)) = fds.take_udp_socket(index) {
        (Kind::Datagram, socket.local_addr()?.into(), OwnedFd::from(socket))
    } else if let Ok(Some(socket)) = fds.take_unix_listener(index) {
        (Kind::Stream, unix::from_std(&socket.local_addr()?).into(), OwnedFd::from(socket))
    } else if let Ok(Some(socket)) = fds.take_unix_datagram(index) {
        (Kind::Datagram, unix::from_std(&socket.local_addr()?).into(), OwnedFd::from(socket))
    } else {
        return other("neither a stream nor a datagram socket of IP or of the Unix domain");
    };
    let socket = Socket::from(socket);
    match kind {
        Kind::Stream if !socket.is_listener()? => {
            other("a connection, and no listener: the socket unit needs Accept=no")
        }
        Kind::Datagram if socket.peer_addr().is_ok() => other("a connected datagram socket"),
        _ => Ok((kind, at, socket)),
    }
}
