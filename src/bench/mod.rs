//! `reactor bench`: what a chat or broadcast server does to people, measured on our own loop. The
//! time from the moment a line *should* have been sent to the moment each subscriber has it, and
//! whether each has it whole, once and in order. No socket calls here, no command line.

mod checker;
mod child;
mod crowd;
mod dials;
mod fill;
mod footprint;
mod machine;
mod marker;
mod measure;
mod options;
mod publisher;
pub mod report;
mod schedule;

pub use marker::LINE_BYTES_MIN;
pub use options::{Error, Options, PUBLISHERS_MAX, Scenario};
pub use report::Report;

use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::os::limit::raise_descriptor_limit;
use crate::reactor::Reactor;
use child::ServerChild;
use crowd::Crowd;
use fill::Filling;
use footprint::Footprint;
use marker::Run;
use measure::Measure;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The first stage of `idle`, in peers: behind it the server's tables and buffers that it needs
/// for anybody have been made, so that what grows from here on is the peers' own.
const IDLE_FIRST: usize = 1_000;

/// Peers that are connected before the server must be seen to serve them all. Half of what its
/// listen queue holds on Linux (4,096): behind a full one a dial is tried again after a second,
/// and the kernel's timer would be measured.
const BATCH: usize = 2_048;

/// How long after everything is ready the first line is due.
const LEAD: Duration = Duration::from_millis(50);

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
    let mut filling = Filling::new(options, to, machine::look());
    match options.scenario {
        Scenario::Fanout { messages, rate, .. } => {
            bench.fanout(options.peers(), rate, messages, &mut filling)?;
        }
        Scenario::Idle { peers } => bench.idle(peers, &mut filling)?,
    }
    // The peers go first, so that the server has nobody left to say goodbye to.
    drop(bench);
    if let Some(child) = child
        && let Err(error) = child.stop()
    {
        log::warn!("stop the server: {error}");
    }
    Ok(filling.0)
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
        filling: &mut Filling,
    ) -> Result<(), Error> {
        let before = self.look();
        let took = self.gather(peers)?;
        let gathered = self.look();
        let measure = self.measure(rate, messages)?;
        let after = self.look();
        filling.deliveries(&measure);
        filling.latency(&measure);
        filling.cost(&measure, [gathered, after]);
        filling.memory([before, gathered], peers);
        filling.connecting(peers, took);
        filling.generator(&measure);
        filling.verdict(&measure);
        Ok(())
    }

    fn idle(&mut self, peers: usize, filling: &mut Filling) -> Result<(), Error> {
        let first = IDLE_FIRST.min(peers / 2);
        let mut took = self.gather(1 + first)?;
        let few = self.look();
        took += self.gather(1 + peers)?;
        let many = self.look();
        let measure = self.measure(1, 1)?;
        filling.connecting(1 + peers, took);
        filling.stages(first, [few, many]);
        filling.memory([few, many], peers - first);
        filling.one_line(&measure);
        filling.cost(&measure, [many, self.look()]);
        filling.generator(&measure);
        filling.verdict(&measure);
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
