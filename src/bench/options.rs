//! What a bench is asked for, and the ways in which it cannot be had. Pure.

use super::report::model::Report;
use crate::handler::{Endpoint, Signal};
use crate::wire::Protocol;
use std::fmt;
use std::io;
use std::time::Duration;

/// Publishers at most: the number after the last is the probes'.
pub const PUBLISHERS_MAX: u16 = u16::MAX - 1;

/// Clients of the UDP scenario at most: each is a socket that every turn looks at.
pub const CLIENTS_MAX: u16 = 10_000;

/// Pairs of publisher and subscriber at most: each costs four bytes.
pub const PAIRS_MAX: u64 = 100_000_000;

/// Peers at most where all that fit are asked for: what 250 source addresses have ports for.
const PEERS_MAX: u64 = 250 * 28_000;

/// Descriptors that are no peer's: the three standard ones, epoll, signals, the child's pipes, and
/// in the server its listener, its UDP socket and a few to spare.
const DESCRIPTORS_SPARE: u64 = 32;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Publishers speak, subscribers hear.
    Fanout {
        /// Peers that hear, 1 or more.
        subscribers: usize,
        /// Peers that speak, 1 to [`PUBLISHERS_MAX`].
        publishers: usize,
        /// So many peers are both; nobody need hear himself.
        overlap: usize,
        /// Peers besides that never read.
        stalled: usize,
        /// How fast.
        load: Load,
    },
    /// Two peers, and one message back and forth.
    Rtt {
        /// How fast; the window is one.
        load: Load,
    },
    /// Peers are silent; in the end they hear one line.
    Idle {
        /// Those that hear, 2 or more; [`usize::MAX`]: as many as the descriptor limit allows.
        peers: usize,
    },
    /// Connections are opened and closed.
    Connect {
        /// So many at a time.
        window: usize,
        /// How long it is not counted.
        warmup: Duration,
        /// How long, or how many.
        length: Length,
    },
    /// Clients send datagrams to an echo.
    Udp {
        /// 1 to [`CLIENTS_MAX`].
        clients: usize,
        /// How fast.
        load: Load,
    },
}

/// How fast lines or datagrams are sent. One of `rate` and `window` is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// So many a second, of all publishers together, whatever the server does.
    pub rate: Option<u32>,
    /// So many of one publisher on their way at most. Alone it goes out in two halves in turn: with
    /// one window a server falls by chance into half or whole windows a send, a factor of two in
    /// its CPU time that means nothing. So it is 1 or even; and whole bursts.
    pub window: Option<u32>,
    /// So many at once. More than 1 for datagrams only.
    pub burst: u32,
    /// How long it is not counted.
    pub warmup: Duration,
    /// How long from there.
    pub length: Length,
}

/// When a measurement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// After this time.
    Time(Duration),
    /// After so many messages of all publishers together.
    Messages(u64),
}

/// A limit of latency: `p99=5ms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// As it was typed: `p99`.
    pub word: String,
    /// 0 to 1.
    pub quantile: f64,
    /// What may not be gone over.
    pub limit: Duration,
}

/// What `bench` needs to know, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to measure.
    pub scenario: Scenario,
    /// Somebody else's server; None: we start our own.
    pub server: Option<Endpoint>,
    /// The process of somebody else's server, to look at.
    pub pid: Option<u32>,
    /// What the server makes of a message.
    pub protocol: Protocol,
    /// Bytes of a line with its newline, or of a datagram: [`super::LINE_BYTES_MIN`] or more.
    pub size: usize,
    /// Limits of latency.
    pub slos: Vec<Slo>,
    /// Find the greatest rate that keeps them.
    pub ramp: bool,
    /// So many runs, 1 or more.
    pub repeat: u32,
    /// What was typed behind the program's name, for the report.
    pub command: Vec<String>,
}

/// How a bench ended that did not fail.
#[derive(Debug)]
pub enum Ended {
    /// One report a repeat.
    Reports(Vec<Report>),
    /// A signal ended it, and there is nothing to report.
    By(Signal),
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
    /// The loop itself failed.
    #[error(transparent)]
    Loop(#[from] io::Error),
}

impl Scenario {
    /// Its word on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            Scenario::Fanout { .. } => "fanout",
            Scenario::Rtt { .. } => "rtt",
            Scenario::Idle { .. } => "idle",
            Scenario::Connect { .. } => "connect",
            Scenario::Udp { .. } => "udp",
        }
    }

    /// How fast, where that can be said.
    pub fn load(&self) -> Option<&Load> {
        match self {
            Scenario::Fanout { load, .. } | Scenario::Rtt { load } | Scenario::Udp { load, .. } => {
                Some(load)
            }
            Scenario::Idle { .. } | Scenario::Connect { .. } => None,
        }
    }

    /// Descriptors that it takes at a time.
    fn peers(&self) -> usize {
        match *self {
            Scenario::Fanout { subscribers, publishers, overlap, stalled, .. } => {
                (subscribers - overlap).saturating_add(publishers).saturating_add(stalled)
            }
            Scenario::Rtt { .. } => 2,
            Scenario::Idle { peers } => peers.saturating_add(1),
            Scenario::Connect { window, .. } => window,
            Scenario::Udp { clients, .. } => clients,
        }
    }
}

impl Options {
    /// What is asked for where a process may have `limit` descriptors: refused where that is too
    /// much, all of them where it is as many as there are.
    pub(super) fn fitted(mut self, limit: u64) -> Result<Self, Error> {
        let room = limit.saturating_sub(DESCRIPTORS_SPARE);
        if let Scenario::Idle { peers } = &mut self.scenario
            && *peers == usize::MAX
        {
            *peers = room.saturating_sub(1).min(PEERS_MAX) as usize;
        }
        let peers = self.scenario.peers() as u64;
        if peers > room { Err(Error::Descriptors { peers, limit, room }) } else { Ok(self) }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Length::Time(time) => write!(f, "{time:?}"),
            Length::Messages(messages) => write!(f, "{messages} messages"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit_named() {
        let options = Options {
            scenario: Scenario::Idle { peers: 968 },
            server: None,
            pid: None,
            protocol: Protocol::Chat,
            size: 64,
            slos: Vec::new(),
            ramp: false,
            repeat: 1,
            command: Vec::new(),
        };
        assert!(options.clone().fitted(1_001).is_ok());
        let all = Options { scenario: Scenario::Idle { peers: usize::MAX }, ..options.clone() };
        assert_eq!(all.fitted(1_000).unwrap().scenario, Scenario::Idle { peers: 967 });
        let refused = options.fitted(1_000).unwrap_err().to_string();
        assert!(refused.starts_with("969 peers do not fit: the limit on open descriptors is 1000"));
        assert!(!refused.contains('\n') && refused.ends_with("room for 968"));
    }
}
