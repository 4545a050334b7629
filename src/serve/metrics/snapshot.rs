//! All that is counted, read at one moment: what the rows of the table look at. The hot paths have
//! plain numbers; this is made when somebody asks.

use crate::chat;
use crate::echo;
use crate::histogram::Histogram;
use crate::serve::server::Server;
use crate::stats::Stats;

/// What the server counts, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The loop's counters.
    pub(super) stats: Stats,
    pub(super) chat: chat::Counts,
    pub(super) delivery: Histogram,
    pub(super) echo: echo::Counts,
    /// Datagrams that the gate did not let in.
    pub(super) not_allowed: u64,
    /// Datagrams whose sender had no name to answer to.
    pub(super) unnamed: u64,
    pub(super) peers: usize,
    pub(super) rooms: usize,
    /// Peers that are owed messages, and how many the furthest of them is behind.
    pub(super) behind: usize,
    pub(super) behind_most: usize,
    pub(super) throttled: u64,
    pub(super) control: usize,
    pub(super) scrapers: usize,
    pub(super) draining: bool,
    /// Bytes set aside for single peers.
    pub(super) buffered: usize,
    /// Ends of peers by reason.
    pub(super) closes: Vec<(&'static str, u64)>,
}

impl Snapshot {
    /// Datagrams that the echo was not to answer, by reason; each reason is there from the start.
    pub(super) fn echo_refused(&self) -> Vec<(&'static str, u64)> {
        let echo = &self.echo;
        vec![
            ("own port", echo.own_port),
            ("low port", echo.low_port),
            ("source", echo.source),
            ("group", echo.group),
            ("broadcast", echo.broadcast),
            ("limited", echo.limited),
            ("muted", echo.muted),
            ("not allowed", self.not_allowed),
            ("unnamed", self.unnamed),
        ]
    }
}

impl Server {
    /// All that is counted, with the loop's counters.
    pub(in crate::serve) fn snapshot(&self, stats: &Stats) -> Snapshot {
        let (behind, behind_most) = self.chat.lag();
        Snapshot {
            stats: *stats,
            chat: self.chat.counts,
            delivery: self.chat.delivery,
            echo: *self.echo.counts(),
            not_allowed: self.gate.datagrams_refused,
            unnamed: self.unnamed,
            peers: self.gate.connections(),
            rooms: self.chat.rooms_count(),
            behind,
            behind_most: behind_most as usize,
            throttled: self.bounds.flood.throttled,
            control: self.control.count(),
            scrapers: self.scrapers.count(),
            draining: self.draining || self.stopping,
            buffered: self.chat.buffered() + self.scrapers.buffered(),
            closes: self.closes.iter().map(|(&why, &count)| (why, count)).collect(),
        }
    }
}
