//! What a bench is asked for, and the ways in which it cannot be had. Pure.

use super::crowd::Failure;
use crate::wire::Protocol;
use std::io;
use std::net::SocketAddr;

/// Publishers at most: the number after the last is the probes'.
pub const PUBLISHERS_MAX: u16 = u16::MAX - 1;

/// Descriptors that are no peer's: the three standard ones, epoll, signals, the child's pipe, and
/// in the server its listener, its UDP socket and a few to spare.
const DESCRIPTORS_SPARE: u64 = 32;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Publishers speak, subscribers hear.
    Fanout {
        /// 1 or more.
        subscribers: usize,
        /// 1 to [`PUBLISHERS_MAX`].
        publishers: u16,
        /// Lines a publisher, 1 or more.
        messages: u32,
        /// Lines a second and publisher, 1 or more.
        rate: u32,
    },
    /// Subscribers are silent; in the end they hear one line.
    Idle {
        /// Subscribers, 2 or more.
        peers: usize,
    },
}

/// What `bench` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to measure.
    pub scenario: Scenario,
    /// Somebody else's server; None: we start our own.
    pub server: Option<SocketAddr>,
    /// Our own server's protocol: `Chat` or `Lines`.
    pub protocol: Protocol,
    /// Bytes of a line with its newline: [`super::LINE_BYTES_MIN`] to [`crate::wire::LINE_LEN_MAX`].
    pub line_bytes: usize,
    /// What was typed, for the report: see [`super::Report::command`].
    pub command: Vec<String>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More peers than the system gives descriptors.
    #[error(
        "{peers} peers do not fit: the limit on open descriptors is {limit} (ulimit -Hn), which \
         leaves room for {room}"
    )]
    Descriptors {
        /// Asked for, publishers included.
        peers: u64,
        /// The hard limit.
        limit: u64,
        /// What it leaves for peers.
        room: u64,
    },
    /// Our own server did not start.
    #[error("start a server: {0}")]
    Child(io::Error),
    /// The run broke off: the whole line.
    #[error("{0}")]
    Broken(String),
    /// A signal ended it.
    #[error("stopped by a signal; nothing to report")]
    Stopped,
    /// The loop itself failed.
    #[error(transparent)]
    Loop(#[from] io::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Told(line) => Error::Broken(line),
            Failure::Stopped => Error::Stopped,
        }
    }
}

impl Options {
    pub(super) fn publishers(&self) -> u16 {
        match self.scenario {
            Scenario::Fanout { publishers, .. } => publishers,
            Scenario::Idle { .. } => 1,
        }
    }

    /// All peers that will be dialed.
    pub(super) fn peers(&self) -> usize {
        let subscribers = match self.scenario {
            Scenario::Fanout { subscribers, .. } => subscribers,
            Scenario::Idle { peers } => peers,
        };
        subscribers.saturating_add(usize::from(self.publishers()))
    }

    /// Refuses what a process with `limit` descriptors cannot hold.
    pub(super) fn fits(&self, limit: u64) -> Result<(), Error> {
        let (peers, room) = (self.peers() as u64, limit.saturating_sub(DESCRIPTORS_SPARE));
        if peers > room { Err(Error::Descriptors { peers, limit, room }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit_named() {
        let scenario = Scenario::Idle { peers: 968 };
        let options = Options {
            scenario,
            server: None,
            protocol: Protocol::Chat,
            line_bytes: 64,
            command: Vec::new(),
        };
        assert!(options.fits(1_001).is_ok());
        let refused = options.fits(1_000).unwrap_err().to_string();
        assert!(refused.starts_with("969 peers do not fit: the limit on open descriptors is 1000"));
        assert!(!refused.contains('\n') && refused.ends_with("room for 968"));
    }
}
