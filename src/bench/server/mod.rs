//! The server under measurement, our own child or somebody else's, and what it is seen to use. All
//! of this is done between the phases of a measurement, never in the loop.

mod child;
mod footprint;
mod loop_figures;
mod queues;

pub(super) use child::flags;
pub(super) use footprint::Footprint;
pub(super) use loop_figures::LoopFigures;
pub(super) use queues::{drops, ports_of};

use super::options::{Error, Options, Scenario};
use crate::handler::Endpoint;
use child::ServerChild;
use std::net::SocketAddr;

/// What `reactor serve` says, as the first thing, to whom it turns away by a rule, a limit or a
/// secret.
const TURNED_AWAY: [&[u8]; 4] =
    [b"* not allowed", b"* say the secret", b"* too many connections", b"* too many peers"];

/// Whether `first`, the first that a server says, turns a peer away.
pub(super) fn turns_away(first: &[u8]) -> bool {
    TURNED_AWAY.iter().any(|words| first.starts_with(words))
}

/// A server that is running.
pub(super) struct Server {
    child: Option<ServerChild>,
    /// Where it takes connections, or datagrams.
    pub(super) to: Endpoint,
    pid: Option<u32>,
}

impl Server {
    /// Starts our own, where no other is named.
    pub(super) fn start(options: &Options) -> Result<Self, Error> {
        if let Some(to) = options.server.clone() {
            return Ok(Server { child: None, to, pid: options.pid });
        }
        let child = ServerChild::start(options.protocol).map_err(Error::Child)?;
        let udp = matches!(options.scenario, Scenario::Udp { .. });
        let to = if udp { child.udp } else { child.tcp }.into();
        let pid = Some(child.pid());
        Ok(Server { child: Some(child), to, pid })
    }

    /// Where it takes datagrams.
    pub(super) fn ip(&self) -> SocketAddr {
        self.to.ip().expect("the scenario of datagrams is given an address of IP")
    }

    /// True where it is our child.
    pub(super) fn is_own(&self) -> bool {
        self.child.is_some()
    }

    /// What it is using now; None where it cannot be seen.
    pub(super) fn look(&self) -> Option<Footprint> {
        self.pid.and_then(Footprint::of)
    }

    /// True where its process was named and is not to be seen.
    pub(super) fn is_hidden(&self) -> bool {
        self.pid.is_some() && self.look().is_none()
    }

    /// What its loop counts; None where it is not ours, or does not answer.
    pub(super) fn ask(&mut self) -> Option<LoopFigures> {
        let text = self.child.as_mut()?.ask("/stats", "closes:")?;
        Some(LoopFigures::parse(&text))
    }

    /// Ends it, where it is ours.
    pub(super) fn stop(self) {
        if let Some(child) = self.child
            && let Err(error) = child.stop()
        {
            log::warn!("stop the server: {error}");
        }
    }
}
