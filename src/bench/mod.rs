//! `reactor bench`: what a chat or broadcast server does to people, measured on our own loop. The
//! time from the moment a line *should* have been sent to the moment each subscriber has it, and
//! whether each has it whole, once and in order. No socket calls here, no command line.

mod checker;
mod child;
mod crowd;
mod footprint;
mod marker;
mod measure;
mod publisher;
mod report;
mod schedule;

pub use marker::LINE_BYTES_MIN;
pub use report::Report;

use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::os::limit::raise_descriptor_limit;
use crate::reactor::Reactor;
use crate::wire::Protocol;
use child::ServerChild;
use crowd::{Crowd, Failure};
use footprint::Footprint;
use marker::Run;
use measure::Measure;
use report::grouped;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Publishers at most: the number after the last is the probes'.
pub const PUBLISHERS_MAX: u16 = u16::MAX - 1;

/// Descriptors that are no peer's: the three standard ones, epoll, signals, the child's pipe, and
/// in the server its listener, its UDP socket and a few to spare.
const DESCRIPTORS_SPARE: u64 = 32;

/// The first stage of `idle`, in peers: behind it the server's tables and buffers that it needs
/// for anybody have been made, so that what grows from here on is the peers' own.
const IDLE_FIRST: usize = 1_000;

/// Peers that are connected before the server must be seen to serve them all. Half of what its
/// listen queue holds on Linux (4,096): behind a full one a dial is tried again after a second,
/// and the kernel's timer would be measured.
const BATCH: usize = 2_048;

/// How long after everything is ready the first line is due.
const LEAD: Duration = Duration::from_millis(50);

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
    /// Bytes of a line with its newline: [`LINE_BYTES_MIN`] to [`crate::wire::LINE_LEN_MAX`].
    pub line_bytes: usize,
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
    fn publishers(&self) -> u16 {
        match self.scenario {
            Scenario::Fanout { publishers, .. } => publishers,
            Scenario::Idle { .. } => 1,
        }
    }

    /// All peers that will be dialed.
    fn peers(&self) -> usize {
        let subscribers = match self.scenario {
            Scenario::Fanout { subscribers, .. } => subscribers,
            Scenario::Idle { peers } => peers,
        };
        subscribers.saturating_add(usize::from(self.publishers()))
    }

    fn fits(&self, limit: u64) -> Result<(), Error> {
        let (peers, room) = (self.peers() as u64, limit.saturating_sub(DESCRIPTORS_SPARE));
        if peers > room { Err(Error::Descriptors { peers, limit, room }) } else { Ok(()) }
    }
}

/// Measures and returns what came out. Raises the descriptor limit, which our own server inherits.
pub fn run<O: Os>(mut os: O, options: &Options, log: &LogQueue) -> Result<Report, Error> {
    let (_, limit) = raise_descriptor_limit();
    options.fits(limit)?;
    let child = match options.server {
        Some(_) => None,
        None => Some(ServerChild::start(options.protocol).map_err(Error::Child)?),
    };
    let to = options.server.or(child.as_ref().map(|child| child.tcp)).expect("one or the other");
    // Random, so that two runs against one server ignore each other's lines.
    let id = RandomState::new().build_hasher().finish() as u32;
    let run = Run::new(id, options.line_bytes);
    let crowd = Crowd::new(to, options.publishers(), options.peers(), run, os.now());
    let pid = child.as_ref().map(ServerChild::pid);
    let mut bench = Bench { reactor: Reactor::new(os, log.clone()), crowd, pid };
    let mut report = Report::new(head(options, to));
    match options.scenario {
        Scenario::Fanout { messages, rate, .. } => {
            bench.fanout(options.peers(), rate, messages, &mut report)?;
        }
        Scenario::Idle { peers } => bench.idle(peers, &mut report)?,
    }
    // The peers go first, so that the server has nobody left to say goodbye to.
    drop(bench);
    if let Some(child) = child
        && let Err(error) = child.stop()
    {
        log::warn!("stop the server: {error}");
    }
    Ok(report)
}

/// A run under way.
struct Bench<O: Os> {
    reactor: Reactor<O>,
    crowd: Crowd,
    /// Our own server's.
    pid: Option<u32>,
}

impl<O: Os> Bench<O> {
    fn fanout(
        &mut self,
        peers: usize,
        rate: u32,
        messages: u32,
        report: &mut Report,
    ) -> Result<(), Error> {
        let before = self.look();
        let took = self.gather(peers)?;
        let gathered = self.look();
        let measure = self.measure(rate, messages)?;
        let after = self.look();
        report.deliveries(&measure);
        report.latency(&measure);
        report.cost(&measure, [gathered, after]);
        report.memory([before, gathered], peers);
        report.connecting(peers, took);
        report.generator(&measure);
        report.verdict(&measure);
        Ok(())
    }

    fn idle(&mut self, peers: usize, report: &mut Report) -> Result<(), Error> {
        let first = IDLE_FIRST.min(peers / 2);
        let mut took = self.gather(1 + first)?;
        let few = self.look();
        took += self.gather(1 + peers)?;
        let many = self.look();
        let measure = self.measure(1, 1)?;
        report.connecting(1 + peers, took);
        report.count("first stage", first as u64, "peers");
        for (label, look) in
            [("server memory, first stage", few), ("server memory, all peers", many)]
        {
            if let Some(look) = look {
                report.count(label, look.rss_bytes / 1024, "KiB");
            }
        }
        report.memory([few, many], peers - first);
        report.row("one line to all", measure.latency.max() as f64 / 1_000.0, "µs");
        report.cost(&measure, [many, self.look()]);
        report.generator(&measure);
        report.verdict(&measure);
        Ok(())
    }

    /// Connects until there are so many peers and all are served. Returns how long it took.
    fn gather(&mut self, peers: usize) -> Result<Duration, Error> {
        let begun = self.reactor.os_mut().now();
        let mut now = begun;
        while self.crowd.connected() < peers {
            self.crowd.connect(peers.min(self.crowd.connected() + BATCH), now);
            self.finish_phase()?;
            self.crowd.settle(self.reactor.os_mut().now());
            self.finish_phase()?;
            now = self.reactor.os_mut().now();
        }
        Ok(now - begun)
    }

    fn measure(&mut self, rate: u32, messages: u32) -> Result<Measure, Error> {
        let start = self.reactor.os_mut().now() + LEAD;
        self.crowd.measure(start, rate, messages);
        Ok(self.finish_phase()?.expect("a measuring phase ends in a measurement"))
    }

    fn finish_phase(&mut self) -> Result<Option<Measure>, Error> {
        while !self.crowd.phase_done() {
            self.reactor.turn(&mut self.crowd)?;
        }
        Ok(self.crowd.end_phase()?)
    }

    fn look(&self) -> Option<Footprint> {
        self.pid.and_then(Footprint::of)
    }
}

/// Everything that the figures depend on, in one line.
fn head(options: &Options, to: SocketAddr) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = rustix::system::uname();
    let kernel = [kernel.sysname(), kernel.release()].map(|part| part.to_string_lossy());
    let congestion = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control");
    let congestion = congestion.map_or(String::new(), |name| format!(", tcp {}", name.trim()));
    let server = match options.server {
        Some(_) => to.to_string(),
        None => format!("reactor {}", child::flags(options.protocol).join(" ")),
    };
    let load = match options.scenario {
        Scenario::Fanout { subscribers, publishers, messages, rate } => format!(
            "fanout to {} subscribers, {publishers} publishers, {} lines/s each, {} lines each",
            grouped(subscribers as u64),
            grouped(rate.into()),
            grouped(messages.into())
        ),
        Scenario::Idle { peers } => format!("idle with {} peers", grouped(peers as u64)),
    };
    let debug = if cfg!(debug_assertions) { "; debug build" } else { "" };
    format!(
        "{cores} cores, {} {}{congestion}; server: {server}; {load}, {} bytes a line{debug}",
        kernel[0], kernel[1], options.line_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_the_limit_named() {
        let scenario = Scenario::Idle { peers: 968 };
        let options = Options { scenario, server: None, protocol: Protocol::Chat, line_bytes: 64 };
        assert!(options.fits(1_001).is_ok());
        let refused = options.fits(1_000).unwrap_err().to_string();
        assert!(refused.starts_with("969 peers do not fit: the limit on open descriptors is 1000"));
        assert!(!refused.contains('\n') && refused.ends_with("room for 968"));
    }
}
