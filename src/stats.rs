//! What the loop counts: one struct of plain counters, all of them since the start.

use crate::histogram::Histogram;

/// Counters of one [`crate::reactor::Reactor`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Times round the loop.
    pub turns: u64,
    /// The longest turn, from the end of its wait, in microseconds.
    pub turn_us_max: u64,
    /// How long turns took, from the end of their wait.
    pub turn_time: Histogram,
    /// The longest that a connection stood ready to be read, in turns: 0 is read in the turn that
    /// saw it become ready.
    pub wait_turns_max: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// accept calls that failed, but for `WouldBlock`.
    pub accept_failed: u64,
    /// Dials begun.
    pub dialed: u64,
    /// Connections and dials that ended.
    pub closed: u64,
    /// Events whose connection was gone.
    pub stale_events: u64,
    /// recv calls on connections.
    pub recvs: u64,
    /// Bytes they brought.
    pub bytes_in: u64,
    /// send calls on connections.
    pub sends: u64,
    /// Bytes they took.
    pub bytes_out: u64,
    /// Sends that took less than they were offered, or nothing.
    pub sends_blocked: u64,
    /// Datagrams received.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Datagrams dropped because sending them would have blocked.
    pub datagrams_blocked: u64,
    /// Datagrams dropped because sending them failed otherwise.
    pub datagrams_failed: u64,
    /// Datagrams that the kernel dropped because a receive buffer was full, as it told last; `None`
    /// where it does not tell.
    pub datagrams_lost: Option<u64>,
    /// recvfrom calls that failed, but for `WouldBlock`: ICMP errors.
    pub datagram_errors: u64,
}

impl Stats {
    /// Datagrams that the system did not take, for whatever reason.
    pub fn datagrams_dropped(&self) -> u64 {
        self.datagrams_blocked + self.datagrams_failed
    }
}
